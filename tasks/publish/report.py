"""The report of a run: one page that says what was trained on what, whether transfer is better, where, and how surely.

It is one file: its pictures are inside, and nothing on it is loaded from anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.evaluate.metrics import paired_difference
from tasks.formulas import ELEMENTS
from tasks.publish.card import Facts, network, tables
from tasks.publish.charts import bins, calibration, dumbbells, periodic_table
from tasks.publish.figures import Picture
from tasks.publish.grids import MEANINGS, curve_rows, method_rows, rejection_rows
from tasks.publish.groups import LEAST, Group, by_content, contents, enough, noun
from tasks.publish.kinds import entering
from tasks.publish.page import Html, bullets, cited, element, joined, link, paragraph, picture, table, text, whole
from tasks.publish.rows import anchor, cells, worst
from tasks.publish.words import (
    TRANSFER,
    chosen,
    gain,
    headline,
    interval,
    number,
    places,
    rivals,
    signed,
    times,
    unseen,
    verdict,
)

Vector = npt.NDArray[np.float64]

WORST = 15  # rows shown
LOST = 8  # rows shown for which scratch is closer
MANY = 20  # elements from which a periodic table reads better than a list
PARTS = 4  # of the rows, by distance


@dataclass(frozen=True)
class Case:
    """What the sections are written from.

    Attributes:
        facts: as the card's.
        rows: of the target's snapshot, one for each prediction, in their order.
        pictures: the figures of the card.
        difference: of the absolute errors, transfer less scratch, with its interval.
        groups: errors by element or atom type.
        contained: which rows have each of them.
    """

    facts: Facts
    rows: pd.DataFrame
    pictures: Mapping[str, Picture]
    difference: Mapping[str, float]
    groups: list[Group]
    contained: Mapping[str, npt.NDArray[np.bool_]]

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Of the comparison."""
        return self.facts.metrics

    @property
    def predictions(self) -> pd.DataFrame:
        """Held-out, one row per measurement."""
        return self.facts.predictions

    @property
    def published(self) -> str:
        """The method that is published, of which the intervals are."""
        method: str = self.metrics["best"]["method"]
        return method

    @property
    def unit(self) -> str:
        """Of the property."""
        unit: str = self.metrics["unit"]
        return unit

    @property
    def of(self) -> str:
        """What a row is, in the plural."""
        of: str = self.metrics["of"]
        return of

    @property
    def decimals(self) -> int:
        """Of single values: as many as show the mean error in two digits."""
        return max(0, places(self.metrics["methods"][TRANSFER]["mae"]) - 1)

    def missed(self, method: str) -> pd.Series:
        """Return the absolute errors of a method."""
        errors: pd.Series = (self.predictions[method] - self.predictions["value"]).abs()
        return errors

    def compare(self, among: npt.NDArray[np.bool_] | None = None) -> dict[str, float]:
        """Return how much less transfer errs than scratch, on some rows or on all."""
        return _compare(self.facts, among)


def write_report(facts: Facts, rows: pd.DataFrame, pictures: Mapping[str, Picture]) -> str:
    """Return the page.

    Args:
        facts: what to write it from.
        rows: of the target's snapshot: `record`, and what is known of `name`, `smiles`, `formula`.
        pictures: the figures by file name, `parity.png` and `learning-curve.png`.
    """
    aligned = rows.set_index("record").loc[facts.predictions["record"]].reset_index()
    contained = contents(aligned, facts.recipe.target.rules.of)
    groups = by_content(facts.predictions, contained, TRANSFER)
    case = Case(facts, aligned, pictures, _compare(facts), groups, contained)
    sections = {
        "data": ("What was trained on what", _data(case)),
        "methods": ("Methods", _methods(case)),
        "parity": ("Measured against predicted", _figure(case, "parity.png")),
        "worth": ("What transfer is worth", _worth(case)),
        "groups": (f"Error by {noun(facts.recipe.target.rules.of)}", _groups(case)),
        "intervals": ("How sure a prediction is", _intervals(case)),
        "extrapolation": ("Extrapolation", _extrapolation(case)),
        "lost": ("Where transfer lost", _lost(case)),
        "outliers": ("The worst outliers", _outliers(case)),
        "origin": ("Where it comes from", _origin(case)),
    }
    there = {name: section for name, section in sections.items() if section[1]}
    contents_line = element("nav", joined(*(link(f"#{name}", title) for name, (title, _) in there.items())))
    body = [element("section", element("h2", title), content, id=name) for name, (title, content) in there.items()]
    return whole(f"{facts.recipe.title}: report", _top(case), contents_line, *body)


def _compare(facts: Facts, among: npt.NDArray[np.bool_] | None = None) -> dict[str, float]:
    """Return the difference of the absolute errors, transfer less scratch, as the comparison itself computes it."""
    rows = facts.predictions if among is None else facts.predictions[among]
    first, second = ((rows[method] - rows["value"]).abs().to_numpy() for method in (TRANSFER, "scratch"))
    return paired_difference(first, second, rows["key"].to_numpy(object), facts.recipe.evaluation.seed)


def _top(case: Case) -> Html:
    """Return title, verdict and the numbers to remember."""
    of = case.facts.recipe.property
    return joined(
        element("h1", case.facts.recipe.title),
        paragraph(
            f"Report of the recipe {case.facts.recipe.name} on the {of.name}, {of.symbol} in {of.unit}", class_="soft"
        ),
        paragraph(element("strong", verdict(case.metrics, case.difference)), class_="verdict"),
        element(
            "div", *(element("div", element("b", value), said) for value, said in _numbers(case)), class_="numbers"
        ),
        bullets([unseen(case.metrics), gain(case.metrics)]),
    )


def _numbers(case: Case) -> list[tuple[str, str]]:
    """Return the numbers to remember, each with what it is."""
    methods, unit = case.metrics["methods"], case.unit
    numbers = [(number(methods[name]["mae"]), f"{unit}: mean absolute error, {name}") for name in (TRANSFER, "scratch")]
    mean, _, ends = interval(case.difference).partition(" ")
    numbers.append((mean, f"{unit}: their difference {ends.replace('(', '(95 % interval ')}"))
    first = next((point for point in case.metrics["learning_curve"] if times(point)), None)
    if first:
        said = f"as many measurements are needed without transfer, at {first['size']:,}"
        numbers.append((f"{times(first)}\N{MULTIPLICATION SIGN}", said))
    if intervals := case.metrics.get("intervals"):
        said = f"of held-out {case.of} inside of their {_percent(intervals['level'], 0)} interval"
        numbers.append((_percent(intervals["coverage"]), said))
    return numbers


def _data(case: Case) -> Html:
    """Say what source and target are, how many rows were used, and what learnt from them."""
    facts, history = case.facts, case.facts.history
    rows = [
        {
            "": side,
            "database": about.name,
            "what": about.what,
            "rows": f"{report['rows']:,}",
            "accepted": f"{report['accepted']:,}",
            "licence": about.licence,
        }
        for side, about, report in zip(("source", "target"), facts.sources(), facts.reports, strict=True)
    ]
    beside = zip(facts.recipe.auxiliary, facts.auxiliary(), history["auxiliary_rows"], strict=True)
    rows[1:1] = [
        {
            "": f"auxiliary: {name}",
            "database": about.name,
            "what": about.what,
            "rows": "",
            "accepted": f"{count:,}",
            "licence": about.licence,
        }
        for name, about, count in beside
    ]
    over = "a sum" if facts.recipe.property.extensive else "an average"
    computed = facts.sources()[1].computed
    pretrained = (
        f"Pretraining on {history['training_rows']:,} rows of the source reached a mean absolute error of "
        f"{number(history['validation_mae'])} {history['unit']} on {history['validation_rows']:,} others."
    )
    tested = (
        f"Tested on rows that were held out: {facts.recipe.evaluation.folds} folds; {facts.kind.folds}. The method "
        f"published, {chosen(case.metrics)}, was chosen inside the training folds."
    )
    notes = [
        f"The values of the target came from {tables(facts.reports[1])}.",
        f"Each of the {case.of} enters as {entering(facts.recipe.features)}. {facts.kind.blind}.",
        f"A prediction is {over} over its atoms plus what {network(facts.recipe)} makes of the rest.",
        pretrained,
        tested,
        *(["The target is computed, too: its values are meant where measurements are spoken of."] if computed else []),
    ]
    why = "Rows are left out for what the data themselves say, never for a model's error on them:"
    return joined(table(rows), bullets(notes), paragraph(why), table(rejection_rows(*facts.reports)))


def _methods(case: Case) -> Html:
    """Return the tables of methods: of all rows, and of those that the source does not have."""
    metrics = case.metrics
    parts = [paragraph(headline(metrics)), paragraph(rivals(metrics))]
    marked = case.published
    parts += [
        element("h3", f"All {metrics['rows']['all']:,} {case.of}"),
        table(method_rows(metrics["methods"], case.unit), marked),
    ]
    if metrics["not in source"] is not None:
        said = f"The {metrics['rows']['not in source']:,} that the source does not have, the fairer test of what is new"
        parts += [element("h3", said), table(method_rows(metrics["not in source"]["methods"], case.unit), marked)]
    said = (
        "MAE is the mean absolute error, median the median absolute error, RMSE the root of the mean squared error. "
        "The published method stands out."
    )
    meant = [
        Html(f"{element('strong', name)}: {text(MEANINGS[name])}") for name in metrics["methods"] if name in MEANINGS
    ]
    return joined(*parts, paragraph(said, class_="soft"), bullets(meant))


def _figure(case: Case, name: str) -> Html:
    return picture(case.pictures[name].png, case.pictures[name].caption)


def _worth(case: Case) -> Html:
    """Return the learning curve with what it says at each size."""
    points = case.metrics["learning_curve"]
    rows = [
        {**row, "scratch needs": f"{row['scratch needs']} ({times(point)}\N{MULTIPLICATION SIGN})"}
        if times(point)
        else row
        for row, point in zip(curve_rows(points, case.unit), points, strict=True)
    ]
    return joined(
        paragraph(element("strong", gain(case.metrics))),
        _figure(case, "learning-curve.png"),
        table(rows),
        paragraph(
            "Errors are mean absolute errors ± one standard deviation over the folds; differences are transfer less "
            f"scratch with their 95 % interval, from a bootstrap over {case.of}: below zero, transfer helps. “Scratch "
            "needs” is how many measurements scratch needs to be as good, “more” if all at hand are too few.",
            class_="soft",
        ),
    )


def _groups(case: Case) -> Html:
    """Return the errors by element or atom type."""
    shown = enough(case.groups)
    if not shown:
        return Html("")
    kind = noun(case.facts.recipe.target.rules.of)
    better = sum(group.transfer < group.scratch for group in shown)
    said = (
        f"Held-out {case.of} that contain each {kind}, however much else is in them. Of the {len(shown)} {kind}s that "
        f"occur in {LEAST} or more, {TRANSFER} errs by less for {better} and scratch for {len(shown) - better}."
    )
    return joined(paragraph(said), _grouped(case, case.groups, kind))


def _grouped(case: Case, groups: list[Group], kind: str) -> Html:
    """Draw groups: many elements on their periodic table, all else as a list."""
    of = case.facts.recipe.property
    if kind == "element" and len(groups) >= MANY:
        caption = (
            f"Mean absolute error of {of.name} by element after transfer, in {of.unit}. Blue: it is "
            f"less than from scratch; orange: more; white: the same. Grey: fewer than {LEAST} rows, too few for a mean."
        )
        return picture(periodic_table(groups, of), caption)
    shown = groups if kind == "group" else enough(groups)
    if not shown:
        return Html("")
    left_out = len(groups) - len(shown)
    few = f" Left out: {left_out} with fewer than {LEAST} rows." if left_out else ""
    types = " In brackets their names among the electrotopological-state types." if kind == "atom type" else ""
    caption = (
        f"Mean absolute error of {of.name} by {kind}: circles after transfer, squares from scratch; "
        f"on the right the number of rows.{types}{few}"
    )
    return picture(dumbbells(shown, TRANSFER, of), caption)


def _intervals(case: Case) -> Html:
    """Return how true the intervals are, and how the error depends on what the model knows."""
    intervals = case.metrics.get("intervals")
    if not intervals:
        return Html("")
    level, of = _percent(intervals["level"], 0), case.facts.recipe.property
    said = (
        f"Each prediction has an interval that should hold the measurement with {level} certainty: it held "
        f"{_percent(intervals['coverage'])} of the held-out ones. On "
        f"average it is {number(intervals['width'])} {case.unit} wide. "
        f"{_ranked(intervals['rank_correlation'])}"
    )
    binned = bins(case.predictions, case.published) if "spread" in case.predictions else None
    caption = (
        "Left: how many held-out measurements lie inside of intervals of each level; on the line they should be, "
        "in the grey band chance alone would put 95 % of such points. Right: rows in ten equal parts by the error that "
        "was expected of them, and their real mean absolute error."
        if binned is not None
        else "How many held-out measurements lie inside of intervals of each level; on the line they should be."
    )
    drawn = picture(calibration(intervals, len(case.predictions), of, binned), caption)
    return joined(paragraph(said), drawn, _domain(case))


def _ranked(correlation: float | None) -> str:
    """Say whether errors are large where they are expected to be; of errors that are all the same there is no order."""
    if correlation is None:
        return "The expected errors, or the real ones, are all the same."
    said = "Expected and real errors have a rank correlation of"
    return f"{said} {signed(correlation, 2)} (1: the same order, 0: none)."


def _domain(case: Case) -> Html:
    """Return how the error grows with the distance from what was learnt from, and with what was never seen."""
    if "distance" not in case.predictions:
        return Html("")
    predictions = case.predictions
    order = np.argsort(predictions["distance"].to_numpy(), kind="stable")
    parts = [(_span(predictions["distance"].iloc[part]), part) for part in np.array_split(order, PARTS) if len(part)]
    if "unseen" in predictions and (new := predictions["unseen"].fillna("").ne("").to_numpy()).any():
        parts.append((f"with an {noun(case.facts.recipe.target.rules.of)} never seen", np.flatnonzero(new)))
    missed = case.missed(case.published).to_numpy()
    rows = [
        {
            "distance": name,
            "rows": f"{len(part):,}",
            f"MAE ({case.unit})": number(float(missed[part].mean())),
            **_inside(predictions.iloc[part]),
        }
        for name, part in parts
    ]
    said = (
        "Quarters of the held-out rows by their distance from the training rows, in what the trunk makes of them; "
        "1 is how far a training row is from the nearest others, in the median."
    )
    return joined(element("h3", "Near and far"), paragraph(said), table(rows))


def _span(distances: pd.Series) -> str:
    return f"{number(float(distances.min()))} to {number(float(distances.max()))}"


def _inside(rows: pd.DataFrame) -> dict[str, str]:
    """Return which part of some rows lies inside of their intervals, if they have any."""
    if "low" not in rows:
        return {}
    return {"inside of the 90 % interval": _percent(float(rows["value"].between(rows["low"], rows["high"]).mean()))}


def _extrapolation(case: Case) -> Html:
    """Return the errors on whole clusters, and on all that has an element, when these are held out together."""
    parts = case.metrics.get("extrapolation") or {}
    said = {
        "clusters": f"Clusters of similar {case.of} are held out as a whole, each in turn.",
        "elements": f"All {case.of} with an element are held out together, for each element in turn.",
    }
    made = [
        element("h3", name.capitalize()) + _extrapolated(case, part, said.get(name, ""))
        for name, part in parts.items()
        if part and part["groups"]
    ]
    return Html("\n".join(made))


def _extrapolated(case: Case, part: Mapping[str, Any], said: str) -> Html:
    """Return one kind of extrapolation: its verdict and its errors by group."""
    groups = [Group(str(group["name"]), group["rows"], group[TRANSFER], group["scratch"]) for group in part["groups"]]
    difference = part["difference"]
    sure = (
        "transfer helps" if difference["high"] < 0 else "transfer loses" if difference["low"] > 0 else "no method wins"
    )
    verdict_said = (
        f"{said} There {TRANSFER} errs by {number(part[TRANSFER])} {case.unit} and training from scratch by "
        f"{number(part['scratch'])}: a difference of {interval(difference).replace('(', '(95 % interval ')}, {sure}."
    )
    kind = "element" if all(group.name in ELEMENTS for group in groups) else "group"
    return joined(paragraph(verdict_said.strip()), _grouped(case, groups, kind))


def _lost(case: Case) -> Html:
    """Return where scratch errs by less: how often, for which elements or atom types, and on which rows most."""
    kind = noun(case.facts.recipe.target.rules.of)
    loss = case.missed(TRANSFER) - case.missed("scratch")
    share = _percent(float((loss > 0).mean()), 0)
    parts: list[str] = [paragraph(f"Scratch is closer to the measurement for {share} of the {case.of}.")]
    lost = [group for group in enough(case.groups) if group.transfer > group.scratch]
    if lost:
        rows = [
            _lost_group(case, group, kind) for group in sorted(lost, key=lambda group: group.scratch - group.transfer)
        ]
        said = (
            f"Where the 95 % interval of the difference lies above zero, the loss is more than chance; but of the "
            f"{len(enough(case.groups))} {kind}s looked at, one in forty would be there by chance."
        )
        parts += [
            element("h3", f"{kind.capitalize()}s for which scratch errs by less"),
            table(rows),
            paragraph(said, class_="soft"),
        ]
    else:
        parts.append(paragraph(f"There is no {kind} with {LEAST} rows or more for which scratch errs by less."))
    places_of = [place for place in worst(loss, LOST) if loss[place] > 0]
    if places_of:
        named = set(places_of) - set(
            worst(case.missed(case.published), WORST)
        )  # those have their names among the worst
        parts += [element("h3", f"{case.of.capitalize()} that lost most"), _rows(case, places_of, named, TRANSFER)]
    return joined(*parts)


def _lost_group(case: Case, group: Group, kind: str) -> dict[str, str]:
    difference = case.compare(case.contained[group.name])
    return {
        kind: group.name,
        "rows": f"{group.rows:,}",
        f"{TRANSFER} ({case.unit})": number(group.transfer),
        f"scratch ({case.unit})": number(group.scratch),
        "difference": interval(difference),
        "more than chance": "yes" if difference["low"] > 0 else "no",
    }


def _outliers(case: Case) -> Html:
    """Return the rows with the largest errors."""
    missed = case.missed(case.published)
    places_of = worst(missed, WORST)
    total = missed.to_numpy()
    share = _percent(float(total[list(places_of)].sum() / total.sum()), 0) if total.sum() else "0 %"
    said = (
        f"The {len(places_of)} {case.of} with the largest errors make {share} of the sum of all errors. Some of the "
        "measured values may themselves be wrong: where scratch and direct, the source's model, agree with the "
        "prediction and not with the measurement, look at the measurement first. The record names the row in its table"
    )
    bundle = link("predictions.parquet", "predictions.parquet")
    return joined(
        paragraph(said, "; the number beside it counts the rows of ", bundle, ", from 0."),
        _rows(case, places_of, set(places_of), case.published),
    )


def _rows(case: Case, places_of: list[int], named: set[int], method: str) -> Html:
    """Return rows of the target, as a method predicts them, as a table; links lead to those that are named here."""
    chosen_rows = case.predictions.loc[places_of]
    if method != case.published:  # the intervals are that one's
        chosen_rows = chosen_rows.drop(columns=["low", "high"], errors="ignore")
    made = cells(chosen_rows, case.rows.loc[places_of], method, case.unit, case.decimals)
    return table(made, ids=[anchor(place) if place in named else "" for place in places_of])


def _origin(case: Case) -> Html:
    """Return what the page was made from, whom to cite, and the files beside it."""
    facts = case.facts
    abouts = (*facts.sources(), *facts.auxiliary())
    citations = [cited(said) for said in dict.fromkeys(said for about in abouts for said in about.citations)]
    files = ("metrics.json", "predictions.parquet", "recipe.yaml", "README.md", "manifest.json")
    named: list[str] = []
    for name in files:
        named += [", " if named else "", link(name, name)]
    return joined(
        element("p", "Beside this page in the bundle: ", *named, "."),
        paragraph(
            "Model: ", element("code", str(facts.model)), "; comparison: ", element("code", str(facts.comparison)), "."
        ),
        bullets([*citations, cited(f"Features: {facts.kind.citation}")]),
    )


def _percent(share: float, decimals: int = 1) -> str:
    """Return a share as a percentage with a thin gap."""
    return f"{signed(100 * share, decimals)} %"
