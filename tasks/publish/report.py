"""The report of a run: one page that says what was trained on what, whether transfer is better, where, and how surely.

It is one file: its pictures are inside, and nothing on it is loaded from anywhere.
"""

from collections.abc import Mapping

import pandas as pd

from tasks.publish.card import Facts, network, tables
from tasks.publish.case import Case, percent
from tasks.publish.figures import Picture
from tasks.publish.grids import MEANINGS, curve_rows, method_rows, rejection_rows
from tasks.publish.groups import by_content, contents, noun
from tasks.publish.kinds import entering
from tasks.publish.losses import by_group, lost, outliers
from tasks.publish.page import Html, bullets, cited, element, joined, link, paragraph, picture, table, text, whole
from tasks.publish.sure import extrapolation, intervals
from tasks.publish.words import (
    TRANSFER,
    gain,
    headline,
    interval,
    number,
    rivals,
    times,
    unseen,
    verdict,
)


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
    case = Case(facts, aligned, pictures, groups, contained)
    sections = {
        "data": ("What was trained on what", _data(case)),
        "methods": ("Methods", _methods(case)),
        "parity": ("Measured against predicted", _figure(case, "parity.png")),
        "worth": ("What transfer is worth", _worth(case)),
        "groups": (f"Error by {noun(facts.recipe.target.rules.of)}", by_group(case)),
        "intervals": ("How sure a prediction is", intervals(case)),
        "extrapolation": ("Extrapolation", extrapolation(case)),
        "lost": ("Where transfer lost", lost(case)),
        "outliers": ("The worst outliers", outliers(case)),
        "origin": ("Where it comes from", _origin(case)),
    }
    there = {name: section for name, section in sections.items() if section[1]}
    contents_line = element("nav", joined(*(link(f"#{name}", title) for name, (title, _) in there.items())))
    body = [element("section", element("h2", title), content, id=name) for name, (title, content) in there.items()]
    return whole(f"{facts.recipe.title}: report", _top(case), contents_line, *body)


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
        said = f"of held-out {case.of} inside of their {percent(intervals['level'], 0)} interval"
        numbers.append((percent(intervals["coverage"]), said))
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
        "published was chosen inside the training folds."
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
