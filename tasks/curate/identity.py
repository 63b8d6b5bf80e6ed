"""What a record means: which material it is, or why it is none to learn from."""

from typing import NamedTuple


class Identity(NamedTuple):
    """A rejected record has a reason and a detail, an accepted one all the others, the last perhaps.

    Attributes:
        material: records of the same are measurements of the same: a molecule with its stereochemistry.
        computed: records of the same are computed for the same as far as features can tell: a molecule without it.
        key: by which rows are grouped into folds: what shares one are near-copies.
        formula: in Hill's order.
        smiles: canonical, isomeric; of molecules.
        reason: why the record is rejected, one of a few.
        detail: the same as a sentence with this record's particulars.
    """

    material: str | None = None
    computed: str | None = None
    key: str | None = None
    formula: str | None = None
    smiles: str | None = None
    reason: str | None = None
    detail: str | None = None
