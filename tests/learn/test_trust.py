"""What must be true for any result to be trusted: what is frozen is frozen, and what can be learnt is learnt."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.featurize import Table
from tasks.learn.fitted import Fitted, fit_additive
from tasks.learn.networks import LayeredNetwork, build
from tasks.learn.transfer import fine_tune, scratch
from tasks.recipe import ElemNet, Network, Residual, Transfer

RESIDUAL = Residual(kind="residual", width=32, blocks=3)
ELEMNET = ElemNet(kind="elemnet")
EVERY_DEPTH = [(network, frozen) for network in (RESIDUAL, ELEMNET) for frozen in range(network.layers + 1)]


def untrained(network: Network, table: Table) -> Fitted:
    """A model of the source whose weights are all random: nothing stays as it was because it was zero."""
    built = build(network, table.features.shape[1], seed=3).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in built.parameters():
            value.add_(0.01 * torch.randn(value.shape, generator=generator))
    return Fitted([built], fit_additive(table.elements, table.values), 10.0, network)


def frozen_state(network: LayeredNetwork, frozen: int) -> dict[str, bytes]:
    """Weights, biases, normalisation and buffers of the first layers, to the bit."""
    return {name: value.numpy().tobytes() for name, value in network.trunk[:frozen].state_dict().items()}


def units(network: LayeredNetwork, frozen: int, features: Tensor) -> bytes:
    """What the frozen layers make of the features, to the bit."""
    with torch.no_grad():
        return network.units(features, 0, frozen).numpy().tobytes()  # type: ignore[no-any-return]


@pytest.mark.parametrize(("network", "frozen"), EVERY_DEPTH, ids=lambda value: getattr(value, "kind", value))
def test_frozen_layers_are_the_same_bits_before_and_after_fine_tuning_and_so_is_what_they_make_of_a_row(
    make: Callable[..., Table], plan: Transfer, network: Network, frozen: int
) -> None:
    few = make(24, 7, measured=True)
    source = untrained(network, few)
    features = torch.from_numpy(few.features)
    before = frozen_state(source.networks[0], frozen), units(source.networks[0], frozen, features)
    tuned = fine_tune(source, few, plan.model_copy(update={"epochs": 2, "decay": 0.1}), frozen, seed=0).networks[0]
    assert (frozen_state(tuned, frozen), units(tuned, frozen, features)) == before
    assert len(before[0]) == len(tuned.trunk[:frozen].state_dict())
    rest = tuned.state_dict().keys() - {f"trunk.{name}" for name in before[0]}
    start = source.networks[0].state_dict()
    assert any(not torch.equal(tuned.state_dict()[name], start[name]) for name in rest)


class Counting(torch.nn.BatchNorm1d):
    """A layer with buffers that change with each pass in training: running mean, running variance, passes."""


def test_the_running_statistics_of_a_frozen_layer_stand_still_and_those_of_others_run(
    make: Callable[..., Table], plan: Transfer
) -> None:
    few = make(24, 7, measured=True)
    source = untrained(RESIDUAL, few)
    for block in (1, 2):
        source.networks[0].trunk[block].norm = Counting(32)
    source.networks[0].eval()
    tuned = fine_tune(source, few, plan.model_copy(update={"epochs": 2}), 2, seed=0).networks[0]
    norms = [tuned.trunk[block].norm for block in (1, 2)]
    assert [int(norm.num_batches_tracked) for norm in norms] == [0, 4]
    assert torch.equal(norms[0].running_mean, torch.zeros(32))
    assert not torch.equal(norms[1].running_mean, torch.zeros(32))


@pytest.mark.parametrize("method", ["scratch", "fine-tune"])
def test_64_rows_are_memorised_even_if_their_values_are_noise(
    make: Callable[..., Table], source: Fitted, plan: Transfer, method: str
) -> None:
    table = make(64, 5, measured=True)
    table.values[:] = np.random.default_rng(0).permutation(table.values)
    pace = {"epochs": 300, "scratch_epochs": 300, "rate": 0.005, "scratch_rate": 0.01, "batch": 32, "decay": 0.0}
    long = plan.model_copy(update=pace)
    model = scratch(source, table, long, 0) if method == "scratch" else fine_tune(source, table, long, 0, 0)
    missed = np.abs(model.predict(table) - table.values)
    assert missed.mean() < 0.02 * np.abs(table.values - table.values.mean()).mean()
