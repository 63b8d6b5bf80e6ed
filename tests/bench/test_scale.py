"""Two processes beside one, at the features of QM9's molecules as the store keeps them."""

from collections.abc import Sequence
from functools import partial

import pytest
from conftest import Contest
from inputs import qm9_smiles

from tasks.featurize.estate import estate_rows
from tasks.featurize.shards import PART, part_files
from tasks.parallel import run_chunks

Parts = list[dict[str, bytes]]

WARM_UP, MOLECULES = 2 * PART, 10 * PART
features = partial(part_files, partial(estate_rows, topological=True))


def two_processes(smiles: Sequence[str]) -> Parts:
    return list(run_chunks(features, smiles, chunk=PART, label="two processes"))


def one_process(smiles: Sequence[str]) -> Parts:
    return [features(smiles[start : start + PART]) for start in range(0, len(smiles), PART)]


def same(smiles: Sequence[str], found: Parts, expected: Parts) -> str:
    assert found == expected
    return f"the same bytes, of {len(smiles):,} molecules"


@pytest.mark.usefixtures("two_cores")
def test_two_processes(contest: Contest) -> None:
    smiles = qm9_smiles()[::-1]  # the first are test_estate's
    contest(
        "featurize-two-processes-vs-one",
        ours=two_processes,
        peer=one_process,
        batches=[smiles[:WARM_UP], smiles[WARM_UP : WARM_UP + MOLECULES]],
        check=same,
        unit="molecules/s",
    )
