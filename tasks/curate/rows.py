"""Curates tables: which records can be trusted, which of them are one material, and why the others are left out."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pandas as pd

from tasks.curate import compositions, dyes, molecules
from tasks.curate.duplicates import settle
from tasks.curate.identity import Identity
from tasks.curate.ledger import reject
from tasks.errors import MatliftError
from tasks.formulas import Amounts, amounts
from tasks.parallel import run_chunks
from tasks.recipe import Rules
from tasks.tables import from_parquet, to_parquet, units

CHUNK = 8000  # molecules: about two seconds' work
DYES = 500  # about ten seconds' work
ACCEPTED = ["record", "name", "smiles", "key", "formula", "labels", "table", "value", "uncertainty"]
REJECTED = ["record", "name", "smiles", "stated", "table", "value", "reason", "detail"]
SIGMA = 1.4826  # times the median absolute deviation is the standard deviation of a normal distribution


@dataclass(frozen=True)
class Curated:
    """What curation made of a table.

    Attributes:
        rows: the accepted records, one per material, sorted by `key` and `record`: canonical isomeric `smiles` of
            molecules and of the free bases of dyes; `key`, by which rows are grouped into folds, the skeleton (first
            block) of their InChIKey or the reduced formula; `formula` in Hill's order.
        rejected: the other records as they came, sorted by `record`, `stated` being their formula, with a `reason`,
            which is one of a few, and a `detail`, which is a sentence.
        report: what a row is, numbers of rows, rejected by reason, accepted by table, and the elements accepted.
    """

    rows: pd.DataFrame
    rejected: pd.DataFrame
    report: dict[str, Any]


def curate_file(raw: bytes, rules: Rules, elements: Iterable[str] | None) -> dict[str, bytes]:
    """Curate a table of `tasks.fetch.records`.

    Args:
        raw: the table as Parquet.
        rules: what its rows must satisfy.
        elements: the only ones that may occur; None for all.

    Returns:
        The files of a snapshot: `rows.parquet`, `rejected.parquet` and `report.json`.
    """
    unit = units(raw)["value"]
    curated = curate_rows(from_parquet(raw), rules, elements, unit)
    return {
        "rows.parquet": to_parquet(curated.rows, {"value": unit, "uncertainty": unit}),
        "rejected.parquet": to_parquet(curated.rejected, {"value": unit}),
        "report.json": json.dumps(curated.report, indent=2).encode(),
    }


def curate_rows(raw: pd.DataFrame, rules: Rules, elements: Iterable[str] | None, unit: str) -> Curated:
    """Judge every record on its own, then the records of each material together.

    Args:
        raw: the columns of `tasks.fetch.records`; its tables come in order of preference, else its order is nothing.
        rules: what the rows must satisfy.
        elements: the only ones that may occur; None for all.
        unit: of the values, for the sentences.

    Raises:
        MatliftError: a rule cannot be used on these values.
    """
    ledger = judge(raw, rules, elements, unit)
    _judge_outliers(ledger, rules, unit)
    settle(ledger, rules, unit)
    return _sorted_out(ledger, rules)


def judge(raw: pd.DataFrame, rules: Rules, elements: Iterable[str] | None, unit: str) -> pd.DataFrame:
    """Judge every record on its own.

    Args:
        raw: the columns of `tasks.fetch.records`.
        rules: what the rows must satisfy.
        elements: the only ones that may occur; None for all.
        unit: of the values, for the sentences.

    Returns:
        The records in their order, `smiles` and `formula` renamed to `given` and `stated`, with the columns of
        `Identity`: a record without a `reason` is accepted as far as it alone can tell.
    """
    ledger = raw.rename(columns={"smiles": "given", "formula": "stated"}).join(_identities(raw, rules))
    ledger["preference"] = pd.factorize(ledger["table"])[0]
    _judge_records(ledger, rules, elements, unit)
    return ledger


def _identities(raw: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Return what each record means."""
    label = f"curate {rules.of}"
    if rules.of == "compositions":
        found = run_chunks(compositions.describe, _column(raw, "formula"), chunk=8 * CHUNK, label=label)
    elif rules.of == "dyes":
        atoms = list(zip(_column(raw, "xyz"), _column(raw, "labels"), strict=True))
        found = run_chunks(dyes.describe, atoms, chunk=DYES, label=label)
    else:
        structures = list(zip(_column(raw, "smiles"), _column(raw, "inchi"), strict=True))
        found = run_chunks(molecules.describe, structures, chunk=CHUNK, label=label)
    rows = chain.from_iterable(found)
    return pd.DataFrame(rows, columns=Identity._fields, index=raw.index, dtype="object")


def _column(raw: pd.DataFrame, name: str) -> list[str | None]:
    """Return a column of text, None where it is missing."""
    values: list[str | None] = raw[name].astype("object").where(raw[name].notna(), None).tolist()
    return values


def _judge_records(ledger: pd.DataFrame, rules: Rules, elements: Iterable[str] | None, unit: str) -> None:
    """Reject records for what they say themselves."""
    counts = ledger["formula"].map(amounts, na_action="ignore")
    if rules.of == "molecules":
        reject(
            ledger,
            (counts != ledger["stated"].map(_stated, na_action="ignore")) & ledger["stated"].notna(),
            "formula differs",
            lambda row: f"{row.table} means {row.stated}, but the structure found for it is {row.formula}.",
        )
    if elements is not None:
        allowed = frozenset(elements)
        ledger["foreign"] = counts.map(lambda atoms: ", ".join(sorted(set(atoms) - allowed)), na_action="ignore")
        wrong = ledger["foreign"].fillna("") != ""
        reject(
            ledger,
            wrong,
            "foreign element",
            lambda row: f"It has {row.foreign}, which the source or the features do not have.",
        )
    _judge_values(ledger, rules, counts, unit)
    if rules.tolerance is not None:
        _judge_cycle(ledger, "via_liquid", "liquid and its vaporization", rules.tolerance, unit)
        _judge_cycle(ledger, "via_solid", "solid and its sublimation", rules.tolerance, unit)


def _stated(formula: str) -> Amounts:
    """Return what a formula of a table says; nothing if it is unreadable, as that of an ion is."""
    try:
        return amounts(formula)
    except MatliftError:
        return {}


def _judge_values(ledger: pd.DataFrame, rules: Rules, counts: pd.Series, unit: str) -> None:
    """Reject records whose value is none, or none that a material can have."""
    missing = ledger["value"].isin(rules.sentinels)
    reject(ledger, missing, "no value", lambda row: f"Its value is {row.value:g}, by which the database means none.")
    wrong = ~ledger["value"].abs().lt(float("inf"))  # true of NaN
    reject(ledger, wrong, "no value", lambda row: _no_value(row, unit))
    if rules.between:
        least, greatest = rules.between
        reject(
            ledger,
            ~ledger["value"].between(least, greatest),
            "out of range",
            lambda row: f"{row.value:.6g} {unit} is not between {least:g} and {greatest:g}.",
        )
    if rules.per_atom:
        low, high = rules.per_atom
        ledger["per_atom"] = ledger["value"] / counts.map(lambda atoms: float(sum(atoms.values())), na_action="ignore")
        reject(
            ledger,
            ~ledger["per_atom"].astype(float).between(low, high),
            "out of range",
            lambda row: f"{row.per_atom:.1f} {unit} per atom is not between {low:g} and {high:g}.",
        )


def _no_value(row: Any, unit: str) -> str:
    """Say what a record has instead of a value."""
    if isinstance(row.entry, str):
        return f"“{row.entry}” cannot be read as a value in {unit}."
    return "Its value is missing." if pd.isna(row.value) else f"Its value is {row.value}."


def _judge_outliers(ledger: pd.DataFrame, rules: Rules, unit: str) -> None:
    """Reject values far from the median of all, in units that are not themselves made large by them.

    B. Iglewicz, D. C. Hoaglin, How to Detect and Handle Outliers, ASQC Quality Press, Milwaukee, 1993.
    """
    if rules.outliers is None:
        return
    values = ledger.loc[ledger["reason"].isna(), "value"]
    middle = values.median()
    spread = SIGMA * (values - middle).abs().median()
    if not spread > 0:
        raise MatliftError(
            f"the rule “outliers” cannot be used: half of the values are {middle:g} {unit}; leave it out of the recipe"
        )
    ledger["distance"] = (ledger["value"] - middle).abs() / spread
    reject(
        ledger,
        ledger["distance"] > rules.outliers,
        "outlier",
        lambda row: (
            f"{row.value:.6g} {unit} is {row.distance:.1f} robust standard deviations from the median "
            f"{middle:.6g}, more than {rules.outliers:g}."
        ),
    )


def _judge_cycle(ledger: pd.DataFrame, column: str, way: str, tolerance: float, unit: str) -> None:
    """Reject records whose table gives another value by way of a condensed phase."""
    ledger["gap"] = (ledger["value"] - ledger[column]).abs()
    reject(
        ledger,
        ledger["gap"] > tolerance,
        "cycle does not close",
        lambda row: (
            f"{row.table} gives {row.value:.6g} {unit}, but {getattr(row, column):.6g} by way of the {way}: "
            f"{row.gap:.6g} apart, more than {tolerance:g}."
        ),
    )


def _sorted_out(ledger: pd.DataFrame, rules: Rules) -> Curated:
    """Part the accepted from the rejected records and count both."""
    good = ledger["reason"].isna()
    rows = ledger[good].sort_values(["key", "record"], ignore_index=True)
    rejected = ledger[~good].drop(columns="smiles").rename(columns={"given": "smiles"})
    report = {
        "of": rules.of,
        "rows": len(ledger),
        "accepted": len(rows),
        "rejected": {reason: int(count) for reason, count in rejected["reason"].value_counts().sort_index().items()},
        "tables": {table: int(count) for table, count in rows["table"].value_counts().sort_index().items()},
        "elements": sorted(set(chain.from_iterable(map(amounts, rows["formula"].unique())))),
    }
    return Curated(rows[ACCEPTED], rejected.sort_values("record", ignore_index=True)[REJECTED], report)
