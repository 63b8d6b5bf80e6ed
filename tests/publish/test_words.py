"""The sentences say what the metrics say, whichever way a comparison went."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tasks.publish.words import chosen, headline, number, rivals, sentences, times, unseen, worth

Point = dict[str, Any]
METRICS = {"unit": "kJ/mol", "learning_curve": [{"size": 100}, {"size": 1575}]}


def point(errors: tuple[float, float], difference: tuple[float, float, float], needs: float | None) -> Point:
    """Return a point of a learning curve at 100 measurements."""
    return {
        "size": 100,
        "transfer": {"mae": errors[0]},
        "scratch": {"mae": errors[1]},
        "difference": dict(zip(("mean", "low", "high"), difference, strict=True)),
        "scratch needs": needs,
    }


def ascii_minus(said: str) -> str:
    return said.replace("\N{MINUS SIGN}", "-")


def test_where_transfer_helps_it_says_what_it_is_worth() -> None:
    won = point((59.2, 69.1), (-9.9, -13.2, -7.1), 171.4)
    assert ascii_minus(worth(METRICS, won)) == (
        "With 100 measurements transfer errs by 59 kJ/mol, training from scratch by 69: "
        "a difference of -10 (95 % interval -13 to -7). "
        "Scratch needs 171 measurements, 1.7 times as many, to be as good."
    )
    assert times(won) == "1.7"


def test_how_many_times_as_many_is_told_with_its_interval() -> None:
    won = point((59.2, 69.1), (-9.9, -13.2, -7.1), 171.4)
    told = {
        high: worth(METRICS, won | {"scratch needs interval": {"low": 148.0, "high": high}}) for high in (212.0, None)
    }
    assert "1.7 times as many (95 % interval 1.5 to 2.1), to be as good." in told[212.0]
    assert "1.7 times as many (95 % interval 1.5 or more), to be as good." in told[None]


def test_where_scratch_never_gets_as_good_it_says_so() -> None:
    won = point((59.2, 69.1), (-9.9, -13.2, -7.1), None)
    assert worth(METRICS, won).endswith(" Scratch is not as good with any number of the measurements at hand (1,575).")
    assert times(won) is None


@pytest.mark.parametrize("interval", [(-1.0, -4.0, 2.0), (-1.0, -2.0, 0.0), (0.0, 0.0, 0.0), (1.0, -2.0, 4.0)])
def test_where_the_interval_contains_zero_it_takes_no_side(interval: tuple[float, float, float]) -> None:
    said = worth(METRICS, point((60 + interval[0], 60), interval, 105.0))
    assert "the data do not tell the methods apart" in said
    assert "loses" not in said
    assert "Scratch needs" not in said


def test_where_transfer_loses_it_says_so() -> None:
    said = worth(METRICS, point((69.1, 59.2), (9.9, 7.1, 13.2), 50.0))
    assert said == (
        "With 100 measurements transfer loses: it errs by 69 kJ/mol, training from scratch by 59, "
        "a difference of 10 (95 % interval 7 to 13)."
    )


def test_a_curve_that_is_not_monotonic_claims_no_factor() -> None:
    said = worth(METRICS, point((59.2, 69.1), (-9.9, -13.2, -7.1), 80.0))
    assert "times as many" not in said


def test_digits_follow_the_uncertainty_and_add_up() -> None:
    fine = ascii_minus(worth(METRICS, point((27.6, 29.9), (-2.3, -3.1, -1.4), None)))
    assert "27.6 kJ/mol, training from scratch by 29.9: a difference of -2.3 (95 % interval -3.1 to -1.4)" in fine
    # 46 and 50 are not 5 apart: one digit more makes the sum right
    finer = ascii_minus(worth(METRICS, point((45.5, 50.1), (-4.6, -7.5, -1.9), None)))
    assert "45.5 kJ/mol, training from scratch by 50.1: a difference of -4.6 (95 % interval -7.5 to -1.9)" in finer
    # an interval that does not contain zero does not look as if it did
    assert "(95 % interval -5.0 to -0.4)" in ascii_minus(worth(METRICS, point((27.6, 30.0), (-2.4, -5, -0.4), None)))
    assert "-0.0 " not in ascii_minus(worth(METRICS, point((27.6, 28.0), (-0.4, -0.8, 0.0), None)))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(27.64, "27.6"), (0.09642, "0.0964"), (5583.5, "5,584"), (100.4, "100"), (-4.56, "-4.56"), (0.0, "0")],
)
def test_numbers_have_three_significant_digits(value: float, shown: str) -> None:
    assert ascii_minus(number(value)) == shown


def test_the_headline_is_about_the_published_method(compared: Any) -> None:
    metrics = compared.metrics
    errors, new = (part["methods"]["fine-tune"] for part in (metrics, metrics["not in source"]))
    said = headline(metrics)
    assert said.startswith("Fine-tuning with 2 layers frozen errs by")
    for value in (errors["mae"], errors["median"], new["mae"], new["median"]):
        assert number(value) in said
    assert "600 held-out molecules" in said
    scratch = metrics | {"best": {"method": "scratch", "frozen": 0, "parts": []}}
    assert headline(scratch).startswith("Training from scratch errs by")


def test_a_stack_is_told_with_the_weights_of_its_parts() -> None:
    parts = [
        {"method": "difference", "frozen": 0, "weight": 0.25},
        {"method": "fine-tune", "frozen": 1, "weight": 0.75},
    ]
    said = chosen({"best": {"method": "stack", "frozen": 0, "parts": parts}})
    assert said == ("the stack, a weighted mean of fine-tuning with 1 layer frozen (0.75), difference learning (0.25),")


def test_rivals_that_err_by_less_are_named(compared: Any) -> None:
    metrics = json.loads(json.dumps(compared.metrics))
    assert rivals(metrics) == "None of the other methods, plain baselines included, errs by less."
    metrics["methods"]["boosted trees"]["mae"] = 12.3
    assert "the boosted trees by 12.3 kJ/mol" in rivals(metrics)


def test_a_loss_on_unseen_molecules_is_told(compared: Any, make_comparison: Callable[..., Any]) -> None:
    assert unseen(compared.metrics).startswith("On the ")
    assert "loses" not in unseen(compared.metrics)
    assert "transfer loses" in unseen(make_comparison({50: (60, 50), None: (50, 30)}).metrics)


def test_choices_of_an_earlier_comparison_are_told(compared: Any) -> None:
    assert not any("older" in said for said in sentences(compared.metrics))
    kept = sentences({**compared.metrics, "kept": {"comparison": "0" * 16, "rows": 1965}})
    assert kept[-1].startswith("The choices of frozen layers and weights are older: a comparison of 1,965 molecules")


def test_all_sentences_are_sentences(compared: Any) -> None:
    said = sentences(compared.metrics)
    assert len(said) == 3 + len(compared.metrics["learning_curve"])
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in said)
