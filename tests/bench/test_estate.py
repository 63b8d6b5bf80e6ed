"""E-state indices, from SMILES to a matrix of 79 counts and 79 sums, beside RDKit's and mordred's."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from conftest import Contest
from inputs import batches, dyes, qm9_smiles
from mordred import Calculator, EState
from rdkit import Chem
from rdkit.Chem.EState import Fingerprinter

from tasks.featurize.estate import estate_rows

Matrix = npt.NDArray[np.float64]
Features = Callable[[Sequence[str]], Matrix]

pytestmark = pytest.mark.usefixtures("one_core")
MOLECULES = {"qm9": (qm9_smiles, 400), "dyes": (dyes, 96)}  # and how many a round
ROUNDS = 7
AGGREGATES = {EState.AggrType.count, EState.AggrType.sum}  # mordred has the least and the greatest index too
MORDRED = Calculator([one for one in Calculator(EState).descriptors if one.parameters()[0] in AGGREGATES])


def ours(smiles: Sequence[str]) -> Matrix:
    return estate_rows(smiles, topological=False)


def as_rdkit(smiles: Sequence[str]) -> Matrix:
    """Ours with the counts of RDKit's Fingerprinter, which takes matches on the same atoms for one."""
    return estate_rows(smiles, topological=False, merged=True)


def rdkit(smiles: Sequence[str]) -> Matrix:
    return np.array([np.concatenate(Fingerprinter.FingerprintMol(Chem.MolFromSmiles(one))) for one in smiles])


def mordred(smiles: Sequence[str]) -> Matrix:
    molecules = [Chem.MolFromSmiles(one) for one in smiles]
    return np.array([list(row) for row in MORDRED.map(molecules, nproc=1, quiet=True)], dtype=float)


def same(_smiles: Sequence[str], found: Matrix, expected: Matrix) -> str:
    np.testing.assert_array_equal(found[:, :79], expected[:, :79])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    return "the same"


@pytest.mark.parametrize("of", MOLECULES)
@pytest.mark.parametrize(("own", "peer", "half"), [(as_rdkit, rdkit, 0), (ours, mordred, 1)])
def test_estate(
    contest: Contest,
    of: str,
    own: Callable[[Sequence[str]], Matrix],
    peer: Callable[[Sequence[str]], Matrix],
    half: int,
) -> None:
    molecules, size = MOLECULES[of]
    contest(
        f"estate-{of}-vs-{peer.__name__}",
        ours=own,
        peer=peer,
        batches=batches(molecules()[half::2], size, ROUNDS),
        check=same,
        unit="molecules/s",
    )
