"""The gate lets pass what is better, or as good and learnt from more, and nothing that is not valid."""

import numpy as np
import pandas as pd
import pytest
from published import FOLDS, ROWS, candidate, predictions

from tasks.promote.account import account, headline
from tasks.promote.candidate import Candidate
from tasks.promote.gate import Decision, judge, pair
from tasks.promote.resampling import describe

OLD = range(300)  # the rows that the champion's snapshot has


@pytest.fixture(scope="module")
def champion() -> Candidate:
    return candidate(1, predictions(1.0, OLD))


def decide(table: pd.DataFrame, champion: Candidate | None, **how: float) -> Decision:
    decision = judge(candidate(2, table, **how), champion, 0.95)
    said = f"{headline(decision)}\n{account(decision)}"
    assert decision.verdict in said
    return decision


def shuffled(table: pd.DataFrame) -> pd.DataFrame:
    """The same predictions beside labels that belong to other rows, and a model that has learnt from these: nothing."""
    values = np.random.default_rng(3).permutation(table["value"])
    noise = np.random.default_rng(4).laplace(scale=0.1, size=len(table))
    return table.assign(value=values, **{"fine-tune": np.median(values) + noise, "mean": values.mean()})


def test_the_first_valid_bundle_is_champion() -> None:
    assert decide(predictions(1.0), None).promote


def test_a_better_challenger_takes_over_on_the_rows_that_both_held_out(champion: Candidate) -> None:
    decision = decide(predictions(0.8, seed=1), champion)
    assert decision.promote
    assert decision.comparison
    assert decision.comparison["rows"] == len(OLD)
    assert decision.comparison["difference"]["high"] < 0
    assert decision.comparison["not in source"]["rows"] == 200
    assert decision.verdict.startswith("It is better: on 300 rows that both held out it errs by ")


def test_a_worse_one_does_not_however_much_it_learnt_from(champion: Candidate) -> None:
    decision = decide(predictions(1.2, seed=1), champion, computed=9999)
    assert not decision.promote
    assert decision.verdict.startswith("It is not as good: ")


def test_one_that_is_better_only_on_rows_that_the_champion_has_not_seen_is_judged_by_the_others(
    champion: Candidate,
) -> None:
    table = predictions(1.2, seed=1)
    table.loc[len(OLD) :, "fine-tune"] = table["value"]
    decision = decide(table, champion)
    assert decision.challenger["mae"] < champion.facts()["mae"]
    assert not decision.promote


@pytest.mark.parametrize(
    ("rows", "computed", "said"),
    [
        (ROWS, 1000, "It is as good and learnt from more: "),
        (300, 2000, "It is as good and learnt from more: "),
        (300, 1000, "It is as good, but did not learn from more: "),
        (ROWS, 500, "It is as good, but did not learn from more: "),
    ],
    ids=["more measurements", "more computed rows", "the same", "more of one, less of the other"],
)
def test_as_good_a_challenger_takes_over_if_it_learnt_from_more(
    champion: Candidate, rows: int, computed: int, said: str
) -> None:
    decision = decide(predictions(1.0, range(rows), seed=2), champion, computed=computed)
    assert decision.comparison
    assert 0.05 < decision.comparison["difference"]["below"] < 0.95
    assert decision.promote is ("learnt from more" in said)
    assert decision.verdict.startswith(said)


def test_many_equals_are_no_decline(champion: Candidate) -> None:
    """What the data do not tell from the champion, but errs by more than a margin, is not as good."""
    few = range(0, 300, 8)
    decision = decide(predictions(1.06, [*few, *range(300, ROWS)], seed=5), champion)
    assert decision.comparison
    assert decision.comparison["difference"]["above"] < 0.95
    assert decision.comparison["difference"]["mean"] > 0.02 * decision.comparison["champion"]
    assert not decision.promote


def test_the_confidence_of_the_recipe_decides() -> None:
    one, other = candidate(1, predictions(1.0)), candidate(2, predictions(0.99, seed=9))
    sure = judge(other, one, 0.95).comparison["difference"]["below"]  # type: ignore[index]
    assert 0.6 < sure < 0.999
    assert judge(other, one, sure - 0.01).promote
    assert not judge(other, one, min(sure + 0.0009, 0.9999)).promote


def test_one_that_gains_by_a_source_that_holds_the_answers_does_not_take_over(champion: Candidate) -> None:
    table = predictions(1.3, seed=6)
    table.loc[table["in_source"], "fine-tune"] = table["value"]
    decision = decide(table, champion)
    assert decision.comparison
    assert decision.comparison["difference"]["below"] > 0.95
    assert not decision.promote
    assert "rows that neither source has" in decision.verdict


def test_labels_that_were_shuffled_are_no_reason_to_change_the_champion(champion: Candidate) -> None:
    table = shuffled(predictions(1.0))
    fooled = pair(candidate(2, table), champion)
    assert (fooled["challenger"].mean(), len(fooled)) < (
        np.abs(table["value"] - champion.predictions["value"]).mean(),
        301,
    )
    decision = decide(table, champion)
    assert not decision.promote
    assert "one number for all" in decision.verdict
    assert not decide(table, None).promote


def test_a_table_most_of_whose_values_have_changed_is_left_to_people(champion: Candidate) -> None:
    table = predictions(0.5)
    table[["value", "fine-tune", "scratch", "mean"]] *= 1.5
    decision = decide(table, champion)
    assert not decision.promote
    assert "300 of 300 rows have another value" in decision.verdict


def test_rows_with_another_value_have_no_say(champion: Candidate) -> None:
    table = predictions(0.8, seed=1)
    table.loc[:29, "value"] += 40
    decision = decide(table, champion)
    assert decision.promote
    assert decision.comparison
    assert (decision.comparison["rows"], decision.comparison["with another value"]) == (270, 30)


def test_rows_pair_whatever_their_order_and_the_names_of_their_records(champion: Candidate) -> None:
    table = predictions(0.8, seed=1).sample(frac=1, random_state=0)
    renamed = table.assign(record=[f"lab.csv:{row}" for row in range(ROWS)])
    assert decide(renamed, champion).comparison == decide(predictions(0.8, seed=1), champion).comparison
    pairs = pair(candidate(2, renamed), champion)
    assert pairs["same value"].all()
    assert pairs["key"].nunique() == 270


def test_a_key_that_has_gained_a_row_is_left_out(champion: Candidate) -> None:
    table = predictions(1.0)
    more = pd.concat([table, table.iloc[[0]].assign(record="isomer", value=1.0)], ignore_index=True)
    assert len(pair(candidate(2, more), champion)) == len(OLD) - 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.assign(fold=(table["fold"] + 1) % FOLDS), "held out in other folds"),
        (lambda table: table.iloc[280:], "only 20 rows in common"),
        (lambda table: table.iloc[300:], "only 0 rows in common"),
    ],
    ids=["folds", "few", "none"],
)
def test_what_cannot_be_compared_is_left_to_people(champion: Candidate, change: object, said: str) -> None:
    decision = decide(change(predictions(0.5)), champion)  # type: ignore[operator]
    assert not decision.promote
    assert said in decision.verdict
    assert "by hand" in decision.verdict


def test_another_unit_is_left_to_people(champion: Candidate) -> None:
    other = candidate(2, predictions(0.5))
    other.metrics["unit"] = "meV/atom"  # type: ignore[index]
    assert "one is in meV/atom, the other in eV" in judge(other, champion, 0.95).verdict


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"coverage": 0.78}, "intervals hold what they promise"),
        ({"weight": float("nan")}, "1 of 1 tensors"),
        ({"weight": float("inf")}, "1 of 1 tensors"),
    ],
)
def test_what_is_not_valid_is_not_promoted_even_if_it_is_better_or_alone(
    champion: Candidate, how: dict[str, float], said: str
) -> None:
    for other in (champion, None):
        decision = decide(predictions(0.5), other, **how)
        assert not decision.promote
        assert decision.verdict.startswith("The validation failed: ")
        assert said in decision.verdict


def test_an_error_that_is_no_number_is_not_promoted() -> None:
    table = predictions(0.5)
    table.loc[3, "fine-tune"] = float("nan")
    assert "1 of 400 held-out errors" in decide(table, None).verdict


def test_a_model_published_anew_takes_over_only_if_it_is_later() -> None:
    old, new = (candidate(number, predictions(1.0), model=7) for number in (1, 2))
    assert judge(new, old, 0.95).promote
    assert not judge(old, new, 0.95).promote


def test_near_copies_are_no_independent_evidence() -> None:
    random = np.random.default_rng(0)
    few = random.normal(0.1, 1, 20)
    alone = describe(few, np.arange(20).astype(object))
    copied = describe(np.repeat(few, 50), np.repeat(np.arange(20), 50).astype(object))
    assert copied == pytest.approx(alone)
    assert alone["low"] < alone["mean"] < alone["high"]
