"""Elemental fractions say what share of the atoms each element has, exactly, and fast."""

import csv
from decimal import Decimal
from pathlib import Path
from time import process_time

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pymatgen.core import Composition

from tasks.errors import MatliftError
from tasks.featurize.fractions import count_rows, fraction_rows
from tasks.formulas import amounts
from tasks.recipe import Fractions

ELEMENTS = Fractions(kind="fractions").elements


@pytest.fixture(scope="module")
def formulas(shared_data: Path) -> dict[str, list[str]]:
    """The formulas of each table, each once."""
    found = {}
    for path in sorted(path for path in shared_data.glob("*/*.csv") if path.parent.name != "cmr"):  # dyes have none
        with path.open() as file:
            found[f"{path.parent.name}/{path.stem}"] = sorted({row["formula"] for row in csv.DictReader(file)})
    assert len(found) == 5
    return found


def test_the_86_elements_of_elemnet_are_the_default() -> None:
    assert len(ELEMENTS) == 86
    assert {"H", "Xe", "Pu"} < set(ELEMENTS)
    assert not {"He", "Ne", "Ar", "Po", "At", "Rn", "Fr", "Ra"} & set(ELEMENTS)


def test_fractions_are_shares_of_the_atoms() -> None:
    rows = fraction_rows(["Al2O3", "Zn0.15Ga0.85As", "Fe"], elements=("O", "Al", "As", "Fe", "Ga", "Zn"))
    assert rows.tolist() == [[0.6, 0.4, 0, 0, 0, 0], [0, 0, 0.5, 0, 0.425, 0.075], [0, 0, 0, 1, 0, 0]]


def test_counts_are_atoms() -> None:
    rows = count_rows(["CH3CH2OH", "Fe.95O", "CuSO4.5H2O", "Na0.5H2O"], elements=("C", "Cu", "Fe", "H", "Na", "O", "S"))
    assert rows.tolist() == [
        [2, 0, 0, 6, 0, 1, 0],
        [0, 0, 0.95, 0, 0, 1, 0],
        [0, 1, 0, 10, 0, 9, 1],
        [0, 0, 0, 2, 0.5, 1, 0],
    ]


def test_no_formulas_have_no_rows() -> None:
    assert fraction_rows([], elements=ELEMENTS).shape == (0, 86)


def test_every_formula_of_the_tables_is_what_pymatgen_says(formulas: dict[str, list[str]]) -> None:
    column = {element: place for place, element in enumerate(ELEMENTS)}
    for table, texts in formulas.items():
        some = [text for text in texts[:: 1 + len(texts) // 1500] if amounts(text).keys() <= column.keys()]
        for text, row in zip(some, fraction_rows(some, elements=ELEMENTS), strict=True):
            said = Composition(text)
            expected = np.zeros(len(ELEMENTS))
            for element in said:
                expected[column[str(element)]] = said.get_atomic_fraction(element)
            if table.startswith("oqmd"):  # numbers of atoms are whole
                np.testing.assert_array_equal(row, expected, err_msg=text)
            else:
                np.testing.assert_allclose(row, expected, rtol=1e-12, err_msg=text)


def test_half_a_million_formulas_a_second(formulas: dict[str, list[str]]) -> None:
    texts = formulas["oqmd/formation_energy"]
    spent = []
    for _ in range(3):
        start = process_time()
        fraction_rows(texts, elements=ELEMENTS)
        spent.append(process_time() - start)
    assert len(texts) / min(spent) > 250_000  # half, for a machine that does other things besides


whole = st.integers(1, 400).map(str)
decimal = st.one_of(whole, st.sampled_from(["", "0.15", ".5", "3.250", "0.333333333333333", "0", "9007199254740993"]))
terms = st.lists(st.tuples(st.sampled_from(ELEMENTS), decimal), min_size=1, max_size=8)


def written(parts: list[tuple[str, str]]) -> str:
    return "".join(map("".join, parts))


@given(terms.filter(lambda parts: any(amount.strip("0.") or not amount for _, amount in parts)), st.randoms())
def test_a_multiple_and_another_order_give_the_same_bits(parts: list[tuple[str, str]], chance: object) -> None:
    times = chance.randint(2, 10**6)  # type: ignore[attr-defined]
    multiple = [(element, f"{Decimal(amount or 1) * times:f}") for element, amount in parts]
    shuffled = sorted(parts, key=lambda _: chance.random())  # type: ignore[attr-defined]
    same = [written(parts), written(multiple), written(shuffled), f"({written(parts)}){times}"]
    rows = fraction_rows(same, elements=ELEMENTS)
    assert len({row.tobytes() for row in rows}) == 1
    assert rows[0].sum() == pytest.approx(1, abs=1e-14)


def one_by_one(formulas: list[str], *, fractions: bool) -> npt.NDArray[np.float64] | str:
    """Return what `amounts` says, or its complaint."""
    rows = np.zeros((len(formulas), len(ELEMENTS)))
    try:
        for row, formula in zip(rows, formulas, strict=True):
            parts = amounts(formula)
            for element, amount in parts.items():
                if element not in ELEMENTS:
                    return f"{formula} has {element}, which no row of the source has"
                row[ELEMENTS.index(element)] = float(amount / sum(parts.values()) if fractions else amount)
    except MatliftError as refused:
        return str(refused)
    return rows


letters = st.text(alphabet="HeCaNOFx()[].·*0123456789 ₂é\n\0", max_size=12)
groups = st.tuples(terms.map(written), decimal).map(lambda group: f"({group[0]}){group[1]}")
bracketed = st.lists(st.one_of(groups, terms.map(written)), min_size=1, max_size=4).map("".join)
texts = st.one_of(terms.map(written), bracketed, letters, st.text(max_size=4))


@pytest.mark.parametrize("fractions", [True, False])
@given(formulas=st.lists(texts, max_size=5))
@example(formulas=[])
@example(formulas=["", "."])
@example(formulas=["Fe2.", "5O"])
@example(formulas=["C", "a"])
@example(formulas=["H0.1", "2"])
def test_all_at_once_means_what_one_by_one_does(formulas: list[str], fractions: bool) -> None:  # noqa: FBT001
    agree(formulas, fractions=fractions)


@pytest.mark.parametrize(
    "text",
    ["", "2H2O", "e", "Fe2.", "5O", "Fe..5", "Fe.", "1", "HE", "HeF0", "XeHe0", "NaCl.2H2O", "Fe1.2.3", "O\n", "Ω"],
)
def test_an_oddity_between_others_means_what_it_means_alone(text: str) -> None:
    agree([text], fractions=True)
    agree(["Fe2O3", text, "O2"], fractions=True)


def agree(formulas: list[str], *, fractions: bool) -> None:
    expected = one_by_one(formulas, fractions=fractions)
    function = fraction_rows if fractions else count_rows
    if isinstance(expected, str):
        with pytest.raises(MatliftError) as refused:
            function(formulas, elements=ELEMENTS)
        assert str(refused.value).startswith(expected)
    else:
        np.testing.assert_array_equal(function(formulas, elements=ELEMENTS), expected)


def test_an_element_without_a_column_is_not_left_out_silently() -> None:
    with pytest.raises(MatliftError, match="XeF2 has Xe, which no row of the source has"):
        fraction_rows(["F2", "XeF2"], elements=("F",))
