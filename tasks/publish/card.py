"""The model card in Hugging Face's form: what the model predicts, how well, where it ends, what it was made from."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tasks.fetch.about import About
from tasks.fetch.databases import DATABASES
from tasks.handles import Comparison, Lineage, Model
from tasks.publish.figures import Picture
from tasks.publish.grids import MEANINGS, curve_rows, group_rows, markdown, method_rows, rejection_rows
from tasks.publish.kinds import Kind, entering, kind_of
from tasks.publish.metadata import mean_error, metadata, spent
from tasks.publish.words import chosen, extrapolating, headline, number, rivals, unseen, worth
from tasks.recipe import ElemNet, Recipe, Residual

FRONT = "---\n"
INSIDE = 0.95  # of the held-out rows are in the domain
CONTENTS = {
    "weights.safetensors": "the weights of the networks",
    "model.json": "their kind and sizes, the additive part and the scale of the output",
    "features.json": "names, means and spreads that turn a row into the network's input",
    "about.json": "what is predicted, how well, and where the domain ends, for programs",
    "recipe.yaml": "the recipe, complete",
    "lineage.json": "the names of all objects in the store that it was made from",
    "metrics.json": "every number of this card and more, with the seconds that each stage took",
    "predictions.parquet": "each measured value with its held-out predictions, and how sure the best of them is",
    "intervals.json": "what tells the error to be expected of a prediction and the interval that holds the measurement",
    "domain.safetensors": "the training rows in the activations of the trunk, and",
    "domain.json": "the elements that are known: how far a row is from them",
    "trunk.safetensors": "the pretrained network, whose trunk that is, and",
    "trunk.json": "its kind",
    "rival.safetensors": "a model that was not fine-tuned, whose disagreement tells where to be careful, and",
    "rival.json": "its kind",
    "report.html": "the same as this card and more, as a page to read in a browser, offline too",
    "manifest.json": "size and SHA-256 of every file",
}


@dataclass(frozen=True)
class Facts:
    """What the card is written from.

    Attributes:
        recipe: the plan.
        metrics: of the comparison.
        predictions: held-out, one row per measurement.
        reports: of the snapshots' curation, source and target.
        history: of the pretraining.
        elements: that may occur.
        model: what is published.
        comparison: what it was judged by.
        lineage: what both were made from.
        seconds: that each stage took.
    """

    recipe: Recipe
    metrics: Mapping[str, Any]
    predictions: pd.DataFrame
    reports: tuple[Mapping[str, Any], Mapping[str, Any]]
    history: Mapping[str, Any]
    elements: tuple[str, ...]
    model: Model
    comparison: Comparison
    lineage: Lineage
    seconds: Mapping[str, float]

    @property
    def kind(self) -> Kind:
        """What the rows are, in words."""
        return kind_of(self.recipe.target.rules.of, self.recipe.features)

    def sources(self) -> tuple[About, About]:
        """Return what is to be said of the databases of source and target."""
        source, target = (
            DATABASES[part.data.database].about(part.data) for part in (self.recipe.source, self.recipe.target)
        )
        return source, target

    def auxiliary(self) -> list[About]:
        """Return what is to be said of the databases of the other tables that the trunk has learnt."""
        return [DATABASES[part.data.database].about(part.data) for part in self.recipe.auxiliary.values()]


def write_card(facts: Facts, pictures: Mapping[str, Picture]) -> str:
    """Return the card in Markdown.

    Args:
        facts: what to write it from.
        pictures: the figures by file name, `parity.png` and `learning-curve.png`.
    """
    sections = [
        _summary(facts),
        _use(facts),
        _quality(facts, _image("parity.png", pictures)),
        _transfer(facts, _image("learning-curve.png", pictures)),
        *_extrapolation(facts),
        _data(facts),
        _training(facts),
        f"## Time and carbon\n\n{spent(facts.seconds)}",
        _credits(facts),
        _origin(facts),
    ]
    return "\n".join([_front_matter(facts), *(f"{section}\n" for section in sections)])


def for_dashboard(card: str, pictures: Mapping[str, bytes]) -> str:
    """Return the card without its front matter and with its pictures inside.

    Args:
        card: as `write_card` gives it.
        pictures: PNG files by name.
    """
    text = card.split(FRONT, 2)[2].lstrip()
    for name, png in pictures.items():
        text = text.replace(f"]({name})", f"](data:image/png;base64,{base64.b64encode(png).decode()})")
    return text


def _front_matter(facts: Facts) -> str:
    """Return the metadata that Hugging Face reads."""
    return f"{FRONT}{yaml.safe_dump(metadata(facts), sort_keys=False, allow_unicode=True)}{FRONT}"


def _image(name: str, pictures: Mapping[str, Picture]) -> str:
    caption = pictures[name].caption
    return f"![{caption.split(':')[0]}]({name})\n\n*{caption}*"


def _summary(facts: Facts) -> str:
    of = facts.recipe.property
    return f"""# {facts.recipe.title}

This model predicts the **{of.name}** ({of.symbol}, in {of.unit}) of {facts.kind.one}.
{_learnt(facts)}

{headline(facts.metrics)}"""


def _learnt(facts: Facts) -> str:
    """Say what the published model has learnt from, which depends on the method that was chosen."""
    source, target = facts.sources()
    computed = f"the {facts.reports[0]['accepted']:,} computed values of {source.name}"
    measured = f"{facts.reports[1]['accepted']:,} measured values ({target.name})"
    match facts.metrics["best"]["method"]:
        case "scratch":
            return f"It learnt from {measured} alone: {computed} were of no help."
        case "direct":
            return f"It learnt from {computed} alone: {measured} were of no help."
        case _:
            return f"It learnt from {computed}, then from {measured}."


def _use(facts: Facts) -> str:
    method = facts.metrics["best"]["method"]
    missed = (facts.predictions[method] - facts.predictions["value"]).abs()
    tenth = f"{number(float(np.quantile(missed, 0.9)))} {facts.metrics['unit']}"
    return f"""## Intended use and limits

Use it to fill gaps in tables, to put candidates in order and to find values that deserve a second look.

- It knows the elements {", ".join(facts.elements)} {facts.kind.known}.
- {facts.kind.blind}.
{_domain(facts)}- It is not a substitute for a measurement. One in ten held-out {facts.metrics["of"]} is missed by more
  than {tenth}, and what is unlike the measured ones may be missed by far more.
- Some of the measured values are themselves wrong: a large deviation may be the model's or the table's."""


def _domain(facts: Facts) -> str:
    """Say how predictions tell where the model ends."""
    if "distance" not in facts.predictions:
        return ""
    reach = number(float(np.quantile(facts.predictions["distance"], INSIDE)))
    return f"""- A prediction has an interval and says whether it is in the domain: at most {reach} from the measured
  ones in the activations of the trunk (1 is how far these are from the nearest others, in the median), as 95 of 100
  held-out ones are, with no element and no atom type that neither source nor measurements have.
"""


def _quality(facts: Facts, image: str) -> str:
    metrics = facts.metrics
    everything = method_rows(metrics["methods"], metrics["unit"])
    meanings = "\n".join(
        f"- **{row['method']}**: {MEANINGS.get(row['method'], 'see the recipe')}" for row in everything
    )
    return f"""## How good it is

Each is predicted while it is held out ({_folds(facts)}; {facts.kind.folds}).
{rivals(metrics)}
{_sure(facts)}

{image}

All {metrics["rows"]["all"]:,} {metrics["of"]}:

{markdown(everything)}

{_unseen(facts)}

MAE is the mean absolute error, median the median absolute error, RMSE the root of the mean squared error.

{meanings}"""


def _sure(facts: Facts) -> str:
    """Say how sure the error of the published method is, and how true its intervals are."""
    error, unit = mean_error(facts), facts.metrics["unit"]
    said = (
        f"The 95 % interval of the mean absolute error of the one published is {number(error['low'])} to "
        f"{number(error['high'])} {unit} (bootstrap over {facts.metrics['of']})."
    )
    intervals = facts.metrics.get("intervals")
    if not intervals:
        return said
    level, held = 100 * intervals["level"], 100 * intervals["coverage"]
    width = f"{number(intervals['width'])} {unit}"
    return f"""{said}
Its {level:.0f} % intervals hold {held:.1f} % of the held-out measurements; their mean width is {width}."""


def _folds(facts: Facts) -> str:
    """Say how many folds there are, and how often they are drawn."""
    plan = facts.recipe.evaluation
    return f"{plan.folds} folds" + (f", drawn {plan.repeats} times" if plan.repeats > 1 else "")


def _unseen(facts: Facts) -> str:
    """Return the table of what the source does not have."""
    metrics = facts.metrics
    if metrics["not in source"] is None:
        return unseen(metrics)
    number_of = f"{metrics['rows']['not in source']:,} {metrics['of']}"
    return f"""The {number_of} that the source does not have, the fairer test of what is new:

{markdown(method_rows(metrics["not in source"]["methods"], metrics["unit"]))}"""


def _transfer(facts: Facts, image: str) -> str:
    metrics = facts.metrics
    said = "\n".join(f"- {worth(metrics, point)}" for point in metrics["learning_curve"])
    return f"""## What transfer is worth

{said}
- {unseen(metrics)}

{image}

{markdown(curve_rows(metrics["learning_curve"], metrics["unit"]))}

Errors are mean absolute errors ± one standard deviation over the folds{_drawn(facts)}.
The difference is transfer less scratch on the same {metrics["of"]}, with its 95 % interval (bootstrap over
{metrics["of"]}): below zero, transfer helps. “Scratch needs” is how many measurements scratch needs to be as good as
transfer, “more” if all at hand are too few."""


def _extrapolation(facts: Facts) -> list[str]:
    """Return the section on groups that were held out as a whole, if any were."""
    parts = facts.metrics.get("extrapolation")
    if not parts:
        return []
    said = "\n".join(f"- {sentence}" for sentence in extrapolating(facts.metrics))
    tables = "\n\n".join(_groups(facts, kind) for kind in parts)
    of, tuned = facts.metrics["of"], (facts.metrics["methods"][name]["mae"] for name in ("transfer", "scratch"))
    return [
        f"""## Beyond what was measured

{said}

Of the same {of}, held out by lot, transfer errs by {" and scratch by ".join(map(number, tuned))}
{facts.metrics["unit"]}. The intervals are a bootstrap over {of}: they do not tell how it would be with other groups.

{tables}"""
    ]


def _groups(facts: Facts, kind: str) -> str:
    """Return the table of one kind of groups, with what the source has of them."""
    metrics, part = facts.metrics, facts.metrics["extrapolation"][kind]
    table = markdown(group_rows(part["groups"], metrics["unit"], kind.removesuffix("s")))
    if kind == "clusters":
        return f"""Clusters of alike {metrics["of"]} (k-means on the features; in brackets the elements that
tell one from the others; B. Meredig et al., Mol. Syst. Des. Eng. 3 (2018) 819, doi:10.1039/C8ME00012C):

{table}"""
    missing = sorted({group["name"] for group in part["groups"]} - set(facts.reports[0]["elements"]))
    has = f"The source has {'no ' + ', '.join(missing) + ', but all others' if missing else 'all'} of these elements"
    return f"""Elements, each by all {metrics["of"]} that have it; one with several of them counts with each.
{has}: what was not measured with them may have been computed.

{table}"""


def _drawn(facts: Facts) -> str:
    draws = facts.recipe.evaluation.draws
    return f"; at the smaller sizes they are those of up to {draws} training sets" if draws > 1 else ""


def _data(facts: Facts) -> str:
    source, target = facts.sources()
    return f"""## Data

- **Source**: {source.name}, {source.what}.
{_auxiliary(facts)}- **Target**: {target.name}, {target.what}.

{_meant(target)}The values of the target came from {tables(facts.reports[1])}.
Rows are rejected for what the data themselves say, never for a model's error on them:

{markdown(rejection_rows(*facts.reports))}"""


def _auxiliary(facts: Facts) -> str:
    """Say what the trunk has learnt beside the source."""
    parts = zip(facts.recipe.auxiliary, facts.auxiliary(), facts.history["auxiliary_rows"], strict=True)
    return "".join(
        f"- **Beside it**, learnt by the same trunk: {name}, {rows:,} rows of {about.name}, {about.what}.\n"
        for name, about, rows in parts
    )


def _meant(target: About) -> str:
    """Say what “measured” means where it is not true."""
    return "The target is computed, too: its values are meant where measurements are spoken of.\n" * target.computed


def tables(report: Mapping[str, Any]) -> str:
    """Say how many accepted values each table gave, and that those of some were landed by the recipe's users."""
    return ", ".join(f"{table} ({count:,})" for table, count in report["tables"].items())


def _training(facts: Facts) -> str:
    history = facts.history
    over = "a sum" if facts.recipe.property.extensive else "an average"
    return f"""## Training

Each enters as {entering(facts.recipe.features)}.
The prediction is {over} over its atoms plus what {network(facts.recipe)} makes of the rest.
Pretraining on {history["training_rows"]:,} rows of the source reached a mean absolute error of
{number(history["validation_mae"])} {history["unit"]} on {history["validation_rows"]:,} others.
Of the methods that make a model, {chosen(facts.metrics)} had the least error inside the training folds
and is the one published."""


def network(recipe: Recipe) -> str:
    """Say what kind of network the recipe has."""
    match recipe.network:
        case Residual(width=width, blocks=blocks):
            return f"a residual network of {blocks} blocks of {width} units"
        case ElemNet():
            return "ElemNet, a network of 17 layers,"


def _credits(facts: Facts) -> str:
    abouts = [*facts.sources(), *facts.auxiliary()]
    licences = " ".join(dict.fromkeys(about.licence for about in abouts))
    citations = "\n".join(dict.fromkeys(f"- {citation}" for about in abouts for citation in about.citations))
    return f"""## Licences and citations

This model is under the MIT licence. {licences}

{citations}
- Features: {facts.kind.citation}
- Transfer from computed to measured: D. Jha et al., Nat. Commun. 10 (2019) 5316, doi:10.1038/s41467-019-13297-w"""


def _origin(facts: Facts) -> str:
    lineage = facts.lineage.objects()
    auxiliary = dict(zip(facts.recipe.auxiliary, lineage.pop("auxiliary"), strict=True))
    del lineage["auxiliary_tables"]
    made_from = {name: handle for name, (handle,) in lineage.items()}
    objects = {**made_from, **auxiliary, "comparison": facts.comparison, "model": facts.model}
    rows = [{"object": name.replace("_", " "), "in the store": f"`{handle}`"} for name, handle in objects.items()]
    files = "\n".join(f"- `{name}`: {content}" for name, content in CONTENTS.items())
    return f"""## How to reproduce it

Run matlift's flow `retrain` with the file `recipe.yaml`. Objects are named after all that made them: data, settings,
code and libraries. Where these are the same, so are the names:

{markdown(rows)}

## Files

{files}"""
