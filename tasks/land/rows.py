"""The rows of a landed file: read as the recipe says, and judged one by one as curation will judge them."""

import json
from pathlib import PurePosixPath
from typing import Any, NamedTuple, get_args

import pandas as pd

from tasks.curate.ledger import reject
from tasks.curate.rows import judge
from tasks.errors import MatliftError
from tasks.fetch.files import parse
from tasks.fetch.records import Records, number_units, pack
from tasks.fetch.table import to_rows
from tasks.fetch.units import convert
from tasks.handles import Landing
from tasks.recipe import Columns, Recipe, TableFile, Unit
from tasks.tables import from_parquet, to_parquet

REJECTED = ["file", "row", "name", "smiles", "formula", "value", "entry", "reason", "detail"]


class Mapping(NamedTuple):
    """How a file is read.

    Attributes:
        columns: which of its columns mean what.
        unit: of its values.
        units: the column that names the unit of a row's value, if there is one; where it is empty `unit` holds.
    """

    columns: Columns
    unit: Unit
    units: str | None


def landing_files(data: bytes, name: str, plan: Recipe, landing: Landing) -> dict[str, bytes]:
    """Return the files of a landing.

    Args:
        data: the file that is landed.
        name: of the file.
        plan: the recipe for whose target it is.
        landing: its name in the store, from which the names of the rows are made.

    Returns:
        `rows.parquet`, the good rows with the columns of `tasks.fetch.records`, in the unit of the property;
        `rejected.parquet`, the other rows with their number in the file, what stood there, reason and detail;
        `report.json`, the counts, the columns that were not used, and by what the rows were judged; and the file
        itself as it came.

    Raises:
        MatliftError: the file cannot be used at all; the message names it.
    """
    frame = parse(data, name)
    unit = plan.property.unit
    title = f"landed:{landing.fingerprint[:8]}"
    mapping = _mapping(frame, plan, name)
    first, *others = _records(frame, mapping, name, title)
    raw = from_parquet(pack(first, unit, others))
    raw = raw.sort_values("record", key=lambda records: records.map(_row), ignore_index=True)
    ledger = judge(raw, plan.target.rules, None, unit)  # of elements that the source lacks each snapshot judges itself
    _reject_repeated(ledger)
    good = ledger["reason"].isna()
    used = {*mapping.columns.model_dump().values(), mapping.units}
    report = {
        "file": name,
        "rows": len(frame),
        "good": int(good.sum()),
        "rejected": {reason: int(n) for reason, n in ledger["reason"].value_counts().sort_index().items()},
        "unit": unit,
        "columns not used": [str(column) for column in frame.columns if column not in used],
        "judged by": judgement(plan),
    }
    return {
        f"original{PurePosixPath(name).suffix}": data,
        "rows.parquet": to_parquet(raw[good], number_units(unit)),
        "rejected.parquet": to_parquet(_rejected(ledger[~good], name), {"row": "1", "value": unit}),
        "report.json": json.dumps(report, indent=2).encode(),
    }


def judgement(plan: Recipe) -> dict[str, Any]:
    """Return what a row is read and judged by, as JSON."""
    data = plan.target.data
    mapping = {"columns": data.columns.model_dump(), "unit": data.unit} if isinstance(data, TableFile) else {}
    return {**mapping, "property unit": plan.property.unit, "rules": plan.target.rules.model_dump(mode="json")}


def _mapping(frame: pd.DataFrame, plan: Recipe, name: str) -> Mapping:
    """Return which columns mean what: as the target's table has them, else those that are called by their meaning."""
    data = plan.target.data
    if plan.target.rules.of == "dyes":
        raise MatliftError(f"{name} cannot be landed for {plan.name}: no table has the positions of a dye's atoms")
    if isinstance(data, TableFile) and (data.columns.formula or data.columns.smiles):
        return Mapping(data.columns, data.unit, None)
    called = {str(column).lower(): str(column) for column in frame.columns}
    needed = ("value", "formula" if plan.target.rules.of == "compositions" else "smiles")
    if missing := [column for column in needed if column not in called]:
        raise MatliftError(
            f"{name} has no column {' and none '.join(missing)}; its columns are {', '.join(map(str, frame.columns))}"
        )
    columns = Columns(**{meaning: called[meaning] for meaning in Columns.model_fields if meaning in called})
    return Mapping(columns, plan.property.unit, called.get("unit"))


def _records(frame: pd.DataFrame, mapping: Mapping, name: str, title: str) -> list[Records]:
    """Return the rows as records, those of each unit together."""
    rows = to_rows(frame, mapping.columns, name, title)
    if mapping.units is None:
        return [Records(rows, mapping.unit)]
    units = frame[mapping.units].fillna(mapping.unit).astype("str")
    unknown = ~units.isin([unit for unit in get_args(Unit) if _fits(unit, mapping.unit)])
    said = [f"{cell} {unit}" for cell, unit in zip(frame[mapping.columns.value], units, strict=True)]
    rows["entry"] = rows["entry"].where(~unknown, pd.Series(said, frame.index))
    rows["value"] = rows["value"].where(~unknown, None)
    units = units.where(~unknown, mapping.unit)
    return [Records(rows[units == unit], unit) for unit in units.unique()]


def _fits(unit: Unit, to: Unit) -> bool:
    """Tell whether values in a unit can be brought to another one."""
    try:
        convert(pd.Series([1.0]), unit, to, pd.Series(["H2"]))
    except MatliftError:
        return False
    return True


def _rejected(ledger: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rejected rows as people look at them: with file and row, and what was given."""
    rows = ledger.assign(smiles=ledger["given"], formula=ledger["stated"], file=name)
    rows["row"] = rows["record"].map(_row).astype("int64")
    return rows[REJECTED]


def _reject_repeated(ledger: pd.DataFrame) -> None:
    """Reject rows that say exactly what another row of the file says."""
    says = ["material", "value", "uncertainty", "name"]
    good = ledger[ledger["reason"].isna()]
    first = good.groupby(says, dropna=False, sort=False)["record"].transform("first")
    ledger["same"] = first.reindex(ledger.index)
    repeated = ledger["same"].notna() & (ledger["same"] != ledger["record"])
    reject(ledger, repeated, "repeated row", lambda row: f"Row {_row(row.same)} says the same.")


def _row(record: str) -> int:
    """Return the number of the row in its file that a record is made from."""
    return int(record.rpartition(":")[2])
