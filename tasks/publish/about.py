"""What is to be said of a model, as JSON: the facts of its card for programs, and what prediction needs beside it."""

from typing import Any

import numpy as np

from tasks.evaluate.intervals import LEVEL
from tasks.fetch.about import About
from tasks.publish.card import INSIDE, Facts
from tasks.publish.metadata import mean_error


def about(facts: Facts) -> dict[str, Any]:
    """Return what is predicted, of what, how well, where the domain ends, and from which data it was learnt.

    Returns:
        Among the rest `level`, how many measurements of 1 an interval should hold, and `reach`, the distance beyond
        which a row is not in the domain: that of one in twenty held-out measurements.
    """
    recipe, metrics = facts.recipe, facts.metrics
    method = metrics["best"]["method"]
    source, target = facts.sources()
    return {
        "recipe": recipe.name,
        "title": recipe.title,
        "property": recipe.property.model_dump(mode="json"),
        "of": recipe.target.rules.of,
        "method": method,
        "level": LEVEL,
        "reach": float(np.quantile(facts.predictions["distance"], INSIDE)),
        "held_out": {
            **{name: metrics["methods"][method][name] for name in ("mae", "median", "rmse", "r2")},
            "mae_interval": [mean_error(facts)[end] for end in ("low", "high")],
        },
        "intervals": {name: metrics["intervals"][name] for name in ("coverage", "width")},
        "rows": {"source": facts.reports[0]["accepted"], "target": facts.reports[1]["accepted"]},
        "data": {"source": _data(source), "target": _data(target)},
    }


def _data(data: About) -> dict[str, Any]:
    """Return name, licence and citations of a database."""
    return {"name": data.name, "licence": data.licence, "citations": list(data.citations)}
