"""Two processes beside one, at the featurization of QM9, with all that starting them takes."""

import math
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
from conftest import Contest
from inputs import qm9_smiles

from tasks.featurize.estate import estate_rows
from tasks.featurize.matrix import CHUNK
from tasks.parallel import run_chunks

Matrix = npt.NDArray[np.float64]

SECONDS, ROUNDS = 16, 3  # of one process's work, if there are as many molecules: starting two takes seconds
TWO_CHUNKS = 2 * CHUNK  # so that both processes have the same to do
features = partial(estate_rows, topological=False)


def two_processes(smiles: Sequence[str]) -> Matrix:
    return np.concatenate(list(run_chunks(features, smiles, chunk=CHUNK, label="two processes")))


def one_process(smiles: Sequence[str]) -> Matrix:
    chunks = [smiles[start : start + CHUNK] for start in range(0, len(smiles), CHUNK)]
    return np.concatenate([features(chunk) for chunk in chunks])


def same(smiles: Sequence[str], found: Matrix, expected: Matrix) -> str:
    np.testing.assert_array_equal(found, expected)
    return f"the same, of {len(smiles):,} molecules a round"


@pytest.mark.usefixtures("two_cores")
def test_two_processes(contest: Contest) -> None:
    smiles = qm9_smiles()[::-1]  # the first are test_estate's
    warm_up, others = smiles[:TWO_CHUNKS], smiles[TWO_CHUNKS:]
    start = time.perf_counter()
    one_process(warm_up)
    wanted = SECONDS / (time.perf_counter() - start)
    size = TWO_CHUNKS * min(math.ceil(wanted), len(others) // ROUNDS // TWO_CHUNKS)
    contest(
        "featurize-two-processes-vs-one",
        ours=two_processes,
        peer=one_process,
        batches=[warm_up, *(others[size * number : size * (number + 1)] for number in range(ROUNDS))],
        check=same,
        unit="molecules/s",
    )
