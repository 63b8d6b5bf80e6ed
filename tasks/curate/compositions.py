"""Compositions by their formula: which one a record means, whatever way its formula is written."""

from collections.abc import Sequence

from tasks.curate.identity import Identity
from tasks.errors import MatliftError
from tasks.formulas import reduced


def describe(formulas: Sequence[str | None]) -> list[Identity]:
    """Return the composition of each record; polymorphs of one composition are the same."""
    return [_describe(formula) for formula in formulas]


def _describe(formula: str | None) -> Identity:
    """Return the composition of one record."""
    if not formula:
        return Identity(reason="no formula", detail="Its formula is missing.")
    try:
        name = reduced(formula)
    except MatliftError as error:
        return Identity(reason="unreadable formula", detail=f"{error}.")
    return Identity(name, name, name, name)
