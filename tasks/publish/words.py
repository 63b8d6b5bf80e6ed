"""What the metrics say, as plain sentences: for the card, the command line and the dashboard."""

import math
from collections.abc import Mapping
from typing import Any

Metrics = Mapping[str, Any]

NAMES = {
    "fine-tune": "fine-tuning",
    "difference": "difference learning",
    "stack": "the stack of all that use the source",
    "gradual unfreezing": "fine-tuning with gradual unfreezing",
    "discriminative rates": "fine-tuning with discriminative rates",
    "L2-SP": "fine-tuning with L2-SP",
    "featurizer": "the featurizer",
    "direct": "the source's model as it is",
    "scratch": "training from scratch",
    "ridge": "ridge regression",
    "boosted trees": "the boosted trees",
    "mean": "the mean of the measurements",
}
TRANSFER = "transfer"
DIFFERENCE = f"{TRANSFER} - scratch"
LEFT_OUT = {"clusters": "all {of} of a cluster", "elements": "all {of} with an element"}


def sentences(metrics: Metrics) -> list[str]:
    """Return all there is to say: the published method, its rivals, what transfer is worth at each size and beyond."""
    curve = [worth(metrics, point) for point in metrics["learning_curve"]]
    return [headline(metrics), rivals(metrics), *curve, unseen(metrics), *extrapolating(metrics), *kept(metrics)]


def kept(metrics: Metrics) -> list[str]:
    """Say on how many measurements the choices were made, if they are those of an earlier comparison."""
    if "kept" not in metrics:
        return []
    rows, name = metrics["kept"]["rows"], metrics["kept"]["comparison"]
    made = f"a comparison of {rows:,} {metrics['of']} ({name}) made them, those of each fold without its rows"
    return [f"The choices of frozen layers and weights are older: {made}."]


def verdict(metrics: Metrics, difference: Mapping[str, float]) -> str:
    """Say in one sentence whether transfer is better than training from scratch, by how much, and how sure that is.

    Args:
        metrics: of the comparison.
        difference: of the absolute errors of transfer less those of scratch, on all held-out rows.
    """
    errors = metrics["methods"][TRANSFER]["mae"], metrics["methods"]["scratch"]["mae"]
    said, apart = _said(errors, difference, metrics["unit"])
    share = f"{abs(1 - errors[0] / errors[1]):.0%}".replace("%", " %") if errors[1] else ""
    tested = f"on {metrics['rows']['all']:,} held-out {metrics['of']} {TRANSFER} {said}, {apart}."
    if difference["high"] < 0:
        return f"Transfer is better by {share}: {tested}"
    if difference["low"] > 0:
        return f"Transfer loses by {share}: {tested}"
    return f"The data do not tell whether transfer is better: {tested}"


def gain(metrics: Metrics) -> str:
    """Say in one sentence how many measurements transfer is worth where they are fewest, and where they are most."""
    points = [point for point in metrics["learning_curve"] if times(point)]
    if not points:
        return "At no size of the training set do the data show how many measurements transfer is worth."
    first, last = points[0], points[-1]
    said = (
        f"{first['size']:,} measurements with transfer do what {first['scratch needs']:,.0f} do without: transfer is "
        f"worth {times(first)} times as many measurements"
    )
    return f"{said}." if last is first else f"{said} at {first['size']:,}, {times(last)} times at {last['size']:,}."


def headline(metrics: Metrics) -> str:
    """Say how far off the published method was on what it had not seen."""
    rows, method = metrics["rows"], metrics["best"]["method"]
    everything = metrics["methods"][method]
    said = (
        f"{_start(chosen(metrics))} errs by {number(everything['mae'])} {metrics['unit']} on average on "
        f"{rows['all']:,} held-out {metrics['of']} and by less than {number(everything['median'])} on half of them"
    )
    if metrics["not in source"] is None:
        return f"{said}."
    new = metrics["not in source"]["methods"][method]
    return (
        f"{said}; on the {rows['not in source']:,} that the source does not have, by {number(new['mae'])} and "
        f"{number(new['median'])}."
    )


def chosen(metrics: Metrics) -> str:
    """Return the published method in words: fine-tuning with 2 layers frozen."""
    if metrics["best"]["method"] != "stack":
        return _with_layers(metrics["best"])
    parts = sorted(metrics["best"]["parts"], key=lambda part: -part["weight"])
    listed = ", ".join(f"{_with_layers(part)} ({part['weight']:.2f})" for part in parts)
    return f"the stack, a weighted mean of {listed},"


def _with_layers(choice: Mapping[str, Any]) -> str:
    """Return a method in words, with the number of layers frozen if it freezes any."""
    layers = {0: "no layer", 1: "1 layer"}.get(choice["frozen"], f"{choice['frozen']} layers")
    return f"fine-tuning with {layers} frozen" if choice["method"] == "fine-tune" else called(choice["method"])


def called(method: str) -> str:
    """Return a method in words that fit into a sentence."""
    return NAMES.get(method, method)


def rivals(metrics: Metrics) -> str:
    """Say which of the other methods, plain baselines included, err by less than the published one."""
    methods = {name: errors for name, errors in metrics["methods"].items() if name in NAMES}
    least = methods[metrics["best"]["method"]]["mae"]
    better = [name for name in sorted(methods, key=lambda name: methods[name]["mae"]) if methods[name]["mae"] < least]
    if not better:
        return "None of the other methods, plain baselines included, errs by less."
    listed = ", ".join(f"{called(name)} by {number(methods[name]['mae'])} {metrics['unit']}" for name in better)
    return (
        f"Of the other methods these err by less: {listed}; the choice was made inside the training folds, "
        "without a look at what was held out."
    )


def worth(metrics: Metrics, point: Mapping[str, Any]) -> str:
    """Say what transfer is worth at one point of the learning curve.

    Args:
        metrics: of the comparison.
        point: one of its `learning_curve`.
    """
    errors = point[TRANSFER]["mae"], point["scratch"]["mae"]
    verdict = _verdict(errors, point["difference"], metrics["unit"])
    said = f"With {point['size']:,} measurements {verdict}"
    if point["difference"]["high"] >= 0:
        return said
    needs, most = point["scratch needs"], metrics["learning_curve"][-1]["size"]
    if needs is None:
        return f"{said} Scratch is not as good with any number of the measurements at hand ({most:,})."
    if needs <= point["size"]:  # errors that do not fall with every further measurement
        return said
    factor = f"{times(point)} times as many{_factors(point)}"
    return f"{said} Scratch needs {needs:,.0f} measurements, {factor}, to be as good."


def unseen(metrics: Metrics) -> str:
    """Say what transfer is worth, with all measurements, on what the source does not have."""
    part = metrics["not in source"]
    if part is None:
        return f"The source has all of the {metrics['of']}, so nothing tells how well others are predicted."
    errors = part["methods"][TRANSFER]["mae"], part["methods"]["scratch"]["mae"]
    verdict = _verdict(errors, part["differences"][DIFFERENCE], metrics["unit"])
    return f"On the {metrics['rows']['not in source']:,} {metrics['of']} that the source does not have {verdict}"


def extrapolating(metrics: Metrics) -> list[str]:
    """Say how methods do on groups of alike rows of which none was trained on; nothing if that was not tried."""
    return [
        f"Where {LEFT_OUT[kind].format(of=metrics['of'])} are held out together{those} {_beyond(metrics, part)}"
        for kind, whole in metrics.get("extrapolation", {}).items()
        for those, part in ((",", whole), (", on those that the source does not have", whole["not in source"]))
        if part
    ]


def _beyond(metrics: Metrics, part: Mapping[str, Any]) -> str:
    verdict = _verdict((part[TRANSFER], part["scratch"]), part["difference"], metrics["unit"])
    apart = "less than both" if part["direct"] < min(part[TRANSFER], part["scratch"]) else "for comparison"
    return f"{verdict} {_start(NAMES['direct'])} errs by {number(part['direct'])} {metrics['unit']}, {apart}."


def times(point: Mapping[str, Any]) -> str | None:
    """Return how many times as many measurements scratch needs to be as good; None where that is not known."""
    if point["difference"]["high"] >= 0 or point["scratch needs"] is None or point["scratch needs"] <= point["size"]:
        return None
    return f"{point['scratch needs'] / point['size']:.1f}"


def _factors(point: Mapping[str, Any]) -> str:
    """Return the interval of how many times as many, if there is one: ` (95 % interval 1.5 to 2.1)`."""
    ends = point.get("scratch needs interval")
    if not ends or ends["low"] is None:
        return ""
    low, high = (None if rows is None else f"{rows / point['size']:.1f}" for rows in (ends["low"], ends["high"]))
    return f" (95 % interval {low} {'or more' if high is None else f'to {high}'})"


def interval(difference: Mapping[str, float], *, finer: bool = False) -> str:
    """Return a difference with its 95 % interval, in digits that its uncertainty allows: 10 (7 to 13).

    Args:
        difference: mean, low and high.
        finer: whether to show a digit more.
    """
    mean, low, high = (signed(difference[key], _decimals(difference) + finer) for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def number(value: float) -> str:
    """Return a number with three significant digits, and all of those before the point."""
    return signed(value, places(value))


def places(value: float) -> int:
    """Return how many decimals show three significant digits."""
    return max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0


def signed(value: float, decimals: int) -> str:
    """Return a number with a real minus sign, and none before zero."""
    return f"{value:z,.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def _verdict(errors: tuple[float, float], difference: Mapping[str, float], unit: str) -> str:
    """Say which of transfer and scratch errs by less, or that the data do not tell."""
    said, apart = _said(errors, difference, unit)
    if difference["low"] > 0:
        return f"transfer loses: it {said}, {apart}."
    if difference["high"] < 0:
        return f"transfer {said}: {apart}."
    return f"the data do not tell the methods apart: transfer {said}, {apart}."


def _said(errors: tuple[float, float], difference: Mapping[str, float], unit: str) -> tuple[str, str]:
    """Say by how much each errs, and how far they are apart, in digits that add up."""
    decimals = _decimals(difference)
    rounded = [round(value, decimals) for value in (*errors, difference["mean"])]
    # A reader who subtracts should get the difference that is said.
    finer = not math.isclose(rounded[0] - rounded[1], rounded[2], abs_tol=1e-9)
    tuned, scratch = (signed(error, decimals + finer) for error in errors)
    apart = f"a difference of {interval(difference, finer=finer).replace('(', '(95 % interval ')}"
    return f"errs by {tuned} {unit}, training from scratch by {scratch}", apart


def _decimals(difference: Mapping[str, float]) -> int:
    """Return as many decimals as half the interval's width allows: none from 2 on, one from 0.2 on, and so forth.

    One more where an end of the interval would else be shown as zero, which it is not.
    """
    ends = difference["low"], difference["high"]
    half = (ends[1] - ends[0]) / 2
    decimals = max(0, math.ceil(-math.log10(half / 2))) if half else 1
    return decimals + any(end and not round(end, decimals) for end in ends)


def _start(sentence: str) -> str:
    """Return it with a capital letter first."""
    return sentence[:1].upper() + sentence[1:]
