"""Training learns, stops in time, and comes to the same bits for the same seed."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from tasks.learn.networks import LayeredNetwork, build
from tasks.learn.training import BEND, LARGE, Epoch, Schedule, bfloat16_is_fast, mean_absolute_error, predict, train
from tasks.recipe import ElemNet, Network, Residual

RESIDUAL = Residual(kind="residual", width=32, blocks=2)
ELEMNET = ElemNet(kind="elemnet")
SHORT = Schedule(epochs=3, batch=8, rate=0.003, decay=0.01, seed=5)


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
