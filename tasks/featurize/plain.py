"""Plain formulas, read all at once: numpy over the bytes of a chunk instead of Python over each formula."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

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


class Plain(NamedTuple):
    """The atoms of n formulas as whole numbers, exactly.

    Attributes:
        numbers: (n, e), of atoms of each element, times the power of ten that makes the formula's decimals whole;
            zeros where the formula is not plain.
        powers: (n,), those powers of ten; 1 where the formula is not plain.
        odd: the places of the formulas that are not plain.
    """

    numbers: Matrix
    powers: Matrix
    odd: Whole


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


def read_plain(formulas: Sequence[str], columns: Mapping[str, int]) -> Plain:
    """Read the formulas that are symbols, numbers and single round brackets, with all elements among the columns.

    What has brackets in brackets, water, spaces, unknown elements, numbers of more than 16 characters or no atoms is
    left to `tasks.formulas.amounts`. The numbers stay whole and below 2**53, so that nothing is rounded.

    Args:
        formulas: n of them.
        columns: the place of each element, from 0 to e - 1.
    """
    text = _laid_out(formulas)
    decimals = _decimals(text)
    plain = _are_plain(text, decimals)
    column = _columns(text, columns)
    row = text.row[text.mark]
    plain[row[column < 0]] = False
    kept = np.flatnonzero(plain[row])
    values, decimals = _multiplied(text.kinds[text.mark[kept]], _numbers(text, kept), decimals[kept])
    symbols = text.kinds[text.mark[kept]] == UPPER
    values, decimals, row, column = values[symbols], decimals[symbols], row[kept][symbols], column[kept][symbols]
    power = np.zeros(len(formulas), np.int64)
    if decimals.any():
        np.maximum.at(power, row, decimals)
    values *= POWERS[power[row] - decimals]
    total = np.bincount(row, values, len(formulas))
    plain &= (total > 0) & (total < EXACT) & (power < LONGEST)
    values[~plain[row]] = 0
    size = len(formulas), len(columns)
    sums = np.bincount(row * size[1] + column, values, size[0] * size[1])
    numbers = sums.astype(np.float64, copy=False).reshape(size)  # numpy gives integers if there are no terms at all
    return Plain(numbers, np.where(plain, POWERS[power], 1), np.flatnonzero(~plain))


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


def _multiplied(kinds: npt.NDArray[np.uint8], values: Matrix, decimals: Whole) -> tuple[Matrix, Whole]:
    """Return the numbers and decimals of some marks, each in brackets multiplied by what stands behind them."""
    closing = np.flatnonzero(kinds == CLOSE)
    if not len(closing):
        return values, decimals
    within = np.flatnonzero((np.cumsum(kinds == OPEN) > np.cumsum(kinds == CLOSE)) & (kinds == UPPER))
    behind = closing[np.searchsorted(closing, within)]
    values[within] *= values[behind]
    decimals[within] += decimals[behind]
    return values, decimals


def _numbers(text: Text, terms: Whole) -> Matrix:
    """Return the digits of the numbers of some terms as whole numbers, 1 where there is none."""
    start, size = text.number[terms], (text.end - text.number)[terms]
    values = np.where(size, 0.0, 1.0)
    for place in range(size.max(initial=0)):
        longer = np.flatnonzero(size > place)
        letter = text.letters[start[longer] + place]
        before = values[longer]
        values[longer] = np.where(letter == ord("."), before, 10 * before + (letter - float(ord("0"))))
    return values
