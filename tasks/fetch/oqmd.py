"""OQMD: computed formation energies and band gaps of a million compounds, from its services or an imported dump."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tasks.errors import MatliftError
from tasks.fetch import optimade, table
from tasks.fetch.about import About
from tasks.fetch.ask import BRIEF, Line, OddError
from tasks.fetch.crawl import Body, Page, Service, crawl
from tasks.fetch.journal import Row
from tasks.fetch.records import Records
from tasks.fetch.rows import number, records
from tasks.passwords import hidden
from tasks.recipe import Columns, Optimade, Oqmd, TableFile, Unit

NAME = "OQMD"
ENERGY = "delta_e"  # the field with the formation energy, by which polymorphs are put in order


class Quantity(NamedTuple):
    """What OQMD gives of a compound.

    Attributes:
        field: its name in the services' answers; OPTIMADE puts _oqmd_ before it.
        unit: of its values.
    """

    field: str
    unit: Unit


QUANTITIES = {
    "formation energy": Quantity(ENERGY, "eV/atom"),
    "band gap": Quantity("band_gap", "eV"),
    "stability": Quantity("stability", "eV/atom"),  # the distance from the convex hull, 0 for what is below it
}

SIZES = (100,)  # of a page: OQMD refuses no size, but takes 19 s for 1,000 rows


def about(data: Oqmd) -> About:
    """Return what is to be said of OQMD."""
    return About(
        computed=True,
        name=NAME,
        what=f"the computed {data.quantity} of each calculated compound (density-functional theory, PBE)",
        licence="OQMD is under the Creative Commons Attribution 4.0 licence (CC BY 4.0).",
        citations=(
            "OQMD: J. E. Saal et al., JOM 65 (2013) 1501, doi:10.1007/s11837-013-0755-4",
            "OQMD: S. Kirklin et al., npj Comput. Mater. 1 (2015) 15010, doi:10.1038/npjcompumats.2015.10",
        ),
    )


def identity(data: Oqmd) -> str:
    """Return what identifies the content: the version and the number of rows of a service, the counts of a dump.

    Raises:
        MatliftError: the service or the dump does not answer, or has no rows of this kind.
    """
    match _way(data):
        case "rest":
            return _identity_of_service(data)
        case "optimade":
            return optimade.identity(_optimade(data))
        case "dump":
            from tasks.fetch import oqmd_dump  # noqa: PLC0415 -- SQLAlchemy, behind it, takes a second to load

            return oqmd_dump.identity(data)
    return table.identity(_table(data))


def read(data: Oqmd, identity: str) -> Records:
    """Return a quantity of all compounds as records, whichever way OQMD is reached.

    A compound without a value keeps its row. A service is read page by page; a run that breaks off is gone on with.

    Raises:
        MatliftError: the service or the dump cannot be read completely.
    """
    unit = QUANTITIES[data.quantity].unit
    match _way(data):
        case "rest":
            return records(crawl(_service(data), data.model_dump_json(), identity), NAME, unit)
        case "optimade":
            return optimade.gather(_optimade(data), identity, NAME)
        case "dump":
            from tasks.fetch import oqmd_dump  # noqa: PLC0415 -- SQLAlchemy, behind it, takes a second to load

            return records(oqmd_dump.read(data), NAME, unit)
    rows = table.read(_table(data), identity).rows
    return Records(rows.assign(table=NAME), unit)


def _way(data: Oqmd) -> str:
    """Return how OQMD is reached: rest, optimade, dump or table."""
    scheme, separator, _ = data.at.partition("://")
    if not separator:
        return "table"
    return data.api if scheme in {"http", "https"} else "dump"


def _table(data: Oqmd) -> TableFile:
    """Return the section of a recipe that reads a table with the columns formula and value."""
    if not Path(data.at).is_file():
        raise MatliftError(
            f"{data.at} is neither a service (https://…), nor the URL of a dump (mysql+pymysql://…), nor a file here"
        )
    return TableFile(
        database="table", at=data.at, columns=Columns(formula="formula"), unit=QUANTITIES[data.quantity].unit
    )


def _service(data: Oqmd) -> Service:
    """Return how OQMD's own service is asked."""
    return Service(
        name=NAME,
        address=lambda offset, size: _address(data, offset, size),
        offset="offset",
        sizes=SIZES,
        read=partial(_page, field=QUANTITIES[data.quantity].field),
    )


def _address(data: Oqmd, offset: int, size: int) -> str:
    """Return the address of a page."""
    field = QUANTITIES[data.quantity].field
    fields = dict.fromkeys(("formationenergy_id", "composition", field, ENERGY))
    asked = {"fields": ",".join(fields), "limit": size, "offset": offset}
    if data.filter:
        asked["filter"] = data.filter
    return f"{data.at.rstrip('/')}/oqmdapi/formationenergy?{urlencode(asked)}"


def _page(text: bytes, field: str) -> Page:
    """Make a page of a body."""
    body = Body.model_validate_json(text)
    if (total := body.meta.data_available) is None:
        raise OddError("it does not say how many rows there are")
    return Page([_row(row, field) for row in body.data], body.next, total, total)


def _row(row: dict[str, Any], field: str) -> Row:
    """Return what is kept of a row: "Al1 C1 H2" becomes Al1C1H2, and null stays null."""
    if missing := [name for name in ("formationenergy_id", "composition", field, ENERGY) if name not in row]:
        raise OddError(f"a row has no {' and no '.join(missing)}")
    formula = str(row["composition"] or "").replace(" ", "")
    return Row(str(row["formationenergy_id"]), formula or None, number(row[field]), number(row[ENERGY]))


def _identity_of_service(data: Oqmd) -> str:
    url = _address(data, 0, 1)
    with Line() as line:
        body = line.ask(url, Body.model_validate_json, what=f"OQMD at {hidden(data.at)}", patience=BRIEF)
    if not body.data:
        raise MatliftError(
            f"OQMD at {hidden(data.at)} has no rows" + f" for the filter {data.filter}" * bool(data.filter)
        )
    return f"OQMD, api {body.meta.api_version}, {body.meta.data_available} rows"


def _optimade(data: Oqmd) -> Optimade:
    """Return the section of a recipe that asks OQMD's OPTIMADE service for the same."""
    quantity = QUANTITIES[data.quantity]
    return Optimade(
        database="optimade",
        at=f"{data.at.rstrip('/')}/optimade",
        key=f"_oqmd_{quantity.field}",
        energy=f"_oqmd_{ENERGY}",
        unit=quantity.unit,
        filter=data.filter,
    )
