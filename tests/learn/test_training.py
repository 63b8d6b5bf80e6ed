"""Training learns, stops in time, and comes to the same bits for the same seed."""

import copy
import math
import multiprocessing
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn

from tasks.learn.group import in_group
from tasks.learn.networks import LayeredNetwork, build
from tasks.learn.training import (
    BEND,
    LARGE,
    Epoch,
    Schedule,
    _train,
    bfloat16_is_fast,
    mean_absolute_error,
    predict,
    train,
)
from tasks.recipe import ElemNet, Network, Residual

RESIDUAL = Residual(kind="residual", width=32, blocks=2)
ELEMNET = ElemNet(kind="elemnet")
SHORT = Schedule(epochs=3, batch=8, rate=0.003, decay=0.01, seed=5)

# Trains in a process of its own, and says whether that has loaded what takes two seconds.
PROGRAM = """
import sys, torch
from tasks.learn.networks import build
from tasks.learn.training import Schedule, train
from tasks.recipe import Residual
network = build(Residual(kind="residual", width=8, blocks=1), 5, seed=0)
train(network, (torch.ones(9, 5), torch.ones(9)), Schedule(epochs=1, batch=8, rate=0.003, decay=0.01, seed=5))
print({"sympy", "torch._inductor"} & set(sys.modules))
"""


def rows(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features and targets that are learnt but for some noise."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 5, generator=generator)
    return features, torch.tanh(features[:, 0] + features[:, 1]) + 0.3 * torch.randn(count, generator=generator)


def trained(schedule: Schedule, count: int = 32, network: Network = RESIDUAL) -> dict[str, Tensor]:
    built = build(network, 5, seed=0)
    train(built, rows(count), schedule)
    return built.state_dict()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def train_by_hand(network: LayeredNetwork, data: tuple[Tensor, Tensor], schedule: Schedule) -> None:
    """Every step through all layers, the frozen ones too; one thread and single precision throughout."""
    features, targets = data
    steps = schedule.epochs * math.ceil(len(features) / schedule.batch)
    learning = [value for value in network.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=schedule.rate, weight_decay=schedule.decay)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, schedule.rate, total_steps=steps + 1, pct_start=0.2)
    torch.manual_seed(schedule.seed)
    for _ in range(schedule.epochs):
        network.train()
        for chosen in torch.randperm(len(features)).split(schedule.batch):
            loss = nn.functional.smooth_l1_loss(network(features[chosen]), targets[chosen], beta=BEND)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
    network.eval()


@pytest.mark.parametrize("epochs", range(1, 8))
def test_any_number_of_steps_is_enough(epochs: int) -> None:
    assert len(train(build(RESIDUAL, 5, seed=0), rows(8), Schedule(epochs, 8, 0.01, 0, 0))) == epochs


def test_a_tiny_set_is_memorised() -> None:
    network = build(RESIDUAL, 5, seed=0)
    data = rows(16)
    epochs = train(network, data, Schedule(epochs=200, batch=16, rate=0.01, decay=0, seed=0))
    assert [epoch.number for epoch in epochs] == list(range(1, 201))
    assert epochs[-1].loss < 0.01 * epochs[0].loss
    assert mean_absolute_error(network, data) < 0.02


def test_elemnet_learns_too() -> None:
    network = build(ELEMNET, 5, seed=0)
    data = rows(16)
    before = mean_absolute_error(network, data)
    train(network, data, Schedule(epochs=30, batch=16, rate=0.001, decay=0, seed=0))
    assert mean_absolute_error(network, data) < 0.7 * before


@pytest.mark.parametrize(("count", "batch"), [(32, 8), (LARGE + 44, LARGE)], ids=["small batches", "large batches"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(count: int, batch: int) -> None:
    one, again, other = (trained(Schedule(3, batch, 0.003, 0.01, seed), count) for seed in (1, 1, 2))
    assert same(one, again)
    assert not same(one, other)


def test_dropout_follows_the_seed_and_not_the_global_random_state() -> None:
    schedule = Schedule(epochs=1, batch=16, rate=0.001, decay=0, seed=1)
    first = trained(schedule, 16, ELEMNET)
    torch.rand(7)
    assert same(trained(schedule, 16, ELEMNET), first)


def test_training_leaves_random_state_and_threads_as_they_were() -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    trained(SHORT)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("network", "frozen"), [(RESIDUAL, 0), (RESIDUAL, 2), (RESIDUAL, 3), (ELEMNET, 4)])
def test_passing_frozen_layers_once_comes_to_the_same_as_passing_them_in_each_step(
    network: Network, frozen: int
) -> None:
    quick, slow = (build(network, 5, seed=0).eval() for _ in range(2))
    data = rows(20)
    schedule = SHORT if network == RESIDUAL else Schedule(epochs=2, batch=8, rate=0.003, decay=0.01, seed=5)
    for built in (quick, slow):
        built.freeze(frozen)
    train(quick, data, schedule)
    train_by_hand(slow, data, schedule)
    start = build(network, 5, seed=0).eval()
    torch.testing.assert_close(quick.state_dict(), slow.state_dict(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(predict(quick, data[0]), predict(slow, data[0]), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(predict(start, data[0]), predict(quick, data[0]), rtol=1e-3, atol=1e-3)


def test_it_stops_when_the_validation_error_has_not_improved_for_the_patience_and_ends_with_the_best_weights() -> None:
    network = build(RESIDUAL, 5, seed=0)
    seen: list[Epoch] = []
    weights: list[dict[str, Tensor]] = []

    def watch(epoch: Epoch) -> None:
        seen.append(epoch)
        weights.append(copy.deepcopy(network.state_dict()))

    validation = rows(64, seed=1)
    schedule = Schedule(epochs=200, batch=8, rate=0.01, decay=0, seed=0, patience=7)
    epochs = train(network, rows(24), schedule, validation, watch)
    assert epochs == seen
    best = min(range(len(epochs)), key=lambda place: epochs[place].error)
    assert best > 0
    assert len(epochs) == best + 1 + 7 < 200
    assert same(network.state_dict(), weights[best])
    assert not same(weights[best], weights[-1])
    assert mean_absolute_error(network, validation) == epochs[best].error


def test_without_patience_it_trains_to_the_end_and_still_keeps_the_best() -> None:
    network = build(RESIDUAL, 5, seed=0)
    validation = rows(64, seed=1)
    epochs = train(network, rows(24), Schedule(epochs=40, batch=8, rate=0.01, decay=0, seed=0), validation)
    assert len(epochs) == 40
    assert mean_absolute_error(network, validation) == min(epoch.error for epoch in epochs) < epochs[-1].error


def test_without_validation_rows_there_is_no_error_and_no_stop() -> None:
    epochs = train(build(RESIDUAL, 5, seed=0), rows(8), Schedule(5, 8, 0.01, 0, 0, patience=1))
    assert len(epochs) == 5
    assert all(math.isnan(epoch.error) and math.isfinite(epoch.loss) for epoch in epochs)


def test_validation_rows_do_not_change_what_is_learnt_from_the_training_rows() -> None:
    losses = [
        [epoch.loss for epoch in train(build(RESIDUAL, 5, seed=0), rows(24), SHORT, validation)]
        for validation in (None, rows(9, seed=1), rows(50, seed=2))
    ]
    assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize("batch", [5, 1000, LARGE])
def test_a_batch_larger_than_the_data_is_all_of_them(batch: int) -> None:
    assert same(trained(Schedule(3, batch, 0.003, 0, 0), 5), trained(Schedule(3, 5, 0.003, 0, 0), 5))


@pytest.mark.parametrize("count", [1, 9])
def test_a_last_batch_of_one_row_is_trained_on(count: int) -> None:
    network = build(RESIDUAL, 5, seed=0)
    epochs = train(network, rows(count), SHORT)
    assert all(math.isfinite(epoch.loss) for epoch in epochs)
    assert not same(network.state_dict(), build(RESIDUAL, 5, seed=0).state_dict())


def test_the_trained_network_is_ready_to_predict() -> None:
    network = build(ELEMNET, 5, seed=0)
    train(network, rows(8), Schedule(1, 8, 0.001, 0, 0))
    assert not network.training
    assert torch.equal(network(rows(8)[0]), network(rows(8)[0]))


def test_predictions_of_many_rows_are_those_of_their_parts() -> None:
    network = build(RESIDUAL, 5, seed=0)
    features, _ = rows(9000)
    train(network, rows(32), SHORT)
    torch.testing.assert_close(
        predict(network, features), torch.cat([predict(network, features[i : i + 3000]) for i in (0, 3000, 6000)])
    )


def test_whether_bfloat16_is_fast_is_a_plain_yes_or_no() -> None:
    capabilities = torch.cpu.get_capabilities()
    assert bfloat16_is_fast() is any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))


def start_of_transfer() -> LayeredNetwork:
    """A network that has learnt something."""
    network = build(RESIDUAL, 5, seed=0)
    train(network, rows(32, seed=9), SHORT)
    return network


def moved(before: LayeredNetwork, after: LayeredNetwork) -> list[float]:
    """How far each layer of the trunk, then the head's, is from where it was, per weight."""
    pairs = zip((*before.trunk, before.deep), (*after.trunk, after.deep), strict=True)
    both = [
        (nn.utils.parameters_to_vector(one.parameters()), nn.utils.parameters_to_vector(other.parameters()))
        for one, other in pairs
    ]
    return [(one - other).abs().mean().item() for one, other in both]


def fine_tuned(schedule: Schedule, frozen: int = 0) -> tuple[LayeredNetwork, LayeredNetwork]:
    """A network before and after it was trained on other rows."""
    before, after = start_of_transfer(), start_of_transfer()
    after.freeze(frozen)
    train(after, rows(48, seed=1), schedule)
    return before, after


@pytest.mark.parametrize(("batch", "count"), [(8, 32), (LARGE, 2 * LARGE)], ids=["small batches", "large batches"])
def test_the_averaged_weights_are_those_of_the_paper_and_are_what_is_returned(batch: int, count: int) -> None:
    network, plain = (build(RESIDUAL, 5, seed=0) for _ in range(2))
    steps = count // batch
    lengthy = Schedule(epochs=steps, batch=count, rate=0.01, decay=0, seed=0)  # a step each, to look at them all
    mean, seen = copy.deepcopy(plain.state_dict()), 0

    def watch(epoch: Epoch) -> None:
        nonlocal seen
        seen = epoch.number
        share = min(0.5, (1 + seen) / (10 + seen))
        for name, value in plain.state_dict().items():
            mean[name] = share * mean[name] + (1 - share) * value

    train(plain, rows(count), lengthy, watch=watch)
    train(network, rows(count), replace(lengthy, average=0.5))
    assert seen == steps
    torch.testing.assert_close(network.state_dict(), mean, rtol=1e-5, atol=1e-6)
    assert not same(network.state_dict(), plain.state_dict())


def test_the_average_is_what_is_validated() -> None:
    network = build(RESIDUAL, 5, seed=0)
    validation = rows(64, seed=1)
    schedule = Schedule(epochs=30, batch=8, rate=0.01, decay=0, seed=0, average=0.9)
    epochs = train(network, rows(24), schedule, validation)
    assert mean_absolute_error(network, validation) == min(epoch.error for epoch in epochs)


def test_an_average_is_steadier_than_the_weights_it_is_made_of() -> None:
    validation = rows(64, seed=1)

    def jumps(average: float) -> float:
        schedule = Schedule(epochs=40, batch=8, rate=0.02, decay=0, seed=0, average=average)
        errors = [epoch.error for epoch in train(build(RESIDUAL, 5, seed=0), rows(64), schedule, validation)]
        return sum(abs(after - before) for before, after in pairwise(errors[5:]))

    assert jumps(0.98) < 0.5 * jumps(0)


def test_averaging_does_not_change_what_is_averaged() -> None:
    losses = [
        [epoch.loss for epoch in train(build(RESIDUAL, 5, seed=0), rows(24), replace(SHORT, average=average))]
        for average in (0, 0.9)
    ]
    assert losses[0] == losses[1]


def test_with_discriminative_rates_a_layer_moves_less_the_farther_it_is_from_the_head() -> None:
    one_step = Schedule(
        epochs=1, batch=48, rate=0.001, decay=0, seed=0
    )  # a step of Adam's is the rate, whatever the gradient
    alike = moved(*fine_tuned(one_step))
    falling = moved(*fine_tuned(replace(one_step, fall=2.6)))
    ratios = [less / more for less, more in zip(falling, alike, strict=True)]
    assert ratios == pytest.approx([2.6**-3, 2.6**-2, 2.6**-1, 1], rel=0.01)


@pytest.mark.parametrize(
    ("epochs", "always", "frozen"),
    [
        (4, 0, [3, 2, 1, 0]),
        (8, 0, [3, 3, 2, 2, 1, 1, 0, 0]),
        (6, 2, [3, 3, 3, 2, 2, 2]),
        (2, 0, [2, 0]),
        (3, 3, [3, 3, 3]),
    ],
)
def test_gradual_unfreezing_gives_each_layer_an_equal_share_of_the_epochs(
    epochs: int, always: int, frozen: list[int]
) -> None:
    schedule = Schedule(epochs, 8, 0.01, 0.1, 0, gradual=True)
    assert [schedule.frozen(number, 3, always) for number in range(1, epochs + 1)] == frozen


@pytest.mark.parametrize(("batch", "count"), [(8, 48), (LARGE, 2 * LARGE)], ids=["small batches", "large batches"])
@pytest.mark.parametrize("network", [RESIDUAL, ELEMNET], ids=["residual", "elemnet"])
def test_a_layer_has_not_moved_a_bit_before_its_turn(network: Network, batch: int, count: int) -> None:
    always = 1 if network == RESIDUAL else 13
    built = build(network, 5, seed=0)
    built.freeze(always)
    layers = [copy.deepcopy(layer.state_dict()) for layer in built.trunk]
    still: list[int] = []

    def watch(_: Epoch) -> None:
        now = [same(layer.state_dict(), before) for layer, before in zip(built.trunk, layers, strict=True)]
        assert now == sorted(now, reverse=True)
        still.append(sum(now))

    turns = len(built.trunk) - always + 1
    if network == RESIDUAL:
        nn.init.normal_(built.deep.weight)  # a new head of zeros lets nothing through in the first step
        layers = [copy.deepcopy(layer.state_dict()) for layer in built.trunk]
    train(built, rows(count), Schedule(2 * turns, batch, 0.01, 0.5, 0, gradual=True), watch=watch)
    assert still == [layers for layers in range(len(built.trunk), always - 1, -1) for _ in range(2)]
    assert built.frozen == always


def test_gradual_unfreezing_that_stops_early_leaves_as_many_layers_frozen_as_there_were() -> None:
    network = build(RESIDUAL, 5, seed=0)
    network.freeze(1)
    schedule = Schedule(30, 8, 0.05, 0, 0, patience=1, gradual=True)
    assert len(train(network, rows(24), schedule, rows(24, seed=1))) < 30
    assert network.frozen == 1


def test_a_huge_pull_keeps_the_weights_where_they_started_and_a_small_one_near() -> None:
    schedule = Schedule(epochs=20, batch=8, rate=0.003, decay=0.01, seed=0)
    free, near, held = (sum(moved(*fine_tuned(replace(schedule, pull=pull)))) for pull in (0, 10, 1e12))
    assert held < 1e-4 * free
    assert held < near < 0.9 * free


def test_a_pull_replaces_the_decay_towards_zero() -> None:
    schedule = Schedule(epochs=2, batch=8, rate=0.003, decay=0.01, seed=0, pull=1)
    ends = [fine_tuned(replace(schedule, decay=decay))[1].state_dict() for decay in (0, 0.5)]
    assert same(*ends)


@pytest.mark.parametrize("variant", [{"average": 0.9}, {"fall": 2.6}, {"gradual": True}, {"pull": 1.0}], ids=str)
@pytest.mark.parametrize(("batch", "count"), [(8, 48), (LARGE, LARGE + 9)], ids=["small batches", "large batches"])
def test_whatever_the_variant_frozen_layers_keep_their_bits_and_a_seed_repeats(
    variant: dict[str, Any], batch: int, count: int
) -> None:
    schedule = Schedule(epochs=4, batch=batch, rate=0.01, decay=0.5, seed=3, **variant)
    ends = []
    for _ in range(2):
        network = start_of_transfer()
        network.freeze(2)
        train(network, rows(count), schedule)
        ends.append(network)
    before = start_of_transfer()
    assert same(ends[0].state_dict(), ends[1].state_dict())
    assert same(ends[0].trunk[:2].state_dict(), before.trunk[:2].state_dict())
    assert not same(ends[0].trunk[2].state_dict(), before.trunk[2].state_dict())


def test_in_bfloat16_it_comes_to_the_bits_of_autocast() -> None:
    if not bfloat16_is_fast():
        pytest.skip("the processor has no bfloat16")
    ours, theirs = (build(RESIDUAL, 5, seed=0) for _ in range(2))
    features, targets = rows(LARGE)
    train(ours, (features, targets), Schedule(6, LARGE, 0.003, 0.01, 5))
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=0.003, weight_decay=0.01, fused=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.003, total_steps=7, pct_start=0.2)
    torch.manual_seed(5)
    for _ in range(6):
        chosen = torch.randperm(LARGE)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = theirs.train()(features[chosen])
        optimizer.zero_grad()
        nn.functional.smooth_l1_loss(predicted.float(), targets[chosen], beta=BEND).backward()
        optimizer.step()
        scheduler.step()
    assert same(ours.state_dict(), theirs.state_dict())


def test_training_on_a_processor_loads_no_compiler() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert ended.stdout == "set()\n"


def test_two_processes_that_share_each_batch_come_to_the_weights_of_one() -> None:
    count = 25  # of the last batch's one row, one of them has nothing
    alone, shared = (build(RESIDUAL, 5, seed=0) for _ in range(2))
    seen: list[Epoch] = []
    schedule = Schedule(epochs=4, batch=8, rate=0.003, decay=0.01, seed=5, average=0.5)
    expected = train(alone, rows(count), schedule, rows(9, seed=1))
    found = in_group(2, _train, shared, rows(count), schedule, rows(9, seed=1), watch=seen.append)
    assert found == seen
    assert [epoch.loss for epoch in found] == pytest.approx([epoch.loss for epoch in expected], rel=1e-4)
    assert [epoch.error for epoch in found] == pytest.approx([epoch.error for epoch in expected], rel=1e-4)
    torch.testing.assert_close(shared.state_dict(), alone.state_dict(), rtol=1e-4, atol=1e-5)
    assert not same(shared.state_dict(), build(RESIDUAL, 5, seed=0).state_dict())


def test_processes_that_share_their_batches_stop_together_and_drop_out_units_of_their_own() -> None:
    ends = []
    for _ in range(2):
        network = build(ELEMNET, 5, seed=0)
        schedule = Schedule(epochs=40, batch=8, rate=0.003, decay=0, seed=0, patience=1)
        epochs = in_group(2, _train, network, rows(16), schedule, rows(16, seed=1), watch=lambda _: None)
        assert len(epochs) < 40
        ends.append(network.state_dict())
    assert same(*ends)


def test_what_fails_in_this_process_ends_the_others() -> None:
    def fail(_: Epoch) -> None:
        raise ZeroDivisionError

    before = multiprocessing.active_children()
    with pytest.raises(ZeroDivisionError):
        in_group(2, _train, build(RESIDUAL, 5, seed=0), rows(32), SHORT, None, watch=fail)
    assert multiprocessing.active_children() == before
    assert not distributed.is_initialized()
