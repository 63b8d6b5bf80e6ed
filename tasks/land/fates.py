"""What became of landed rows in a snapshot: which are in it, and why the others are not."""

from collections.abc import Sequence
from typing import NamedTuple

from tasks.handles import Snapshot
from tasks.land.landing import Landed
from tasks.store import Store
from tasks.tables import from_parquet

KNOWN = ("duplicate", "repeated")  # reasons of rows whose material the snapshot has by another record


class Fates(NamedTuple):
    """What became of the good rows of one landed file.

    Attributes:
        used: number of rows that are in the snapshot.
        known: number of rows whose material is in it by another record, to whose value they may have contributed.
        left_out: numbers of the others by reason.
    """

    used: int
    known: int
    left_out: dict[str, int]


def fates(store: Store, landed: Sequence[Landed], snapshot: Snapshot) -> list[Fates]:
    """Return what became of the good rows of files, in their order.

    Raises:
        MatliftError: the store cannot be used.
    """
    rows = from_parquet(store.read(snapshot, "rows.parquet"))
    rejected = from_parquet(store.read(snapshot, "rejected.parquet"))
    found = []
    for file in landed:
        prefix = f"landed:{file.landing.fingerprint[:8]}:" if file.landing else "none"
        reasons = rejected.loc[rejected["record"].str.startswith(prefix), "reason"].value_counts().to_dict()
        known = sum(reasons.pop(reason, 0) for reason in KNOWN)
        used = int(rows["record"].str.startswith(prefix).sum())
        found.append(Fates(used, known, {str(reason): count for reason, count in reasons.items()}))
    return found
