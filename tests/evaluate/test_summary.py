"""The summary says of each method, size and part of the target what the outcomes say."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.evaluate.choices import Choices
from tasks.evaluate.comparison import Job, Outcome
from tasks.evaluate.metrics import errors
from tasks.evaluate.summary import DIFFERENCE, best_choice, predictions_table, summarise
from tasks.featurize import Table
from tasks.learn import Choice

ROWS, FOLDS = 60, 3
FOLD = np.arange(ROWS) % FOLDS
IN_SOURCE = np.arange(ROWS) % 4 == 0
# How far the predictions are off, in the source and not in it, by number of training rows; None is all of them.
MISSES = {10: {"scratch": (8.0, 16.0), "transfer": (2.0, 4.0)}, 20: {"scratch": (4.0, 8.0), "transfer": (2.0, 4.0)}}
FULL = {
    "scratch": (2.0, 3.0),
    "direct": (9.0, 9.0),
    "featurizer": (3.0, 3.0),
    "fine-tune": (1.0, 2.0),
    "transfer": (1.0, 2.0),
}
BASELINES = {"mean": (100.0, 100.0), "ridge": (4.0, 5.0), "boosted trees": (5.0, 4.0)}
INNER = {Choice("fine-tune", 0): 3.0, Choice("fine-tune", 2): 1.5, Choice("scratch"): 2.0}


def sign(row: int) -> int:
    return 1 if row % 2 else -1


@pytest.fixture
def target() -> Table:
    keys = np.array([f"KEY{row:02d}" for row in range(ROWS)], dtype=object)
    records = np.array([f"A:{row}" for row in range(ROWS)], dtype=object)
    values = 10.0 * np.arange(ROWS)
    return Table(np.zeros((ROWS, 1), np.float32), np.ones((ROWS, 1)), values, keys, records, np.zeros(1, np.float32))


def outcome(target: Table, fold: int, size: int | None, misses: dict[str, tuple[float, float]]) -> Outcome:
    held_out = np.flatnonzero(fold == FOLD)
    predictions = {
        method: np.array([target.values[row] + sign(row) * miss[0 if IN_SOURCE[row] else 1] for row in held_out])
        for method, miss in misses.items()
    }
    trained_on = ROWS - len(held_out) if size is None else size
    inner = {choice: mae + fold for choice, mae in INNER.items()}
    stack = Choice.stack({Choice("fine-tune", 2 * (fold % 2)): 0.25 * fold, Choice("direct"): 1 - 0.25 * fold})
    seconds = dict.fromkeys(misses, 1.0)
    choices = Choices(inner, stack, Choice("fine-tune", 2))
    return Outcome(Job(fold, size), trained_on, held_out, predictions, choices, seconds)


@pytest.fixture
def outcomes(target: Table) -> list[Outcome]:
    """The largest size first, as they come."""
    sizes = {None: FULL | BASELINES, 20: MISSES[20], 10: MISSES[10]}
    return [outcome(target, fold, size, misses) for size, misses in sizes.items() for fold in range(FOLDS)]


@pytest.fixture
def full(outcomes: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.job.size is None]


def test_the_errors_of_a_size_are_those_of_all_its_draws(target: Table, outcomes: list[Outcome]) -> None:
    worse = {method: (near + 2, far + 2) for method, (near, far) in MISSES[10].items()}
    drawn = [outcome(target, fold, 10, worse) for fold in range(FOLDS)]
    again = [replace(other, job=replace(other.job, draw=1)) for other in drawn]
    once, twice = (
        summarise(found, target, IN_SOURCE, seed=0)["learning_curve"] for found in (outcomes, outcomes + again)
    )
    assert twice[0]["scratch"]["mae"] == pytest.approx(once[0]["scratch"]["mae"] + 1)
    assert len(twice[0]["scratch"]["mae_per_fold"]) == FOLDS
    assert twice[0]["difference"]["mean"] == pytest.approx(once[0]["difference"]["mean"])
    assert twice[1:] == once[1:]


def test_the_metrics_have_these_parts(target: Table, outcomes: list[Outcome]) -> None:
    metrics = summarise(outcomes, target, IN_SOURCE, seed=0)
    assert set(metrics) == {"rows", "methods", "differences", "not in source", "learning_curve", "best"}
    assert metrics["rows"] == {"all": 60, "not in source": 45}
    assert set(metrics["methods"]) == set(FULL) | set(BASELINES)
    assert all(set(m) == {"mae", "median", "rmse", "r2", "mae_per_fold"} for m in metrics["methods"].values())
    assert set(metrics["differences"]) == {DIFFERENCE} == {"transfer - scratch"}
    assert set(metrics["differences"][DIFFERENCE]) == {"mean", "low", "high"}
    assert set(metrics["not in source"]) == {"methods", "differences"}
    assert set(metrics["not in source"]["methods"]) == set(metrics["methods"])
    assert {name for point in metrics["learning_curve"] for name in point} == {
        "size",
        "transfer",
        "scratch",
        "chosen",
        "difference",
        "difference not in source",
        "scratch needs",
        "scratch needs interval",
    }


def test_the_errors_are_those_of_all_rows_and_again_of_those_the_source_does_not_have(
    target: Table, outcomes: list[Outcome]
) -> None:
    metrics = summarise(outcomes, target, IN_SOURCE, seed=0)
    tuned, unseen = metrics["methods"]["fine-tune"], metrics["not in source"]["methods"]["fine-tune"]
    assert tuned["mae"] == pytest.approx((15 * 1 + 45 * 2) / 60)
    assert tuned["mae_per_fold"] == pytest.approx([1.75] * 3)
    assert (unseen["mae"], unseen["median"], unseen["rmse"]) == pytest.approx((2, 2, 2))
    assert metrics["methods"]["ridge"]["mae"] == pytest.approx((15 * 4 + 45 * 5) / 60)
    assert metrics["not in source"]["methods"]["ridge"]["mae"] == pytest.approx(5)
    assert metrics["not in source"]["methods"]["boosted trees"]["mae"] == pytest.approx(4)


def test_the_difference_is_fine_tuning_less_scratch(target: Table, outcomes: list[Outcome]) -> None:
    metrics = summarise(outcomes, target, IN_SOURCE, seed=0)
    assert metrics["differences"][DIFFERENCE] == pytest.approx({"mean": -1, "low": -1, "high": -1})
    assert metrics["not in source"]["differences"][DIFFERENCE] == pytest.approx({"mean": -1, "low": -1, "high": -1})
    first = metrics["learning_curve"][0]
    assert first["difference"]["mean"] == pytest.approx((15 * -6 + 45 * -12) / 60)
    assert first["difference"]["low"] < first["difference"]["mean"] < first["difference"]["high"]
    assert first["difference not in source"] == pytest.approx({"mean": -12, "low": -12, "high": -12})


def test_the_learning_curve_goes_from_the_smallest_size_to_all_rows(target: Table, outcomes: list[Outcome]) -> None:
    curve = summarise(outcomes, target, IN_SOURCE, seed=0)["learning_curve"]
    assert [point["size"] for point in curve] == [10, 20, 40]
    assert [point["scratch"]["mae"] for point in curve] == pytest.approx([14, 7, 2.75])
    assert [point["transfer"]["mae"] for point in curve] == pytest.approx([3.5, 3.5, 1.75])
    assert [point["chosen"] for point in curve] == [["fine-tune, 2 frozen"] * 3] * 3
    assert curve[0]["transfer"]["mae_per_fold"] == pytest.approx([3.5] * 3)


def test_what_scratch_needs_is_read_off_its_own_curve(target: Table, outcomes: list[Outcome]) -> None:
    curve = summarise(outcomes, target, IN_SOURCE, seed=0)["learning_curve"]
    needed = 20 * 2 ** (np.log(7 / 3.5) / np.log(7 / 2.75))
    assert curve[0]["scratch needs"] == pytest.approx(needed)
    assert curve[1]["scratch needs"] == pytest.approx(needed)
    assert curve[2]["scratch needs"] is None


def test_the_best_choice_is_made_by_the_inner_errors_of_the_full_training_set(
    target: Table, outcomes: list[Outcome], full: list[Outcome]
) -> None:
    best = summarise(outcomes, target, IN_SOURCE, seed=0)["best"]
    assert (best["method"], best["frozen"]) == ("fine-tune", 2)
    assert best["inner_mae"] == pytest.approx({"fine-tune, 0 frozen": 4.0, "fine-tune, 2 frozen": 2.5, "scratch": 3.0})
    assert best_choice(full) == Choice("fine-tune", 2)


def test_if_the_stack_is_best_its_weights_are_the_mean_of_those_of_the_folds(full: list[Outcome]) -> None:
    inner = {Choice("stack"): 0.1, Choice("fine-tune", 0): 3.0, Choice("fine-tune", 2): 1.5}
    stacked = [replace(outcome, choices=replace(outcome.choices, inner=inner)) for outcome in full]
    best = best_choice(stacked)
    assert best.method == "stack"
    assert dict(best.parts) == pytest.approx({Choice("fine-tune", 2): 0.25, Choice("direct"): 0.75})

    trifling = Choice.stack({Choice("fine-tune", 2): 0.98, Choice("direct"): 0.02})  # in one fold of three
    alone = Choice.stack({Choice("fine-tune", 2): 1.0})
    weights = [trifling, alone, alone]
    rarely = [replace(one, choices=replace(one.choices, stack=w)) for one, w in zip(stacked, weights, strict=True)]
    assert dict(best_choice(rarely).parts) == {Choice("fine-tune", 2): 1.0}


def test_repeats_count_each_row_again_with_folds_of_their_own(target: Table, full: list[Outcome]) -> None:
    worse = {method: (near + 2, far + 2) for method, (near, far) in (FULL | BASELINES).items()}
    repeated = [replace(outcome(target, fold, None, worse), job=Job(fold, None, 1)) for fold in range(FOLDS)]
    once, twice = (summarise(found, target, IN_SOURCE, seed=0) for found in (full, full + repeated))
    assert twice["rows"] == once["rows"]
    assert twice["methods"]["ridge"]["mae"] == pytest.approx(once["methods"]["ridge"]["mae"] + 1)
    assert twice["methods"]["fine-tune"]["mae_per_fold"] == pytest.approx([1.75] * 3 + [3.75] * 3)


def test_held_out_errors_have_no_say_in_the_choice(target: Table, outcomes: list[Outcome]) -> None:
    worse = {method: (50.0, 50.0) if method == "fine-tune" else miss for method, miss in (FULL | BASELINES).items()}
    spoilt = [outcome(target, o.job.fold, None, worse) if o.job.size is None else o for o in outcomes]
    metrics = summarise(spoilt, target, IN_SOURCE, seed=0)
    assert metrics["methods"]["fine-tune"]["mae"] == pytest.approx(50)
    assert metrics["best"]["method"] == "fine-tune"


def test_the_order_of_the_outcomes_makes_no_difference(target: Table, outcomes: list[Outcome]) -> None:
    there, back = (summarise(order, target, IN_SOURCE, seed=0) for order in (outcomes, outcomes[::-1]))
    assert there["learning_curve"] == back["learning_curve"]
    assert there["methods"] == back["methods"]


def test_every_row_is_in_the_table_with_what_was_predicted_while_it_was_held_out(
    target: Table, full: list[Outcome]
) -> None:
    table = predictions_table(full, target, IN_SOURCE)
    assert table["record"].tolist() == target.records.tolist()
    assert table["key"].tolist() == target.keys.tolist()
    assert table["value"].tolist() == target.values.tolist()
    assert table["fold"].tolist() == FOLD.tolist()
    assert table["in_source"].tolist() == IN_SOURCE.tolist()
    assert table["direct"].tolist() == [value + 9 * sign(row) for row, value in enumerate(target.values)]
    assert table["fine-tune"].notna().all()


def test_a_row_that_is_held_out_twice_is_refused(target: Table, full: list[Outcome]) -> None:
    with pytest.raises(ValueError, match="one-to-one"):
        predictions_table([*full, full[0]], target, IN_SOURCE)


@pytest.mark.parametrize("sizes", [[None], [None, 20]])
def test_errors_of_a_method_are_the_errors_of_its_column(
    target: Table, outcomes: list[Outcome], full: list[Outcome], sizes: list[int | None]
) -> None:
    chosen = [outcome for outcome in outcomes if outcome.job.size in sizes]
    table = predictions_table(full, target, IN_SOURCE)
    metrics = summarise(chosen, target, IN_SOURCE, seed=0)
    for method in (*FULL, *BASELINES):
        assert metrics["methods"][method] == errors(target.values, table[method].to_numpy(), FOLD)
