"""OQMD from a dump that was imported into a database server (https://oqmd.org/download), through SQLAlchemy.

The tables are those that qmpy makes (https://github.com/wolverton-research-group/qmpy). The key of a composition is its
formula, "Al1 C1 H2", and the key of a set of reference energies is its name.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import sqlalchemy as sql
from sqlalchemy.exc import SQLAlchemyError

from tasks.errors import MatliftError
from tasks.passwords import hidden
from tasks.recipe import Oqmd

STREAMED = 20_000  # rows that are held as Python's objects at once

ENERGIES: sql.TableClause = sql.table(
    "formation_energies",
    *(sql.column(name) for name in ("id", "composition_id", "calculation_id", "fit_id", "delta_e", "stability")),
)
CALCULATIONS: sql.TableClause = sql.table("calculations", sql.column("id"), sql.column("band_gap"))
STANDARD = ENERGIES.c.fit_id == "standard"  # the reference energies of all that the services give

VALUES: dict[str, sql.ColumnElement[Any]] = {
    "formation energy": ENERGIES.c.delta_e,
    "band gap": CALCULATIONS.c.band_gap,
    # The services give 0 for what is below the hull of all others, so a dump must.
    "stability": sql.case((ENERGIES.c.stability < 0, 0.0), else_=ENERGIES.c.stability),
}


def identity(data: Oqmd) -> str:
    """Return what identifies the content: how many rows and energies there are, and the last one's number.

    Raises:
        MatliftError: the server does not answer, has no such tables, or has no rows.
    """
    wanted = sql.func.count(), sql.func.count(ENERGIES.c.delta_e), sql.func.max(ENERGIES.c.id)
    with _connected(data) as connection:
        rows, energies, last = connection.execute(sql.select(*wanted).select_from(ENERGIES).where(STANDARD)).one()
    if not rows:
        raise MatliftError(f"{hidden(data.at)} has no formation energies of OQMD: import the dump completely")
    return f"OQMD dump, {rows} rows, {energies} energies, last {last}"


def read(data: Oqmd) -> pd.DataFrame:
    """Return id, formula, value and energy of all rows, those without a value too.

    Raises:
        MatliftError: the server does not answer or has no such tables.
    """
    formula, value = ENERGIES.c.composition_id.label("formula"), VALUES[data.quantity].label("value")
    query = (
        sql.select(ENERGIES.c.id, formula, value, ENERGIES.c.delta_e.label("energy"))
        .select_from(ENERGIES)
        .where(STANDARD)
        .order_by(ENERGIES.c.id)
    )
    if data.quantity == "band gap":
        query = query.outerjoin(CALCULATIONS, ENERGIES.c.calculation_id == CALCULATIONS.c.id)
    types = {"id": "str", "formula": "str", "value": "float64", "energy": "float64"}
    with _connected(data) as connection:
        table = pd.concat(pd.read_sql_query(query, connection, chunksize=STREAMED, dtype=types), ignore_index=True)
    return table.assign(formula=table["formula"].str.replace(" ", ""))


@contextmanager
def _connected(data: Oqmd) -> Iterator[sql.Connection]:
    """Yield a connection that streams; what goes wrong with it is said without the password."""
    if data.filter:
        raise MatliftError("a dump of OQMD is read whole: remove filter from the recipe, or ask a service")
    shown = hidden(data.at)
    if data.at.count("@") > 1:  # SQLAlchemy would take a part of the password for the host, and errors name hosts
        raise MatliftError(f"{shown} has several @: write one that is part of the password as %40")
    try:
        engine = sql.create_engine(data.at, poolclass=sql.NullPool)
        with engine.connect() as connection:
            yield connection.execution_options(stream_results=True)
    except ModuleNotFoundError as error:
        raise MatliftError(f"{shown} needs the package {error.name}: run `pip install {error.name}`") from None
    except (SQLAlchemyError, ValueError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        # None of what was raised is kept: its frames and texts have the URL in them.
        raise MatliftError(f"{shown} cannot be read as an imported dump of OQMD: {hidden(reason)}") from None
