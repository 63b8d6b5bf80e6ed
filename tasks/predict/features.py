"""From SMILES or formulas to what a published model takes: its features, and how many atoms of each element there are.

The same as in training, by the same code; what was rejected there has a reason here. Shapes: n items, p features, e
elements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rdkit import rdBase
from rdkit.Chem import Mol
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from tasks.curate.molecules import FAULTY, _fault
from tasks.errors import MatliftError
from tasks.featurize.estate import _parsed, estate, estate_names
from tasks.featurize.fractions import count_rows, fraction_rows
from tasks.featurize.labels import START
from tasks.featurize.matrix import COUNT
from tasks.featurize.plain import read_plain
from tasks.featurize.scale import Scale
from tasks.featurize.shards import Attempt, attempts
from tasks.featurize.statistics import statistics_names, statistics_rows
from tasks.featurize.topology import TOPOLOGY, topology
from tasks.formulas import amounts
from tasks.porphyrins import core, with_aromatic_core
from tasks.recipe import Estate, FeatureSpec, Fractions, Statistics

LONGEST = 2000  # characters of an item: beyond, one molecule may take all the memory there is

SPECS: dict[str, type[Estate | Fractions | Statistics]] = {
    "estate": Estate,
    "fractions": Fractions,
    "statistics": Statistics,
}

Matrix = npt.NDArray[np.float64]


class Rows(NamedTuple):
    """What is known of n items.

    Attributes:
        features: (g, p), of the good ones, standardised.
        elements: (g, e), their atoms of each element, or their fractions.
        foreign: (g, f), which of the atom types they have that the source lacks, in the featurizer's order.
        places: (g,), where they are among all.
        reasons: (n,), why an item is not good, empty where it is.
    """

    features: npt.NDArray[np.float32]
    elements: Matrix
    foreign: npt.NDArray[np.bool_]
    places: npt.NDArray[np.int64]
    reasons: npt.NDArray[np.object_]


@dataclass(frozen=True)
class Featurizer:
    """Makes the features of new items as those of the training rows were made.

    Attributes:
        of: what an item is: molecules, dyes, both as SMILES, or compositions as formulas.
        spec: which features, from the recipe.
        scale: of the source.
        elements: that may occur.
        extensive: whether the property is: then atoms are counted, otherwise their fractions.
        foreign: the atom types that the source lacks.
    """

    of: str
    spec: FeatureSpec
    scale: Scale
    elements: tuple[str, ...]
    extensive: bool
    foreign: tuple[str, ...]

    @classmethod
    def read(cls, state: Mapping[str, Any]) -> "Featurizer":
        """Return it from the content of a bundle's `features.json`."""
        spec = SPECS[state["kind"]]
        return cls(
            of=state["of"],
            spec=spec.model_validate({name: state[name] for name in spec.model_fields}),
            scale=Scale.from_state(dict(state)),
            elements=tuple(state["elements"]),
            extensive=state["extensive"],
            foreign=tuple(state["absent"]),
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all features, before those that are constant in the source are left out."""
        match self.spec:
            case Estate(topology=topological, statistics=statistics):
                return estate_names(statistics) + (TOPOLOGY if topological else ()) + self.scale.starting(START)
            case Fractions(elements=elements):
                return tuple(f"fraction_{element}" for element in elements)
            case Statistics(fractions=fractions):
                return statistics_names(fractions=fractions)

    def rows(self, items: Sequence[Any]) -> Rows:
        """Return the features of some items; what is no text is not good, either."""
        reasons = np.full(len(items), "", dtype=object)
        with rdBase.BlockLogs():  # what RDKit would print about a bad SMILES
            held, formulas, places = self._read(items, reasons)
            atoms, why = self._atoms(formulas)
            good = [row for row, reason in enumerate(why) if not reason]
            raw, failed = self._raw([held[row] for row in good], _rows(atoms, good))
        for row, reason in zip(good, failed, strict=True):
            why[row] = reason or ""
        if any(why):
            reasons[places] = why
            good = [row for row, reason in enumerate(why) if not reason]
        raw = raw if len(raw) else np.zeros((0, len(self.names)))
        return Rows(
            features=self._standardised(raw),
            elements=_rows(atoms, good),
            foreign=raw[:, [self.names.index(COUNT + name) for name in self.foreign]] != 0,
            places=np.array(places, np.int64)[good],
            reasons=reasons,
        )

    def _standardised(self, raw: Matrix) -> npt.NDArray[np.float32]:
        """Return what the scale makes of rows, to the last bit; it would look for its columns again each time."""
        kept = raw if self._kept is None else raw.take(self._kept, axis=1)
        shifted = kept - self.scale.mean
        return np.divide(shifted, self.scale.spread, out=shifted).astype(np.float32)

    @cached_property
    def _kept(self) -> npt.NDArray[np.int64] | None:
        """Where the columns of the scale are among all; None if they are all, in order."""
        place = {name: column for column, name in enumerate(self.names)}
        return (
            None if self.names == self.scale.names else np.array([place[name] for name in self.scale.names], np.int64)
        )

    def _read(
        self, items: Sequence[Any], reasons: npt.NDArray[np.object_]
    ) -> tuple[Sequence[Any], list[str], list[int]]:
        """Return what can be read, as molecules of RDKit's or formulas, the formulas, and the places of these items.

        Args:
            items: n of them.
            reasons: (n,), filled in where an item cannot be read.
        """
        texts = [item.strip() if isinstance(item, str) else "" for item in items]
        places = [place for place, text in enumerate(texts) if 0 < len(text) <= LONGEST]
        kind = "formula" if self.of == "compositions" else "SMILES"
        if len(places) < len(texts):
            for place in set(range(len(texts))).difference(places):
                long = f"its {kind} has {len(texts[place]):,} characters, more than {LONGEST:,}"
                reasons[place] = long if texts[place] else f"there is no {kind}"
        if self.of == "compositions":
            formulas = [texts[place] for place in places]
            return formulas, formulas, places
        held: list[Mol] = []
        whole: list[int] = []
        for place in places:
            try:
                held.append(_molecule(texts[place], dye=self.of == "dyes"))
                whole.append(place)
            except MatliftError as error:
                reasons[place] = str(error)
        return held, [CalcMolFormula(molecule) for molecule in held], whole

    def _atoms(self, formulas: Sequence[str]) -> tuple[Matrix, list[str]]:
        """Return the atoms of each element (n, e), or their fractions, and why a formula has none, else nothing."""
        matrix, odd = read_plain(
            formulas, {name: place for place, name in enumerate(self.elements)}, fractions=not self.extensive
        )
        why = [""] * len(formulas)
        for row in odd.tolist():
            try:
                missing = sorted(amounts(formulas[row]).keys() - set(self.elements))
            except MatliftError as error:
                why[row] = str(error)
                continue
            if missing:
                why[row] = f"it has {', '.join(missing)}, which the model does not know"
            else:
                count = count_rows if self.extensive else fraction_rows
                matrix[row] = count([formulas[row]], elements=self.elements)[0]
        return matrix, why

    def _raw(self, items: Sequence[Any], atoms: Matrix) -> Attempt:
        """Return the features of molecules or formulas, and why some have none.

        Args:
            items: n of them.
            atoms: (n, e), of each element, or their fractions.
        """
        if isinstance(self.spec, Fractions) and not self.extensive:  # these are the fractions
            if self.spec.elements == self.elements:
                return atoms, [None] * len(items)
            raw = np.zeros((len(items), len(self.spec.elements)))
            raw[:, [self.spec.elements.index(name) for name in self.elements]] = atoms
            return raw, [None] * len(items)
        return attempts(self._compute, items)  # type: ignore[arg-type]

    def _compute(self, items: Sequence[Any]) -> Matrix:
        """Return the features of molecules or formulas, rows by names."""
        match self.spec:
            case Estate(topology=topological, statistics=statistics, merged=merged):
                molecules = [with_aromatic_core(one) for one in items] if self.of == "dyes" else items
                parts = [estate(molecules, statistics, merged=merged)]
                if topological:
                    parts.append(np.array([topology(molecule) for molecule in molecules]))
                return np.hstack([*parts, np.zeros((len(items), len(self.scale.starting(START))))])
            case Fractions(elements=elements):
                return fraction_rows(items, elements=elements)
            case Statistics(fractions=fractions):
                return statistics_rows(items, fractions=fractions)


def _rows(matrix: Matrix, rows: Sequence[int]) -> Matrix:
    """Return some rows of a matrix, in order; itself if these are all."""
    return matrix if len(rows) == len(matrix) else matrix[np.array(rows, np.int64)]


def _molecule(text: str, *, dye: bool) -> Mol:
    """Return the molecule of a SMILES.

    Raises:
        MatliftError: it is none that the model could have learnt anything about.
    """
    molecule = _parsed(text)
    if any(sign in text for sign in FAULTY) and (found := _fault(molecule)):
        raise MatliftError(f"{found.detail[:1].lower()}{found.detail[1:-1]}" if found.detail else str(found.reason))
    if dye and not core(molecule):
        raise MatliftError("it has no porphyrin core")
    return molecule
