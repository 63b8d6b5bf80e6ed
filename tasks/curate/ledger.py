"""The ledger of curation: every record keeps its place, and a rejected one the first reason that was found."""

from collections.abc import Callable
from typing import Any

import pandas as pd


def reject(ledger: pd.DataFrame, wrong: pd.Series, reason: str, detail: Callable[[Any], str]) -> None:
    """Give a reason to the rows that are wrong and have none yet.

    Args:
        ledger: the records; changed.
        wrong: which of them are.
        reason: one of a few.
        detail: makes of a row the sentence with its particulars.
    """
    rows = wrong & ledger["reason"].isna()
    ledger.loc[rows, "detail"] = [detail(row) for row in ledger[rows].itertuples()]
    ledger.loc[rows, "reason"] = reason
