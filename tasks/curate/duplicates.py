"""The rules for several records of one material: which value stands, and what becomes of the other records."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from tasks.curate.ledger import reject
from tasks.recipe import Rules

# What records of one material share, for the sentences: by what a row is, as measured and as computed.
NOUNS = {
    "molecules": ("molecule", "skeleton"),
    "compositions": ("composition", "composition"),
    "dyes": ("dye", "dye"),
}


def settle(ledger: pd.DataFrame, rules: Rules, unit: str) -> None:
    """Leave one record of each material, with the value that the rule gives it; reject the others.

    Args:
        ledger: the records with `material`, `computed`, `preference`; changed.
        rules: name the rule.
        unit: of the values, for the sentences.
    """
    settling = {"lowest": _lowest, "agree": _agreeing, "median": _median, "weighted": _weighted}
    settling[rules.duplicates](ledger, rules, unit)


def _lowest(ledger: pd.DataFrame, rules: Rules, unit: str) -> None:
    """Keep the record of the lowest energy: computed polymorphs and isomers of which the features show only one.

    The value is the energy where none comes with it. A record whose energy is missing comes after those that have one.
    """
    candidates = ledger[ledger["reason"].isna()].sort_values(["energy", "value", "record"])
    noun = NOUNS[rules.of][1]
    _reject_duplicates(
        ledger,
        candidates,
        "computed",
        lambda row: f"{row.kept_record} has the same {noun} and {_not_above(row, unit)}.",
    )


def _not_above(row: Any, unit: str) -> str:
    """Say in what the kept record is not above this one."""
    if pd.isna(row.kept_energy):
        return f"{row.kept_value:.6g} {unit}, which is not above {row.value:.6g}"
    own = "none is known for this one" if pd.isna(row.energy) else f"which is not above {row.energy:.6g}"
    return f"the energy {row.kept_energy:.6g} eV/atom, {own}"


def _agreeing(ledger: pd.DataFrame, rules: Rules, unit: str) -> None:
    """Keep the record of the preferred table where all of a material agree, and none where they do not."""
    candidates = ledger[ledger["reason"].isna()].sort_values(["preference", "record"])
    _say_values(ledger, candidates)
    values = candidates.groupby("material")["value"]
    ledger["spread"] = values.transform("max") - values.transform("min")
    disagree = ledger["spread"] > rules.tolerance
    reject(
        ledger,
        disagree,
        "records disagree",
        lambda row: f"{row.said} {unit}: {row.spread:.6g} apart, more than {rules.tolerance:g}.",
    )
    noun = NOUNS[rules.of][0]
    _reject_duplicates(
        ledger,
        candidates[~disagree[candidates.index]],
        "material",
        lambda row: f"{row.kept_record} is the same {noun}; {row.said} {unit} agree, the first one is kept.",
    )


def _median(ledger: pd.DataFrame, rules: Rules, unit: str) -> None:
    """Keep the first record with the median of all values; what is not one measurement has no uncertainty of one."""
    _reject_repeated(ledger, rules)
    candidates = ledger[ledger["reason"].isna()].sort_values(["preference", "record"])
    _say_values(ledger, candidates)
    values = candidates.groupby("material")["value"]
    several = values.transform("size") > 1
    ledger.loc[candidates.index, "value"] = values.transform("median")
    ledger.loc[candidates.index[several], "uncertainty"] = float("nan")
    _reject_combined(ledger, candidates, rules, f"{unit}: their median")


def _weighted(ledger: pd.DataFrame, rules: Rules, unit: str) -> None:
    """Keep the first record with the mean of all values, each weighted by the inverse of its variance."""
    _reject_repeated(ledger, rules)
    candidates = ledger[ledger["reason"].isna()].sort_values(["preference", "record"])
    sure = candidates["uncertainty"] > 0
    alone = candidates.groupby("material")["value"].transform("size") == 1
    reject(
        ledger,
        (~sure & ~alone).reindex(ledger.index, fill_value=False),
        "no uncertainty",
        lambda row: f"It has no uncertainty to weigh it by, and {row.material} has other records.",
    )
    candidates = candidates[sure | alone]
    _say_values(ledger, candidates)
    weights = candidates["uncertainty"].where(sure, 1.0) ** -2
    totals = weights.groupby(candidates["material"]).transform("sum")
    means = (candidates["value"] * weights).groupby(candidates["material"]).transform("sum") / totals
    several = candidates["material"].duplicated(keep=False)
    ledger.loc[candidates.index[several], "value"] = means[several]
    ledger.loc[candidates.index[several], "uncertainty"] = totals[several] ** -0.5
    _reject_combined(ledger, candidates, rules, f"{unit}: their mean, weighted by their variances,")


def _reject_repeated(ledger: pd.DataFrame, rules: Rules) -> None:
    """Reject records that another table has exactly so: one measurement handed on must not count twice."""
    candidates = ledger[ledger["reason"].isna()].sort_values(["preference", "record"])
    same = candidates.groupby(["material", "value", "uncertainty"], dropna=False)
    ledger["first"] = same["record"].transform("first")
    elsewhere = (same["table"].transform("first") != candidates["table"]).reindex(ledger.index, fill_value=False)
    noun = NOUNS[rules.of][0]
    reject(ledger, elsewhere, "repeated", lambda row: f"{row.first} is the same {noun} with exactly this value.")


def _say_values(ledger: pd.DataFrame, candidates: pd.DataFrame) -> None:
    """Put into `said` what the records of each material say, before it is changed."""
    said = [f"{row.table} {row.value:.6g}" for row in candidates.itertuples()]
    ledger["said"] = ledger["material"].map(
        pd.Series(said, dtype="str").groupby(candidates["material"].to_numpy()).agg(", ".join)
    )
    ledger["stated_value"] = ledger["value"]


def _reject_combined(ledger: pd.DataFrame, candidates: pd.DataFrame, rules: Rules, taken: str) -> None:
    """Reject the records whose value is part of what the first of the material now stands for."""
    noun = NOUNS[rules.of][0]
    _reject_duplicates(
        ledger,
        candidates,
        "material",
        lambda row: f"{row.kept_record} is the same {noun}; {row.said} {taken} is taken.",
    )
    rejected = ledger["reason"].notna()
    ledger.loc[rejected, "value"] = ledger.loc[rejected, "stated_value"]  # as it came


def _reject_duplicates(
    ledger: pd.DataFrame, candidates: pd.DataFrame, identity: str, detail: Callable[[Any], str]
) -> None:
    """Reject all candidates but the first of each identity; `detail` finds that one in `kept_record`, ...."""
    kept = candidates.drop_duplicates(identity).set_index(identity)
    for column in ("record", "value", "energy"):
        ledger[f"kept_{column}"] = ledger[identity].map(kept[column])
    duplicated = candidates[identity].duplicated().reindex(ledger.index, fill_value=False)
    reject(ledger, duplicated, "duplicate", detail)
