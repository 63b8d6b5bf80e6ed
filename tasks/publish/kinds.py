"""What a card says of the things that a model is about: molecules, compositions or dyes."""

from typing import NamedTuple

from tasks.recipe import Estate, FeatureSpec

TOPOLOGY = ", with its rings and conjugated bonds"
ESTATE = "L. H. Hall, L. B. Kier, J. Chem. Inf. Comput. Sci. 35 (1995) 1039, doi:10.1021/ci00028a014"
FRACTIONS = "D. Jha et al., Sci. Rep. 8 (2018) 17593, doi:10.1038/s41598-018-35934-y"


class Kind(NamedTuple):
    """What a row is, in words.

    Attributes:
        one: what a prediction is of, and from what it is made.
        known: which of them the model knows, after the list of its elements.
        blind: what the features do not show.
        folds: what shares a fold.
        citation: of the features.
    """

    one: str
    known: str
    blind: str
    folds: str
    citation: str


KINDS = {
    "molecules": Kind(
        one="a molecule from its structural formula (SMILES)",
        known="in closed-shell, neutral molecules of one piece: no radicals, ions, salts or isotopes",
        blind="It sees which atoms are bonded to which and nothing of the shape: stereoisomers get the same value",
        folds="stereoisomers share a fold",
        citation=ESTATE,
    ),
    "compositions": Kind(
        one="a composition from its chemical formula",
        known="in any proportion",
        blind="It sees the fractions of the elements and nothing of the structure: polymorphs get the same value",
        folds="each composition is one row",
        citation=FRACTIONS,
    ),
    "dyes": Kind(
        one="a porphyrin dye from its free base (SMILES) and its metal",
        known="in porphyrins with a metal or two hydrogens in the middle",
        blind="It sees which atoms are bonded to which and nothing of the shape, but for its labels",
        folds="dyes of the same ligands share a fold, whatever their metal",
        citation=ESTATE,
    ),
}


def entering(features: FeatureSpec) -> str:
    """Say as what a row enters the network."""
    if isinstance(features, Estate):
        rings = TOPOLOGY if features.topology else ""
        labels = f", and its labels {', '.join(features.labels)}" if features.labels else ""
        return f"the counts and sums of its electrotopological-state indices{rings}{labels}"
    return f"the fractions of {len(features.elements)} elements"
