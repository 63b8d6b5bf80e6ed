"""Which predicted candidates are best, and the best of any number of them while only these are in memory."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

By = Literal["lowest", "highest", "surely-lowest", "surely-highest", "surest", "least-sure"]
"""What is best: a low or a high value, such an end of the interval, or how narrow or wide the interval is."""

MOST = 100_000  # that can be kept: they are in memory


@dataclass(frozen=True)
class Best:
    """The best of some candidates.

    Attributes:
        rows: as a predictor gives them, and their `place` among the candidates; the best first, each item once.
        candidates: how many there were.
        without_value: how many of them cannot be predicted.
        outside: how many of the others are not in the domain.
    """

    rows: pd.DataFrame
    candidates: int
    without_value: int
    outside: int

    @classmethod
    def of(cls, rows: pd.DataFrame, by: By, count: int) -> "Best":
        """Return the best of candidates as a predictor gives them, all of them and in order."""
        valued = rows["value"].notna()
        outside = int((valued & ~rows["in_domain"]).sum())
        placed = rows.assign(place=np.arange(len(rows)))
        return cls(ranked(placed, by).head(count), len(rows), int((~valued).sum()), outside)

    def with_next(self, following: "Best", by: By, count: int) -> "Best":
        """Return the best of both, of whose candidates the other's follow upon this one's."""
        moved = following.rows.assign(place=following.rows["place"] + self.candidates)
        return Best(
            ranked(pd.concat([self.rows, moved], ignore_index=True), by).head(count),
            self.candidates + following.candidates,
            self.without_value + following.without_value,
            self.outside + following.outside,
        )


def ranked(rows: pd.DataFrame, by: By) -> pd.DataFrame:
    """Return the rows with a value, the best first, each item once; all that are not in the domain come last.

    Args:
        rows: as a predictor gives them, and their `place`: of those that are equally good the first comes first.
        by: what is best.
    """
    rows = rows[rows["value"].notna()].drop_duplicates("item")
    scores = {
        "lowest": rows["value"],
        "highest": -rows["value"],
        "surely-lowest": rows["upper"],
        "surely-highest": -rows["lower"],
        "surest": rows["upper"] - rows["lower"],
        "least-sure": rows["lower"] - rows["upper"],
    }[by]
    keys = (rows["place"], scores, ~rows["in_domain"].astype(bool))  # the last one counts first
    order = np.lexsort([key.to_numpy() for key in keys])
    return rows.iloc[order].reset_index(drop=True)
