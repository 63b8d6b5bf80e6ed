"""Plain formulas, read all at once: numpy over the bytes of a chunk instead of Python over each formula."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.formulas import ELEMENTS

Whole = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]

ODD, LOWER, DIGIT, POINT, UPPER, OPEN, CLOSE = range(7)
KINDS = np.full(128, ODD, np.uint8)
for characters, kind in (
    ("az", LOWER),
    ("09", DIGIT),
    ("..", POINT),
    ("AZ", UPPER),
    ("((", OPEN),
    ("))", CLOSE),
):
    KINDS[ord(characters[0]) : ord(characters[1]) + 1] = kind
LONGEST = 16  # characters of a number
EXACT = 2.0**53  # below which every whole number is a floating-point number
POWERS = np.array([float(10**power) for power in range(2 * LONGEST)])  # a number in brackets, and one behind them


class Text(NamedTuple):
    """Formulas one after the other, and in them t symbols and brackets, each with the number behind it.

    Attributes:
        letters: (c + 1,), the characters, one byte each, `?` for those that ASCII lacks, and one more that ends them.
        kinds: (c + 1,), what each of them is: ODD, UPPER, …
        row: (c,), the formula of each.
        ends: (n,), the place behind each formula.
        mark: (t,), the place of each symbol and each bracket.
        number: (t,), the place behind it, where its number starts if it has one.
        end: (t,), the place behind that.
    """

    letters: npt.NDArray[np.uint8]
    kinds: npt.NDArray[np.uint8]
    row: Whole
    ends: Whole
    mark: Whole
    number: Whole
    end: Whole


def read_plain(formulas: Sequence[str], columns: Mapping[str, int], *, fractions: bool) -> tuple[Matrix, Whole]:
    """Read the formulas that are symbols, numbers and single round brackets, with all elements among the columns.

    What has brackets in brackets, water, spaces, unknown elements, numbers of more than 16 characters or no atoms is
    left to `tasks.formulas.amounts`. Up to the last division all numbers are whole and below 2**53, times the power of
    ten that makes a formula's decimals whole, so that nothing is rounded twice.

    Args:
        formulas: n of them.
        columns: the place of each element, from 0 to e - 1.
        fractions: whether to return fractions, not numbers, of atoms.

    Returns:
        (n, e), the atoms of each formula, zeros where it is not plain; and the places of the formulas that are not.
    """
    text = _laid_out(formulas)
    decimals = _decimals(text)
    plain = _are_plain(text, decimals)
    row, column, kinds, values = text.row[text.mark], _columns(text, columns), text.kinds[text.mark], _numbers(text)
    plain[row[column < 0]] = False
    if not plain.all():
        row, column, kinds, values, decimals = _taken(plain[row], row, column, kinds, values, decimals)
    if kinds.max(initial=UPPER) > UPPER:
        values, decimals = _multiplied(kinds, values, decimals)
        row, column, values, decimals = _taken(kinds == UPPER, row, column, values, decimals)
    power = np.zeros(len(formulas), np.int64)
    if decimals.any():
        np.maximum.at(power, row, decimals)
        values *= POWERS[power[row] - decimals]
    total = np.bincount(row, values, len(formulas))
    plain &= (total > 0) & (total < EXACT) & (power < LONGEST)
    divisor = np.where(plain, total if fractions else POWERS[power], np.inf)
    place = row * len(columns) + column
    numbers = np.bincount(place, values, len(formulas) * len(columns)).astype(np.float64, copy=False)
    numbers[place] = numbers[place] / divisor[row]  # the elements that are there: a division of all takes twice as long
    return numbers.reshape(len(formulas), len(columns)), np.flatnonzero(~plain)


def _laid_out(formulas: Sequence[str]) -> Text:
    """Return the text of all formulas."""
    lengths = np.fromiter(map(len, formulas), np.int64, len(formulas))
    ends = np.cumsum(lengths)
    letters = np.frombuffer("".join(formulas).encode("ascii", "replace") + b"\0", np.uint8)
    kinds = KINDS[letters]
    row = np.repeat(np.arange(len(formulas)), lengths)
    mark = np.flatnonzero(kinds >= UPPER)
    end = np.minimum(np.append(mark[1:], len(row)), ends[row[mark]])
    number = mark + 1 + ((kinds[mark + 1] == LOWER) & (mark + 1 < end))
    return Text(letters, kinds, row, ends, mark, number, end)


def _are_plain(text: Text, decimals: Whole) -> npt.NDArray[np.bool_]:
    """Return which formulas (n,) are symbols, numbers and single brackets; not whether the symbols are elements."""
    kinds, row = text.kinds, text.row
    starts = np.concatenate([[0], text.ends])[:-1]
    plain: npt.NDArray[np.bool_] = (kinds[starts] >= UPPER) & (starts < text.ends)
    plain[row[np.flatnonzero(kinds[:-1] == ODD)]] = False
    lower = np.flatnonzero(kinds == LOWER)
    plain[row[lower[kinds[lower - 1] != UPPER]]] = False
    plain[row[text.mark[text.end - text.number > LONGEST]]] = False
    bracket = text.mark[kinds[text.mark] != UPPER]
    if len(bracket):
        opens, of = kinds[bracket] == OPEN, row[bracket]
        second = (np.arange(len(bracket)) - np.searchsorted(of, of)) % 2 == 1  # one opens, the next closes
        plain[of[(opens == second) | (opens & (kinds[bracket + 1] != UPPER))]] = False
        plain[np.bincount(of, minlength=len(plain)) % 2 == 1] = False
    point = np.flatnonzero(kinds == POINT)
    if len(point):
        plain[row[text.mark[decimals < 0]]] = False
        last = text.letters[np.maximum(text.ends[:, None] - (3, 2, 1), 0)]  # a point before water may part a hydrate
        plain[(last == (ord("H"), ord("2"), ord("O"))).all(axis=1)] = False
    return plain


def _decimals(text: Text) -> Whole:
    """Return how many decimals (t,) each number has, -1 if its point is its end or not its only one."""
    decimals = np.zeros(len(text.mark), np.int64)
    point = np.flatnonzero(text.kinds == POINT)
    term = np.searchsorted(text.mark, point) - 1
    inside = (term >= 0) & (point < np.append(text.end, 0)[term])
    point, term = point[inside], term[inside]
    behind = text.end[term] - point - 1
    decimals[term] = np.where(behind > 0, behind, -1)
    decimals[np.bincount(term, minlength=len(decimals)) > 1] = -1
    return decimals


def _columns(text: Text, columns: Mapping[str, int]) -> Whole:
    """Return the column (t,) of each symbol, -1 if it has none, and 0 of each bracket."""
    place = np.full((26, 27), -1)
    for element in ELEMENTS & columns.keys():
        place[ord(element[0]) - ord("A"), ord(element[1]) - ord("a") + 1 if len(element) > 1 else 0] = columns[element]
    letter = text.letters[text.mark]
    second = np.where(text.number - text.mark > 1, text.letters[text.mark + 1] - (ord("a") - 1), 0)
    return np.where(letter < ord("A"), 0, place[np.maximum(letter, ord("A")) - ord("A"), second])


def _taken(kept: npt.NDArray[np.bool_], *arrays: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Return some entries of each array."""
    places = np.flatnonzero(kept)
    return [array[places] for array in arrays]


def _multiplied(kinds: npt.NDArray[np.uint8], values: Matrix, decimals: Whole) -> tuple[Matrix, Whole]:
    """Return the numbers and decimals of symbols and brackets, those inside multiplied by what stands behind them."""
    opened, closed = np.cumsum(kinds == OPEN), np.cumsum(kinds == CLOSE)
    within = np.flatnonzero((opened > closed) & (kinds == UPPER))
    behind = np.flatnonzero(kinds == CLOSE)[closed[within]]
    values[within] *= values[behind]
    decimals[within] += decimals[behind]
    return values, decimals


def _numbers(text: Text) -> Matrix:
    """Return the digits (t,) of each number as a whole number, 1 where there is none; anything if it is no number."""
    start, size = text.number, np.minimum(text.end - text.number, LONGEST)
    values = np.where(size, 0.0, 1.0)
    for place in range(size.max(initial=0)):
        longer = np.flatnonzero(size > place)
        letter = text.letters[start[longer] + place]
        before = values[longer]
        values[longer] = np.where(letter == ord("."), before, 10 * before + (letter - float(ord("0"))))
    return values
