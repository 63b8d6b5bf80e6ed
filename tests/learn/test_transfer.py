"""Transfer uses the source's model without touching it, and pays where measurements are few."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.featurize import Table
from tasks.learn.fitted import Fitted
from tasks.learn.transfer import Choice, direct, featurizer, fine_tune, fit_choice, scratch
from tasks.recipe import Transfer

METHODS = [
    *map(Choice, ("scratch", "direct", "featurizer", "difference")),
    *(Choice("fine-tune", frozen) for frozen in (0, 2, 3)),
    *map(Choice, ("gradual unfreezing", "discriminative rates", "L2-SP")),
]
EACH = pytest.mark.parametrize("choice", METHODS, ids=lambda choice: f"{choice.method}-{choice.frozen}")


def mae(model: Fitted, table: Table) -> float:
    return float(np.mean(np.abs(model.predict(table) - table.values)))


def layers(model: Fitted, member: int = 0) -> list[dict[str, Tensor]]:
    """The weights of each layer of the trunk."""
    trunk = model.networks[member].trunk
    return [{name: value.clone() for name, value in layer.state_dict().items()} for layer in trunk]


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def few(make: Callable[..., Table]) -> Table:
    return make(40, 7, measured=True)


@pytest.fixture(scope="module")
def unseen(make: Callable[..., Table]) -> Table:
    return make(500, 8, measured=True)


@pytest.fixture(scope="module")
def quick(plan: Transfer) -> Transfer:
    """A plan for tests to which it does not matter how well a model predicts."""
    return plan.model_copy(update={"epochs": 3, "scratch_epochs": 3})


def test_with_few_rows_fine_tuning_and_featurizer_beat_scratch_and_direct(
    source: Fitted, few: Table, unseen: Table, plan: Transfer
) -> None:
    errors = {choice: mae(fit_choice(choice, source, few, plan, seed=0), unseen) for choice in METHODS}
    for transfer in (Choice("featurizer"), Choice("fine-tune", 0), Choice("fine-tune", 2), Choice("fine-tune", 3)):
        assert errors[transfer] < 0.6 * errors[Choice("scratch")]
        assert errors[transfer] < 0.6 * errors[Choice("direct")]


def test_fine_tuning_takes_up_a_constant_error_per_atom(source: Fitted, few: Table, plan: Transfer) -> None:
    tuned = fine_tune(source, few, plan, 3, seed=0)
    np.testing.assert_allclose(tuned.additive - source.additive, [8, -5, 3], atol=2)


def test_with_many_rows_scratch_learns_too(
    source: Fitted, make: Callable[..., Table], unseen: Table, few: Table, plan: Transfer
) -> None:
    many, shorter = make(400, 9, measured=True), plan.model_copy(update={"scratch_epochs": 30})
    assert mae(scratch(source, many, shorter, 0), unseen) < 0.6 * mae(scratch(source, few, plan, 0), unseen)


def test_direct_is_the_model_of_the_source(source: Fitted, few: Table, quick: Transfer) -> None:
    assert direct(source) is source
    assert fit_choice(Choice("direct"), source, few, quick, seed=0) is source


@EACH
def test_no_method_changes_the_model_of_the_source(source: Fitted, few: Table, quick: Transfer, choice: Choice) -> None:
    files = source.files()
    fit_choice(choice, source, few, quick, seed=0)
    assert source.files() == files
    assert source.networks[0].frozen == 0
    assert all(value.requires_grad for value in source.networks[0].parameters())


@EACH
def test_the_same_seed_gives_the_same_bytes(source: Fitted, few: Table, quick: Transfer, choice: Choice) -> None:
    one, again = (fit_choice(choice, source, few, quick, seed=1).files() for _ in range(2))
    assert one == again


@pytest.mark.parametrize("choice", [Choice("scratch"), Choice("fine-tune", 1)])
def test_another_seed_gives_another_fit(source: Fitted, few: Table, quick: Transfer, choice: Choice) -> None:
    fits = [fit_choice(choice, source, few, quick, seed=seed) for seed in (0, 1)]
    replanned = fit_choice(choice, source, few, quick.model_copy(update={"seed": 1}), seed=0)
    assert len({fit.files()["weights.safetensors"] for fit in (*fits, replanned)}) == 3


@pytest.mark.parametrize("frozen", [0, 1, 2, 3])
def test_frozen_layers_are_the_source_s_bit_for_bit_and_the_others_moved(
    source: Fitted, few: Table, quick: Transfer, frozen: int
) -> None:
    tuned = fine_tune(source, few, quick, frozen, seed=0)
    moved = [not same(old, new) for old, new in zip(layers(source), layers(tuned), strict=True)]
    assert moved == [False] * frozen + [True] * (3 - frozen)
    assert tuned.networks[0].frozen == frozen


def test_the_featurizer_keeps_the_whole_trunk_and_replaces_the_head(source: Fitted, few: Table) -> None:
    model = featurizer(source, few)
    assert all(map(same, layers(source), layers(model)))
    assert not torch.equal(model.networks[0].deep.weight, source.networks[0].deep.weight)
    features = torch.from_numpy(few.features)
    with torch.no_grad():
        torch.testing.assert_close(model.networks[0].represent(features), source.networks[0].represent(features))


def test_scratch_uses_nothing_of_the_source_but_the_kind_of_network(
    source: Fitted, few: Table, quick: Transfer
) -> None:
    other = deepcopy(source)
    with torch.no_grad():
        for value in other.networks[0].parameters():
            value.mul_(-3)
    other = Fitted(other.networks, other.additive + 100, 2 * other.scale, other.spec)
    assert scratch(other, few, quick, seed=0).files() == scratch(source, few, quick, seed=0).files()


def test_members_are_networks_of_their_own(source: Fitted, few: Table, quick: Transfer) -> None:
    three = quick.model_copy(update={"members": 3})
    for model in (scratch(source, few, three, 0), fine_tune(source, few, three, 1, 0)):
        assert len(model.networks) == 3
        assert len({tuple(member.deep.weight.flatten().tolist()) for member in model.networks}) == 3
    single = fine_tune(source, few, quick, 1, 0)
    assert same(single.networks[0].state_dict(), fine_tune(source, few, three, 1, 0).networks[0].state_dict())


def test_an_element_that_the_target_lacks_keeps_the_contribution_the_source_gave_it(
    source: Fitted, make: Callable[..., Table], quick: Transfer
) -> None:
    table = make(40, 7, measured=True)
    table.elements[:, 1] = 0
    for model in (featurizer(source, table), fine_tune(source, table, quick, 3, 0)):
        assert model.additive[1] == source.additive[1]
        assert model.additive[0] != source.additive[0]


def test_more_layers_than_the_network_has_cannot_be_frozen(source: Fitted, few: Table, quick: Transfer) -> None:
    with pytest.raises(ValueError, match="4 layers cannot be frozen: the trunk has 3"):
        fine_tune(source, few, quick, 4, seed=0)


@EACH
def test_training_rows_may_be_very_few(source: Fitted, few: Table, quick: Transfer, choice: Choice) -> None:
    model = fit_choice(choice, source, few.take(np.arange(3)), quick, seed=0)
    assert np.isfinite(model.predict(few)).all()
