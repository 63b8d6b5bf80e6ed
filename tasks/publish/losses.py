"""Where errors are large, in a report: by element or atom type, where transfer lost, and row by row."""

from tasks.publish.case import Case, percent
from tasks.publish.charts import dumbbells, periodic_table
from tasks.publish.groups import LEAST, Group, enough, noun
from tasks.publish.page import Html, element, joined, link, paragraph, picture, table
from tasks.publish.rows import anchor, cells, worst
from tasks.publish.words import (
    TRANSFER,
    interval,
    number,
)

WORST = 15  # rows shown
LOST = 8  # rows shown for which scratch is closer
MANY = 20  # elements from which a periodic table reads better than a list


def by_group(case: Case) -> Html:
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
    return joined(paragraph(said), grouped(case, case.groups, kind))


def grouped(case: Case, groups: list[Group], kind: str) -> Html:
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


def lost(case: Case) -> Html:
    """Return where scratch errs by less: how often, for which elements or atom types, and on which rows most."""
    kind = noun(case.facts.recipe.target.rules.of)
    loss = case.missed(TRANSFER) - case.missed("scratch")
    share = percent(float((loss > 0).mean()), 0)
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


def outliers(case: Case) -> Html:
    """Return the rows with the largest errors."""
    missed = case.missed(case.published)
    places_of = worst(missed, WORST)
    total = missed.to_numpy()
    share = percent(float(total[list(places_of)].sum() / total.sum()), 0) if total.sum() else "0 %"
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
