"""Curates molecules: which records can be trusted, which of them are one molecule, and why the others are left out."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pandas as pd

from tasks.curate.structure import Structure, describe, element_counts
from tasks.parallel import run_chunks
from tasks.recipe import Rules
from tasks.tables import from_parquet, to_parquet, units

CHUNK = 8000  # molecules: about two seconds' work
ACCEPTED = ["record", "name", "smiles", "key", "formula", "table", "value", "uncertainty"]
REJECTED = ["record", "name", "smiles", "table", "value", "reason", "detail"]


@dataclass(frozen=True)
class Curated:
    """What curation made of a table.

    Attributes:
        rows: the accepted records, one per molecule, sorted by `key` and `record`: canonical isomeric `smiles`; `key`,
            the skeleton (first block) of the InChIKey, by which rows are grouped into folds; `formula` in Hill's order.
        rejected: the other records as they came, sorted by `record`, with a `reason`, which is one of a few, and a
            `detail`, which is a sentence.
        report: numbers of rows, accepted and rejected by reason, and the elements of the accepted ones.
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
    curated = curate_molecules(from_parquet(raw), rules, elements, unit)
    return {
        "rows.parquet": to_parquet(curated.rows, {"value": unit, "uncertainty": unit}),
        "rejected.parquet": to_parquet(curated.rejected, {"value": unit}),
        "report.json": json.dumps(curated.report, indent=2).encode(),
    }


def curate_molecules(raw: pd.DataFrame, rules: Rules, elements: Iterable[str] | None, unit: str) -> Curated:
    """Judge every record on its own, then the records of each molecule together.

    Args:
        raw: the columns of `tasks.fetch.records`; its tables come in order of preference, else its order is nothing.
        rules: what the rows must satisfy.
        elements: the only ones that may occur; None for all.
        unit: of the values, for the sentences.
    """
    found = chain.from_iterable(run_chunks(describe, _structures(raw), chunk=CHUNK, label="curate molecules"))
    structures = pd.DataFrame(found, columns=Structure._fields, index=raw.index, dtype="object")
    ledger = raw.rename(columns={"smiles": "given", "formula": "stated"}).join(structures)
    ledger["preference"] = pd.factorize(ledger["table"])[0]
    _judge_records(ledger, rules, elements, unit)
    judge = {"lowest": _keep_lowest, "agree": _keep_agreeing}[rules.duplicates]
    judge(ledger, rules, unit)
    return _sorted_out(ledger)


def _structures(raw: pd.DataFrame) -> list[tuple[str | None, str | None]]:
    """Return SMILES and InChI of each record, None where missing."""
    columns = (raw[name].astype("object").where(raw[name].notna(), None) for name in ("smiles", "inchi"))
    return list(zip(*columns, strict=True))


def _reject(ledger: pd.DataFrame, wrong: pd.Series, reason: str, detail: Callable[[Any], str]) -> None:
    """Give a reason to the rows that are wrong and have none yet."""
    rows = wrong & ledger["reason"].isna()
    ledger.loc[rows, "detail"] = [detail(row) for row in ledger[rows].itertuples()]
    ledger.loc[rows, "reason"] = reason


def _judge_records(ledger: pd.DataFrame, rules: Rules, elements: Iterable[str] | None, unit: str) -> None:
    """Reject records for what they say themselves."""
    counts = ledger["formula"].map(element_counts, na_action="ignore")
    stated = ledger["stated"].map(element_counts, na_action="ignore")
    _reject(
        ledger,
        (counts != stated) & stated.notna(),
        "formula differs",
        lambda row: f"{row.table} means {row.stated}, but the structure found for it is {row.formula}.",
    )
    if elements is not None:
        allowed = frozenset(elements)
        ledger["foreign"] = counts.map(lambda atoms: ", ".join(sorted(set(atoms) - allowed)), na_action="ignore")
        wrong = ledger["foreign"].fillna("") != ""
        _reject(ledger, wrong, "foreign element", lambda row: f"It has {row.foreign}, which the source never has.")

    wrong = ~ledger["value"].abs().lt(float("inf"))  # true of NaN
    _reject(ledger, wrong, "no value", lambda row: f"Its value is {row.value}.")

    least, greatest = rules.per_atom
    ledger["per_atom"] = ledger["value"] / counts.map(Counter.total, na_action="ignore").astype(float)
    _reject(
        ledger,
        ~ledger["per_atom"].between(least, greatest),
        "out of range",
        lambda row: f"{row.per_atom:.1f} {unit} per atom is not between {least:g} and {greatest:g}.",
    )
    if rules.tolerance is not None:
        _judge_cycle(ledger, "via_liquid", "liquid and its vaporization", rules.tolerance, unit)
        _judge_cycle(ledger, "via_solid", "solid and its sublimation", rules.tolerance, unit)


def _judge_cycle(ledger: pd.DataFrame, column: str, way: str, tolerance: float, unit: str) -> None:
    """Reject records whose table gives another value by way of a condensed phase."""
    ledger["gap"] = (ledger["value"] - ledger[column]).abs()
    _reject(
        ledger,
        ledger["gap"] > tolerance,
        "cycle does not close",
        lambda row: (
            f"{row.table} gives {row.value:.1f} {unit}, but {getattr(row, column):.1f} by way of the {way}: "
            f"{row.gap:.1f} apart, more than {tolerance:g}."
        ),
    )


def _keep_lowest(ledger: pd.DataFrame, _rules: Rules, unit: str) -> None:
    """Keep the lowest value of each skeleton: computed isomers of which one graph can show only one."""
    candidates = ledger[ledger["reason"].isna()].sort_values(["value", "record"])
    _reject_duplicates(
        ledger,
        candidates,
        "skeleton",
        lambda row: (
            f"{row.kept_record} has the same skeleton and {row.kept_value:.1f} {unit}, "
            f"which is not above {row.value:.1f}."
        ),
    )


def _keep_agreeing(ledger: pd.DataFrame, rules: Rules, unit: str) -> None:
    """Keep the record of the preferred table where all of a molecule agree, and none where they do not."""
    candidates = ledger[ledger["reason"].isna()].sort_values(["preference", "record"])
    molecules = candidates.groupby("inchikey")
    ledger["spread"] = molecules["value"].transform("max") - molecules["value"].transform("min")
    said = [f"{row.table} {row.value:.1f}" for row in candidates.itertuples()]
    said_of = pd.Series(said, dtype="str").groupby(candidates["inchikey"].to_numpy()).agg(", ".join)
    ledger["said"] = ledger["inchikey"].map(said_of)
    disagree = ledger["spread"] > rules.tolerance
    _reject(
        ledger,
        disagree,
        "records disagree",
        lambda row: f"{row.said} {unit}: {row.spread:.1f} apart, more than {rules.tolerance:g}.",
    )
    _reject_duplicates(
        ledger,
        candidates[~disagree[candidates.index]],
        "inchikey",
        lambda row: f"{row.kept_record} is the same molecule; {row.said} {unit} agree, the first one is kept.",
    )


def _reject_duplicates(
    ledger: pd.DataFrame, candidates: pd.DataFrame, identity: str, detail: Callable[[Any], str]
) -> None:
    """Reject all candidates but the first of each identity; `detail` finds that one in `kept_record`, `kept_value`."""
    kept = candidates.drop_duplicates(identity).set_index(identity)
    for column in ("record", "value"):
        ledger[f"kept_{column}"] = ledger[identity].map(kept[column])
    duplicated = candidates[identity].duplicated().reindex(ledger.index, fill_value=False)
    _reject(ledger, duplicated, "duplicate", detail)


def _sorted_out(ledger: pd.DataFrame) -> Curated:
    """Part the accepted from the rejected records and count both."""
    good = ledger["reason"].isna()
    rows = ledger[good].rename(columns={"skeleton": "key"}).sort_values(["key", "record"], ignore_index=True)
    rejected = ledger[~good].drop(columns="smiles").rename(columns={"given": "smiles"})
    report = {
        "rows": len(ledger),
        "accepted": len(rows),
        "rejected": {reason: int(count) for reason, count in rejected["reason"].value_counts().sort_index().items()},
        "elements": sorted(set(chain.from_iterable(map(element_counts, rows["formula"].unique())))),
    }
    return Curated(rows[ACCEPTED], rejected.sort_values("record", ignore_index=True)[REJECTED], report)
