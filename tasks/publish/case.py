"""What the sections of a report are written from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.evaluate.metrics import paired_difference
from tasks.publish.card import Facts
from tasks.publish.figures import Picture
from tasks.publish.groups import Group
from tasks.publish.words import DIFFERENCE, TRANSFER, places, signed

COMPARED = (TRANSFER, "scratch")


@dataclass(frozen=True)
class Case:
    """What the sections are written from.

    Attributes:
        facts: as the card's.
        rows: of the target's snapshot, one for each prediction, in their order.
        pictures: the figures of the card.
        groups: errors by element or atom type.
        contained: which rows have each of them.
    """

    facts: Facts
    rows: pd.DataFrame
    pictures: Mapping[str, Picture]
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

    @property
    def difference(self) -> Mapping[str, float]:
        """Of the absolute errors, transfer less scratch, with its interval."""
        difference: Mapping[str, float] = self.metrics["differences"][DIFFERENCE]
        return difference

    def compare(self, among: npt.NDArray[np.bool_]) -> dict[str, float]:
        """Return the difference of the absolute errors of transfer and scratch on some rows, with its interval."""
        rows = self.predictions[among]
        first, second = ((rows[method] - rows["value"]).abs().to_numpy() for method in COMPARED)
        return paired_difference(first, second, rows["key"].to_numpy(object), self.facts.recipe.evaluation.seed)


def percent(share: float, decimals: int = 1) -> str:
    """Return a share as a percentage with a thin gap."""
    return f"{signed(100 * share, decimals)} %"
