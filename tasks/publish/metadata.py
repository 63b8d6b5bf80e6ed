"""What Hugging Face reads of a model card, in its front matter, and what the card says of time and carbon."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.evaluate.metrics import paired_difference

if TYPE_CHECKING:
    from tasks.publish.card import Facts

WATTS = 100  # that a machine of a few cores draws, with all that belongs to it
GRAMS = 480  # of CO2 per kWh: the world's mean of 2023, Ember, Global Electricity Review 2024
METRICS = {"mae": "mean absolute error", "rmse": "root of the mean squared error", "r_squared": "R²"}
TYPES = {"compositions": "materials", "molecules": "chemistry", "dyes": "chemistry"}


def metadata(facts: "Facts") -> dict[str, Any]:
    """Return the metadata of a card, as Hugging Face's model cards have them."""
    recipe = facts.recipe
    return {
        "license": "mit",
        "library_name": "matlift",
        "pipeline_tag": "tabular-regression",
        "language": "en",
        "tags": [TYPES[recipe.target.rules.of], "thermochemistry", "transfer-learning", "tabular-regression"],
        "datasets": [recipe.source.data.database, recipe.target.data.database],
        "metrics": list(METRICS),
        "co2_eq_emissions": {
            "emissions": round(grams(facts.seconds), 3),
            "source": f"estimated from the time at {WATTS} W and {GRAMS} g/kWh, not measured",
            "training_type": "pretraining, comparison and fine-tuning",
        },
        "model-index": [{"name": recipe.name, "results": [_results(facts)]}],
    }


def mean_error(facts: "Facts") -> dict[str, float]:
    """Return the mean absolute error of the published method on held-out rows with its 95 % interval."""
    rows = facts.predictions
    missed = (rows[facts.metrics["best"]["method"]] - rows["value"]).abs().to_numpy()
    return paired_difference(missed, np.zeros_like(missed), rows["key"].to_numpy(object), seed=0)


def grams(seconds: Mapping[str, float]) -> float:
    """Return an estimate of the CO2 that the computing of some stages led to."""
    return sum(seconds.values()) / 3600 * WATTS / 1000 * GRAMS


def spent(seconds: Mapping[str, float]) -> str:
    """Say how long the stages took, and what that means in carbon."""
    stages = ", ".join(f"{stage} {_time(seconds[stage])}" for stage in seconds if seconds[stage] >= 1)
    return f"""It took {_time(sum(seconds.values()))}{f" ({stages})" if stages else ""} when its parts were made.
Nobody measured the power: at {WATTS} W for the machine and {GRAMS} g of CO₂ per kWh, the world's mean, that is about
{grams(seconds):.2g} g of CO₂."""


def _time(seconds: float) -> str:
    """Say how long something took."""
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _results(facts: "Facts") -> dict[str, Any]:
    """Return the errors on held-out rows, as a model index has them."""
    found, error = facts.metrics["methods"][facts.metrics["best"]["method"]], mean_error(facts)
    values = {"mae": found["mae"], "rmse": found["rmse"], "r_squared": found["r2"]}
    _, target = facts.sources()
    unit = {name: "" if name == "r_squared" else f", {facts.metrics['unit']}" for name in METRICS}
    said = {"mae": f" (95 % interval {error['low']:.4g} to {error['high']:.4g})"}
    return {
        "task": {"type": "tabular-regression", "name": facts.recipe.property.name},
        "dataset": {"type": facts.recipe.target.data.database, "name": target.name, "split": "held out in folds"},
        "metrics": [
            {"type": name, "name": f"{meaning}{unit[name]}{said.get(name, '')}", "value": values[name]}
            for name, meaning in METRICS.items()
            if values[name] is not None
        ],
    }
