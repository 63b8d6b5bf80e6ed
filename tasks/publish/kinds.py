"""What a card says of the things that a model is about: molecules, compositions or dyes."""

from typing import NamedTuple

from tasks.featurize.properties import property_names
from tasks.featurize.statistics import OVER_ELEMENTS
from tasks.recipe import Estate, FeatureSpec, Fractions, Statistics

PLURALS = {"count": "counts", "sum": "sums", "minimum": "minima", "maximum": "maxima"}
TOPOLOGY = ", with its rings and conjugated bonds"
ESTATE = "L. H. Hall, L. B. Kier, J. Chem. Inf. Comput. Sci. 35 (1995) 1039, doi:10.1021/ci00028a014"
FRACTIONS = "D. Jha et al., Sci. Rep. 8 (2018) 17593, doi:10.1038/s41598-018-35934-y"
STATISTICS = "L. Ward et al., npj Comput. Mater. 2 (2016) 16028, doi:10.1038/npjcompumats.2016.28"


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


def kind_of(of: str, features: FeatureSpec) -> Kind:
    """Return what a row is, in words.

    Args:
        of: by the recipe's rules.
        features: what is computed of it.
    """
    kind = KINDS[of]
    if not isinstance(features, Statistics):
        return kind
    return kind._replace(
        known="in any proportion; of those that it saw in no compound it knows their properties alone",
        blind="It sees the elements with their fractions and nothing of the structure: polymorphs get the same value",
        citation=STATISTICS,
    )


def entering(features: FeatureSpec) -> str:
    """Say as what a row enters the network."""
    match features:
        case Estate(statistics=statistics, topology=topology, labels=labels):
            taken = " and ".join([", ".join(map(PLURALS.__getitem__, statistics[:-1])), PLURALS[statistics[-1]]])
            rings = TOPOLOGY if topology else ""
            names = f", and its labels {', '.join(labels)}" if labels else ""
            return f"the {taken.removeprefix(' and ')} of its electrotopological-state indices{rings}{names}"
        case Fractions(elements=elements):
            return f"the fractions of {len(elements)} elements"
        case Statistics(fractions=fractions):
            return (
                f"the {', '.join(OVER_ELEMENTS)} of {len(property_names())} properties over its elements, "
                f"with the norms of their fractions{' and these themselves' if fractions else ''}"
            )
