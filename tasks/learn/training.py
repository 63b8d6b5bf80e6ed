"""The training loop: tensors in memory, one-cycle schedule, early stopping, the same bits for the same seed."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tasks.learn.networks import LayeredNetwork

LARGE = 256  # rows of a batch from which bfloat16 and several threads pay; below, they cost more than they save
BEND = 0.1  # where the loss turns from square to linear, in units of the targets' spread


@dataclass(frozen=True)
class Schedule:
    """How long, how fast and in which order.

    Attributes:
        epochs: passes over the rows.
        batch: rows per step.
        rate: peak learning rate of AdamW.
        decay: weight decay of AdamW.
        seed: of the order of the rows and of dropout.
        patience: epochs without a better validation error before it stops; None trains to the end.
    """

    epochs: int
    batch: int
    rate: float
    decay: float
    seed: int
    patience: int | None = None


@dataclass(frozen=True)
class Epoch:
    """What one pass over the rows came to.

    Attributes:
        number: counted from 1.
        loss: mean training loss.
        error: mean absolute error on the validation rows, in units of the targets; not a number without such rows.
    """

    number: int
    loss: float
    error: float


def train(
    network: LayeredNetwork,
    rows: tuple[Tensor, Tensor],
    schedule: Schedule,
    validation: tuple[Tensor, Tensor] | None = None,
    watch: Callable[[Epoch], None] = lambda _: None,
) -> list[Epoch]:
    """Train a network in place; with validation rows it ends with the weights of its best epoch.

    AdamW (arXiv:1711.05101) on a one-cycle schedule (arXiv:1708.07120) with the Huber loss. Frozen layers are passed
    once, before the first step. The matrix products of large batches are done in bfloat16 where the processor has it.

    Args:
        network: with its frozen layers set.
        rows: features (n, p) and targets (n,).
        schedule: how long and how fast.
        validation: the same for other rows, for early stopping.
        watch: called after each epoch.

    Returns:
        The epochs that were run.
    """
    features, targets = rows
    with torch.no_grad():
        units = network.units(features, 0, network.frozen)
    batch = min(schedule.batch, len(features))
    steps = schedule.epochs * math.ceil(len(features) / batch)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=schedule.rate, weight_decay=schedule.decay, fused=True)
    total = max(steps + 1, 6)  # of 5 steps the warm-up would be none, by which the scheduler divides
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, schedule.rate, total_steps=total, pct_start=0.2)
    large = batch >= LARGE
    epochs: list[Epoch] = []
    best = _Best(network)
    with torch.random.fork_rng(devices=[]), _threads(torch.get_num_threads() if large else 1):
        torch.manual_seed(schedule.seed)
        for number in range(1, schedule.epochs + 1):
            network.train()
            missed = torch.zeros(())
            for chosen in torch.randperm(len(features)).split(batch):
                with torch.autocast("cpu", torch.bfloat16, enabled=large and bfloat16_is_fast()):
                    predicted = network(features[chosen], units[chosen])
                loss = nn.functional.smooth_l1_loss(predicted.float(), targets[chosen], beta=BEND)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                scheduler.step()
                missed += loss.detach() * len(chosen)
            error = mean_absolute_error(network, validation) if validation else math.nan
            epochs.append(Epoch(number, (missed / len(features)).item(), error))
            watch(epochs[-1])
            if validation and best.is_past(epochs[-1], schedule.patience):
                break
    if validation:
        best.restore()
    network.eval()
    return epochs


class _Best:
    """The weights of the best epoch so far."""

    def __init__(self, network: LayeredNetwork) -> None:
        self.network = network
        self.error = math.inf
        self.number = 0
        self.weights: dict[str, Tensor] = {}

    def is_past(self, epoch: Epoch, patience: int | None) -> bool:
        """Keep the weights if this epoch is the best; tell whether the best is more than `patience` epochs ago."""
        if epoch.error < self.error:
            self.error, self.number = epoch.error, epoch.number
            self.weights = {name: value.clone() for name, value in self.network.state_dict().items()}
        return patience is not None and epoch.number - self.number >= patience

    def restore(self) -> None:
        """Put the best weights back."""
        self.network.load_state_dict(self.weights)


def predict(network: LayeredNetwork, features: Tensor) -> Tensor:
    """Return the predictions (n,) for (n, p) features, without dropout and in single precision."""
    network.eval()
    with torch.no_grad():
        return torch.cat([network(part) for part in features.split(8192)])


def represent(network: LayeredNetwork, features: Tensor) -> Tensor:
    """Return what the head's linear layer sees of (n, p) features: (n, w)."""
    network.eval()
    with torch.no_grad():
        return torch.cat([network.represent(part) for part in features.split(8192)])


def mean_absolute_error(network: LayeredNetwork, rows: tuple[Tensor, Tensor]) -> float:
    """Return the mean absolute error on (features, targets), in units of the targets."""
    features, targets = rows
    return (predict(network, features) - targets).abs().mean().item()


def bfloat16_is_fast() -> bool:
    """Tell whether the processor multiplies matrices in bfloat16: elsewhere it is emulated, and slower than float32."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Let PyTorch use so many threads inside the `with` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
