"""Candidates come from tables, databases and rules: all of them, each as it stands there, a piece at a time."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from math import gcd
from pathlib import Path

import numpy as np
import optimade_server
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Element

from tasks.errors import MatliftError
from tasks.formulas import amounts, reduced
from tasks.screen import OfElements, OfOptimade, OfTable, sources
from tasks.screen.compositions import STATES, batches
from tasks.screen.sources import Source
from tasks.store import Store

FORMULAS = [f"Na{number}Cl" for number in range(2, 30)] + ["NaCl"]


def read(source: Source, takes: sources.Takes = "formula") -> list[str | None]:
    known = sources.identity(source, takes)
    return [item for batch in sources.batches(source, takes, known) for item in batch]


def of(elements: str, atoms: int) -> set[str]:
    return {formula for batch in batches(elements.split(), atoms) for formula in batch}


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.parquet"])
def test_a_table_gives_the_column_that_the_model_takes(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"Formula ": FORMULAS, "name": "ä, b"})
    if name.endswith("parquet"):
        frame.to_parquet(tmp_path / name)
    else:
        frame.to_csv(tmp_path / name, sep="\t" if name.endswith("tsv") else ",", index=False, encoding="utf-8-sig")
    assert read(OfTable(table=str(tmp_path / name))) == FORMULAS


def test_a_table_may_lie_in_a_store_or_behind_a_url(store: Store, tmp_path: Path) -> None:
    data = "\n".join(["formula", *FORMULAS]).encode()
    store.files.replace("some.csv", data)
    (tmp_path / "some.csv").write_bytes(data)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for at in (f"{store.url}/some.csv", f"http://127.0.0.1:{server.server_port}/some.csv"):
            assert read(OfTable(table=at)) == FORMULAS
    finally:
        server.shutdown()
        server.server_close()


def test_empty_cells_stay_in_their_place_and_numbers_are_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('smiles,x\nCCO,1\n,2\n"C1,C",3\n007,4\n')
    assert read(OfTable(table=str(tmp_path / "a.csv")), "smiles") == ["CCO", "", "C1,C", "007"]


def test_its_identity_changes_with_its_content(tmp_path: Path) -> None:
    source = OfTable(table=str(tmp_path / "a.csv"))
    found = set()
    for text in ("formula\nNaCl\n", "formula\nNaBr\n"):
        (tmp_path / "a.csv").write_text(text)
        found.add(sources.identity(source, "formula"))
    assert len(found) == 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", None, "is not there"),
        ("a.csv", b"a,b\n1,2\n", "has no column formula"),
        ("a.parquet", b"PAR1 and no more", "cannot be read as Parquet"),
        ("a.exe", b"formula\nNaCl\n", "is no file of candidates"),
    ],
)
def test_what_is_no_such_file_is_refused_in_one_sentence(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MatliftError, match=said):
        read(OfTable(table=str(tmp_path / name)))


def test_a_column_of_another_name_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("compound,n\nNaCl,1\nKCl,2\n")
    assert read(OfTable(table=str(tmp_path / "a.csv"), column="compound")) == ["NaCl", "KCl"]


def test_shards_are_full_but_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SHARD", 10)
    (tmp_path / "a.csv").write_text("\n".join(["formula", *FORMULAS]))
    source = OfTable(table=str(tmp_path / "a.csv"))
    shards = list(sources.batches(source, "formula", ""))
    assert [len(shard) for shard in shards] == [10, 10, 9]
    assert [item for shard in shards for item in shard] == FORMULAS


def test_a_database_gives_each_composition_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATLIFT_CACHE", str(tmp_path / "cache"))
    structures = [optimade_server.structure(number) for number in range(120)]
    formulas = {str(one["attributes"]["chemical_formula_reduced"]) for one in structures}
    with optimade_server.serving(tmp_path, structures, 50) as url:
        found = read(OfOptimade(optimade=url))
        oxides = read(OfOptimade(optimade=url, filter='elements HAS "O"'))
    assert len(found) == len(formulas) < len(structures)
    assert set(found) == formulas
    assert set(oxides) == {formula for formula in formulas if "O" in amounts(formula)}


def test_formulas_are_not_given_to_a_model_that_takes_smiles() -> None:
    with pytest.raises(MatliftError, match="the model takes SMILES"):
        sources.identity(OfElements(elements=("Na", "Cl")), "smiles")


def test_common_states_are_those_of_pymatgen() -> None:
    theirs = {one.symbol: {state for state in one.common_oxidation_states if state} for one in Element}
    for isotope in ("D", "T"):
        theirs.pop(isotope, None)
    assert {element: set(states) for element, states in STATES.items()} == {
        element: states for element, states in theirs.items() if states
    }


def test_compositions_of_known_systems() -> None:
    assert of("Na Cl", 4) == {"NaCl"}  # chlorine has other states, all of them positive
    assert of("Fe O", 10) == {"FeO", "Fe2O3"}  # not Fe3O4: that has two states of iron
    assert {"LiFePO4", "Li3PO4", "FeO", "Fe2O3", "Li2O"} <= of("Li Fe P O", 8)
    assert of("Na K", 10) == set()  # nothing is negative


@settings(deadline=None, max_examples=15)
@given(st.lists(st.sampled_from(sorted(STATES)), min_size=2, max_size=4, unique=True), st.integers(2, 9))
def test_they_are_all_that_balance_each_once(elements: list[str], atoms: int) -> None:
    found = [formula for batch in batches(elements, atoms) for formula in batch]
    wanted = set()
    for counts in product(range(atoms + 1), repeat=len(elements)):
        has = [(element, count) for element, count in zip(elements, counts, strict=True) if count]
        if len(has) < 2 or sum(counts) > atoms or gcd(*(count for _, count in has)) > 1:
            continue
        charges = (np.dot(states, [n for _, n in has]) for states in product(*(STATES[element] for element, _ in has)))
        if 0 in charges:
            wanted.add("".join(f"{element}{count if count > 1 else ''}" for element, count in has))
    assert len(found) == len(set(found))
    assert set(found) == wanted
    assert len({reduced(formula) for formula in found}) == len(found)


@pytest.mark.parametrize(
    ("elements", "said"),
    [("Na He", "He has no common oxidation state"), ("Na Qq", "Qq is no element"), ("Na O Na", "named twice")],
)
def test_elements_without_states_are_refused(elements: str, said: str) -> None:
    with pytest.raises(MatliftError, match=said):
        sources.identity(OfElements(elements=tuple(elements.split())), "formula")


def test_more_compositions_than_can_be_tried_are_refused_at_once() -> None:
    every = OfElements(elements=tuple(sorted(STATES)[:12]), atoms=60)
    with pytest.raises(MatliftError, match="12 elements make 2e"):
        sources.identity(every, "formula")
