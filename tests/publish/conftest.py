"""A comparison with numbers as they come, from the code that summarises real ones."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from tasks.evaluate.choices import Choices
from tasks.evaluate.comparison import Job, Outcome
from tasks.evaluate.summary import predictions_table, summarise
from tasks.featurize import Table
from tasks.handles import Checkpoint, Comparison, Features, Lineage, Model, Raw, Snapshot
from tasks.learn import Choice
from tasks.publish.card import Facts
from tasks.recipe import Recipe, load_recipe

ROWS, FOLDS = 600, 5
# Mean absolute errors, kJ/mol, by number of training rows; None is all of them.
SCALES = {50: (75, 92), 100: (59, 69), 200: (48, 55), None: (30, 38)}
OTHERS = {"direct": 60, "featurizer": 45, "mean": 250, "ridge": 42, "boosted trees": 44}

REPORTS = (
    {
        "rows": 1300,
        "accepted": 1200,
        "rejected": {"duplicate": 100},
        "elements": ["C", "F", "H", "N", "O"],
        "tables": {"QM9": 1200},
    },
    {
        "rows": 900,
        "accepted": 600,
        "rejected": {"foreign element": 200, "duplicate": 100},
        "elements": ["C", "H"],
        "tables": {"CRC": 588, "landed:1a2b3c4d": 12},
    },
)


class Compared(NamedTuple):
    metrics: dict[str, Any]
    predictions: pd.DataFrame


def _make_comparison(scales: dict[int | None, tuple[float, float]] = SCALES) -> Compared:
    """Return the summary of made-up predictions: heavy-tailed errors, partly shared between the methods."""
    random = np.random.default_rng(0)
    values = random.normal(-150, 250, ROWS)
    values[:4] = -5600, -4000, -3000, 2500
    keys = np.array([f"KEY{row:05d}" for row in range(ROWS)], dtype=object)
    target = Table(np.zeros((ROWS, 1), np.float32), np.ones((ROWS, 5)), values, keys, keys, np.zeros(1, np.float32))
    fold, shared = np.arange(ROWS) % FOLDS, random.laplace(size=ROWS)

    def predict(scale: float, held_out: np.ndarray) -> np.ndarray:
        return values[held_out] + scale * (0.8 * shared[held_out] + 0.4 * random.laplace(size=len(held_out)))

    outcomes = []
    for size, (tuned, scratch) in scales.items():
        for number in range(FOLDS):
            held_out = np.flatnonzero(fold == number)
            full = {**OTHERS, "fine-tune": tuned} if size is None else {}
            errors = {"scratch": scratch, **full, "transfer": tuned}
            outcomes.append(
                Outcome(
                    Job(number, size),
                    size or ROWS - len(held_out),
                    held_out,
                    {name: predict(scale, held_out) for name, scale in errors.items()},
                    Choices(
                        {Choice("fine-tune", 2): tuned, Choice("scratch"): scratch},
                        Choice.stack({Choice("fine-tune", 2): 0.7, Choice("direct"): 0.3}),
                        Choice("fine-tune", 2),
                    ),
                    dict.fromkeys(errors, 1.0),
                )
            )
    in_source = random.random(ROWS) < 0.3
    full = [outcome for outcome in outcomes if outcome.job.size is None]
    metrics = {"unit": "kJ/mol", "of": "molecules", **summarise(outcomes, target, in_source, seed=0)}
    return Compared(metrics, predictions_table(full, target, in_source))


@pytest.fixture(scope="session")
def compared() -> Compared:
    return _make_comparison()


@pytest.fixture(scope="session")
def make_comparison() -> Callable[..., Compared]:
    """Make one with other errors."""
    return _make_comparison


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return load_recipe("qm9-webbook")


@pytest.fixture(scope="session")
def facts(compared: Compared, recipe: Recipe) -> Facts:
    names = iter(f"{place:016x}" for place in range(9))
    kinds = (Raw, Raw, Snapshot, Snapshot, Features, Features, Checkpoint)
    return Facts(
        recipe=recipe,
        metrics=compared.metrics,
        predictions=compared.predictions,
        reports=REPORTS,
        history={
            "unit": "kJ/mol",
            "training_rows": 1140,
            "validation_rows": 60,
            "validation_mae": 11.2,
            "auxiliary_rows": [],
        },
        elements=("C", "F", "H", "N", "O"),
        model=Model(next(names)),
        comparison=Comparison(next(names)),
        lineage=Lineage(*(kind(next(names)) for kind in kinds)),
        seconds={"fetch source": 12.0, "pretrain": 90.0, "evaluate": 5400.0, "fit": 18.0},
    )
