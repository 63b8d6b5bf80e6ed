"""Pretraining of ElemNet beside its matrix products alone, a loop as people write it, Lightning's and scikit-learn's.

`pretrain-fraction-of-matmul` says how much of the time the processor multiplies matrices. The peer does the products of
a training step and nothing else, for as many batches: of each of ElemNet's layers the forward product, the gradient of
the weights and, but for the first layer, the gradient of the input; by `torch.mm` into outputs allocated before, in the
precision in which we train (bfloat16 where the processor has it) and with as many threads. Ours is `train` from its
call to its return: the same products, and the order of the rows, biases, activations, dropout, loss, conversions, the
optimiser's steps and its beginnings.

All of them have the same layers and batches and both cores, and pass the rows of OQMD's formation energies once.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Contest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tasks.featurize.fractions import fraction_rows
from tasks.formulas import amounts
from tasks.learn.networks import ELEMNET, ELEMNET_KEEP, build
from tasks.learn.training import Schedule, bfloat16_is_fast, predict, train
from tasks.recipe import ElemNet
from tasks.recipe.schema import ELEMNET_ELEMENTS

BATCH, RATE = 2048, 3e-4
STEPS = 20  # in a round, about a pass over the table
SIZES = (len(ELEMNET_ELEMENTS), *ELEMNET, 1)
Rows = tuple[Tensor, Tensor]
Model = Callable[[Tensor], Tensor]


@cache
def table(folder: Path) -> Rows:
    """Fractions and standardised formation energies of OQMD, in an order of their own."""
    energies = pd.read_csv(folder / "oqmd" / "formation_energy.csv")
    energies = energies[energies["value"].abs() < 6]
    known = set(ELEMNET_ELEMENTS)
    energies = energies[[set(amounts(formula)) <= known for formula in energies["formula"]]].sample(
        frac=1, random_state=0
    )
    features = fraction_rows(energies["formula"].tolist(), elements=ELEMNET_ELEMENTS).astype(np.float32)
    values = energies["value"].to_numpy(np.float32)
    return torch.from_numpy(features), torch.from_numpy((values - values.mean()) / values.std())


@pytest.fixture
def data(shared_data: Path) -> Rows:
    return table(shared_data)


def ours(data: Rows, batch: Sequence[int]) -> Model:
    network = build(ElemNet(kind="elemnet"), SIZES[0], seed=0)
    features, targets = data
    chosen = slice(batch[0], batch[-1] + 1)
    train(network, (features[chosen], targets[chosen]), Schedule(1, BATCH, RATE, 1e-4, seed=0))
    return partial(predict, network)


class Products:
    """The matrix products of training steps, on numbers of no meaning."""

    def __init__(self) -> None:
        half = torch.bfloat16 if bfloat16_is_fast() else torch.float32
        self.products: list[tuple[Tensor, Tensor, Tensor]] = []
        for before, after in pairwise(SIZES):
            units, gradient = torch.randn(BATCH, before).to(half), torch.randn(BATCH, after).to(half)
            weights = torch.randn(after, before).to(half)
            self.products.append((units, weights.T, torch.empty(BATCH, after, dtype=half)))
            # Turned beforehand, which a training has to do in each step: it is a third as fast on a transposed view.
            self.products.append((gradient.T.contiguous(), units, torch.empty(after, before, dtype=half)))
            if before != SIZES[0]:
                self.products.append((gradient, weights, torch.empty(BATCH, before, dtype=half)))
        self.operations = sum(2 * out.numel() * left.shape[1] for left, _, out in self.products)

    def __call__(self, batch: Sequence[int]) -> None:
        for _ in range(0, len(batch), BATCH):
            for left, right, out in self.products:
                torch.mm(left, right, out=out)


def plain_elemnet() -> nn.Sequential:
    """ElemNet as people write it."""
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(SIZES[:-1]), start=1):
        layers += [nn.Linear(before, after), nn.ReLU()]
        if number in ELEMNET_KEEP:
            layers.append(nn.Dropout(1 - ELEMNET_KEEP[number]))
    return nn.Sequential(*layers, nn.Linear(ELEMNET[-1], 1))


def loader(data: Rows, batch: Sequence[int]) -> DataLoader[tuple[Tensor, ...]]:
    rows = TensorDataset(*(tensor[batch[0] : batch[-1] + 1] for tensor in data))
    return DataLoader(rows, batch_size=BATCH, shuffle=True)


def predictor(model: nn.Module) -> Model:
    model.eval()
    return lambda features: model(features).detach().squeeze(-1)


def dataloader(data: Rows, batch: Sequence[int]) -> Model:
    """The loop of PyTorch's tutorials."""
    model = plain_elemnet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    loss_of = nn.SmoothL1Loss()
    model.train()
    for features, targets in loader(data, batch):
        optimizer.zero_grad()
        loss_of(model(features).squeeze(-1), targets).backward()
        optimizer.step()
    return predictor(model)


def lightning(data: Rows, batch: Sequence[int]) -> Model:
    """The same as Lightning's manual has it, without its logs, bars and checkpoints."""
    from pytorch_lightning import LightningModule, Trainer  # takes seconds  # noqa: PLC0415

    class ElemNetModule(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = plain_elemnet()

        def training_step(self, rows: Rows) -> Tensor:
            features, targets = rows
            return nn.functional.smooth_l1_loss(self.model(features).squeeze(-1), targets)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=RATE)

    module = ElemNetModule()
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would like processes that load the rows
        Trainer(accelerator="cpu", max_epochs=1, **quiet).fit(module, loader(data, batch))
    return predictor(module.model)


def scikit_learn(data: Rows, batch: Sequence[int]) -> Model:
    model = MLPRegressor(
        hidden_layer_sizes=ELEMNET, batch_size=BATCH, learning_rate_init=RATE, max_iter=1, random_state=0
    )
    features, targets = (tensor[batch[0] : batch[-1] + 1].numpy() for tensor in data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # one pass is what is wanted
        model.fit(features, targets)
    return lambda features: torch.from_numpy(model.predict(features.numpy()))


def passes(rows: int, rounds: int) -> list[range]:
    """The rows of each round, and of one to warm up, which is shorter."""
    return [range(2 * BATCH), *[range(rows)] * rounds]


def errors(data: Rows, batch: Sequence[int], ours: Model, peer: Model | None) -> str:
    """Say how far off the models are on rows that none has seen; after so few steps none knows anything."""
    features, targets = (tensor[-2000:] for tensor in data)
    found = [(model(features) - targets).abs().mean().item() for model in (ours, peer) if model]
    nothing = (targets - targets.median()).abs().mean().item()
    assert found[0] < 1.2 * nothing
    told = " and the peer's ".join(f"{error:.2f}" for error in found)
    return f"mean absolute error after {len(batch):,} rows {told}, of no model {nothing:.2f}, in units of the spread"


def test_the_share_of_the_matrix_products(contest: Contest, data: Rows) -> None:
    products = Products()
    contest(
        "pretrain-fraction-of-matmul",
        ours=partial(ours, data),
        peer=products,
        batches=passes(STEPS * BATCH, 5),
        check=lambda *answers: (
            errors(data, *answers)
            + f"; {products.operations / BATCH / 1e6:.1f} million operations of products in a row's step"
        ),
        unit="rows/s",
    )


@pytest.mark.parametrize(
    ("name", "peer"), [("dataloader", dataloader), ("lightning", lightning), ("sklearn", scikit_learn)]
)
def test_beside_what_people_write(
    contest: Contest, data: Rows, name: str, peer: Callable[[Rows, Sequence[int]], Model]
) -> None:
    contest(
        f"pretrain-vs-{name}",
        ours=partial(ours, data),
        peer=partial(peer, data),
        batches=passes(STEPS * BATCH, 3),
        check=partial(errors, data),
        unit="rows/s",
    )
