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

pytestmark = pytest.mark.usefixtures("one_core")
MOLECULES = {"qm9": (qm9_smiles, 400), "dyes": (dyes, 40)}  # and how many a round
ROUNDS = 7
AGGREGATES = {EState.AggrType.count, EState.AggrType.sum}  # mordred has the least and the greatest index too
MORDRED = Calculator([one for one in Calculator(EState).descriptors if one.parameters()[0] in AGGREGATES])


def ours(smiles: Sequence[str]) -> Matrix:
    return estate_rows(smiles, topological=False)


def rdkit(smiles: Sequence[str]) -> Matrix:
    return np.array([np.concatenate(Fingerprinter.FingerprintMol(Chem.MolFromSmiles(one))) for one in smiles])


def mordred(smiles: Sequence[str]) -> Matrix:
    molecules = [Chem.MolFromSmiles(one) for one in smiles]
    return np.array([list(row) for row in MORDRED.map(molecules, nproc=1, quiet=True)], dtype=float)


def same_as_rdkit(_smiles: Sequence[str], found: Matrix, expected: Matrix) -> str:
    """RDKit takes matches on the same atoms for one, so that it misses atoms of some molecules: all others agree."""
    assert found.shape == expected.shape
    complete = found[:, :79].sum(axis=1) == expected[:, :79].sum(axis=1)
    assert complete.mean() > 0.8
    np.testing.assert_allclose(found[complete], expected[complete], rtol=1e-9, atol=1e-9)
    assert np.all(found[:, :79] >= expected[:, :79])
    return f"the same where RDKit counts all atoms, as it does in {complete.mean():.1%} of the molecules of a round"


def same_as_mordred(_smiles: Sequence[str], found: Matrix, expected: Matrix) -> str:
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    return "the same"


@pytest.mark.parametrize("of", MOLECULES)
@pytest.mark.parametrize(("peer", "check", "half"), [(rdkit, same_as_rdkit, 0), (mordred, same_as_mordred, 1)])
def test_estate(
    contest: Contest,
    of: str,
    peer: Callable[[Sequence[str]], Matrix],
    check: Callable[[Sequence[str], Matrix, Matrix], str],
    half: int,
) -> None:
    molecules, size = MOLECULES[of]
    contest(
        f"estate-{of}-vs-{peer.__name__}",
        ours=ours,
        peer=peer,
        batches=batches(molecules()[half::2], size, ROUNDS),
        check=check,
        unit="molecules/s",
    )
