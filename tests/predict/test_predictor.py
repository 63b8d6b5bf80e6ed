"""A published model predicts what it predicted when it was made, for each item, whatever the others are."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from models import Published

from tasks.predict import Predictor

COLUMNS = ["item", "value", "lower", "upper", "in_domain", "reason"]
NUMBERS = ["value", "lower", "upper"]

PROGRAM = """
import socket, sys, time
socket.socket.connect = None  # offline
from tasks.predict import load
start = time.process_time()
model = load(sys.argv[1])
assert time.process_time() - start < 1
print(model.predict(sys.argv[2:])["value"].tolist())
heavy = {"prefect", "torch", "sklearn", "scipy", "s3fs", "ase.io"} & set(sys.modules)
assert not heavy, heavy
"""

FAULTS = {
    "molecules": {
        "": "there is no SMILES",
        "not a molecule": "cannot be read as a molecule",
        "C1CC": "cannot be read",
        "CCBr": "it has Br, which the model does not know",
        "C[N+](C)(C)C": "charge is +1",
        "CC.O": "it has 2 components",
        "[13CH4]": "it has 13C",
        "[CH3]": "unpaired",
        "C*": "stands for any atom",
        "C" * 3000: "3,000 characters, more than 2,000",
    },
    "compositions": {
        "": "there is no formula",
        "Fe(": "is not closed",
        "Qq2": "Qq is no element",
        "NaCl-": "is not a chemical formula",
        "Na0": "has no atoms",
    },
}


def test_it_predicts_what_it_predicted_when_it_was_fitted(published: Published, predictor: Predictor) -> None:
    predicted = predictor.predict(published.items)
    assert predicted.columns.tolist() == COLUMNS
    assert predicted["item"].tolist() == published.items
    np.testing.assert_allclose(predicted["value"], published.values, rtol=1e-6, atol=1e-6)
    assert (predicted["lower"] < predicted["value"]).all()
    assert (predicted["value"] < predicted["upper"]).all()
    assert predicted["in_domain"].mean() > 0.8
    assert predicted.loc[predicted["in_domain"], "reason"].eq("").all()


def test_all_at_once_is_one_by_one(published: Published, predictor: Predictor) -> None:
    of = "molecules" if predictor.takes == "smiles" else "compositions"
    items = [*published.items[:20], *FAULTS[of], *published.items[20:40]]
    together = predictor.predict(items)
    alone = pd.concat([predictor.predict([item]) for item in items], ignore_index=True)
    np.testing.assert_allclose(together[NUMBERS], alone[NUMBERS], rtol=1e-6, atol=1e-6)
    pd.testing.assert_frame_equal(together.drop(columns=NUMBERS), alone.drop(columns=NUMBERS))


def test_bad_items_stay_in_their_place_with_a_reason(published: Published, predictor: Predictor) -> None:
    faults = FAULTS["molecules" if predictor.takes == "smiles" else "compositions"]
    predicted = predictor.predict([published.items[0], *faults, published.items[1]])
    assert predicted["value"].notna().tolist() == [True, *[False] * len(faults), True]
    for said, reason in zip(predicted["reason"].iloc[1:-1], faults.values(), strict=True):
        assert reason in said
    assert not predicted["in_domain"].iloc[1:-1].any()


@pytest.mark.parametrize("item", [None, float("nan"), 7])
def test_what_is_no_text_is_a_bad_item(predictor: Predictor, item: object) -> None:
    predicted = predictor.predict([item])  # type: ignore[list-item]
    assert predicted["reason"].str.startswith("there is no ").all()


def test_nothing_is_predicted_of_nothing(predictor: Predictor) -> None:
    assert predictor.predict([]).columns.tolist() == COLUMNS


def test_what_is_unlike_all_that_was_learnt_from_is_not_in_the_domain(predictor: Predictor) -> None:
    strange = "OC(O)(O)C(O)(O)C(O)(O)C(O)(O)C(O)(O)C(O)(O)O" if predictor.takes == "smiles" else "XeF6"
    predicted = predictor.predict([strange]).iloc[0]
    assert np.isfinite(predicted["value"])
    assert not predicted["in_domain"]
    assert "learnt" in predicted["reason"]


def test_it_says_what_it_predicts(published: Published, predictor: Predictor) -> None:
    about = predictor.about
    assert predictor.property == about["property"]["name"]
    assert predictor.unit == about["property"]["unit"]
    assert predictor.predict(published.items[:1]).attrs["units"]["value"] == predictor.unit
    assert predictor.fingerprint == published.bundle.fingerprint
    assert about["rows"]["target"] == len(published.items)


def test_it_loads_within_a_second_offline_without_the_libraries_that_learn(published: Published) -> None:
    order = [sys.executable, "-c", PROGRAM, str(published.folder), published.items[0]]
    ended = subprocess.run(order, check=False, capture_output=True, text=True, env=os.environ)
    assert ended.returncode == 0, ended.stderr
    assert float(ended.stdout.strip("[]\n")) == pytest.approx(published.values[0], rel=1e-6)
