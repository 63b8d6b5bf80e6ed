"""Chemical formulas: what they say, exactly, and one name for all that say the same."""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache

from ase.data import chemical_symbols

from tasks.errors import MatliftError

ELEMENTS = frozenset(chemical_symbols[1:])

NUMBER = r"\d+(?:\.\d+)?|\.\d+"
TOKEN = re.compile(rf"(?P<symbol>[A-Z][a-z]?)|(?P<open>[(\[{{])|(?P<close>[)\]}}])|(?P<number>{NUMBER})")
CLOSING = {"(": ")", "[": "]", "{": "}"}
ADDENDS = re.compile(r"[·•∙⋅*]")  # between the parts of a hydrate
WATER = re.compile(r"(?<![A-Za-z)\]}.]0)\.(?=(?:\d+\.)?\d*H2O$)")  # CuSO4.5H2O, which nobody means as O4.5
TERM = re.compile(rf"([A-Z][a-z]?)({NUMBER})?", re.ASCII)
PLAIN = re.compile(rf"(?:{TERM.pattern})+", re.ASCII)  # Zn0.15Ga0.85As, as nearly all formulas of tables are
KEPT = 2**16  # readings: formulas come again at once, if at all; half a kilobyte each

Number = Fraction | int  # whole numbers, of which most formulas are made, are several times as fast
Amounts = dict[str, Number]


@lru_cache(KEPT)
def amounts(formula: str) -> Amounts:
    """Return how many atoms of each element a formula has, exactly: {"Ca": 1, "N": 2, "O": 6} of Ca(NO3)2.

    Brackets of three kinds, decimal numbers (Zn0.15Ga0.85As), subscripts (H₂O) and hydrates (CuSO4·5H2O, and with a
    dot before water: CuSO4.5H2O) are read; charges, states, isotopes and variables are not.

    Raises:
        MatliftError: it is no such formula; the message says where it ends to be one.
    """
    plain = PLAIN.fullmatch(formula) and not WATER.search(formula)
    total = _plain(formula) if plain else _whole(formula)
    found = {element: amount for element, amount in total.items() if amount}
    if not found:
        raise MatliftError(f"“{formula}” is not a chemical formula: it has no atoms")
    return found


def reduced(formula: str) -> str:
    """Return the name of a composition: the least whole numbers of atoms, in Hill's order; Ga17As17Se3Zn3, say.

    Raises:
        MatliftError: it is no formula.
    """
    parts = amounts(formula)
    scale = math.lcm(*(amount.denominator for amount in parts.values()))
    numbers = {element: amount.numerator * (scale // amount.denominator) for element, amount in parts.items()}
    divisor = math.gcd(*numbers.values())
    return written({element: number // divisor for element, number in numbers.items()})


def written(counts: Mapping[str, int]) -> str:
    """Return the formula of so many atoms of each element, in Hill's order; elements without atoms are left out."""
    parts = {element: count for element, count in counts.items() if count}
    return "".join(f"{element}{parts[element] if parts[element] > 1 else ''}" for element in hill(parts))


def atoms(formula: str) -> float:
    """Return how many atoms a formula has.

    Raises:
        MatliftError: it is no formula.
    """
    return float(sum(amounts(formula).values()))


def hill(elements: Iterable[str]) -> list[str]:
    """Return elements in Hill's order: carbon, hydrogen, then the others by name; without carbon all by name."""
    names = set(elements)
    first = [element for element in ("C", "H") if element in names] if "C" in names else []
    return first + sorted(names - set(first))


def _plain(formula: str) -> Amounts:
    """Return the amounts of a formula that is nothing but symbols and numbers."""
    total: Amounts = {}
    for symbol, number in TERM.findall(formula):
        if symbol not in ELEMENTS:
            raise _unreadable(formula, f"{symbol} is no element")
        total[symbol] = total[symbol] + _number(number) if symbol in total else _number(number)
    return total


@lru_cache(KEPT)
def _number(text: str) -> Number:
    """Return what the number behind a symbol or a bracket says."""
    return Fraction(text) if "." in text else int(text or 1)


def _whole(formula: str) -> Amounts:
    """Return the amounts of a formula in all its parts."""
    text = unicodedata.normalize("NFKC", ADDENDS.sub("·", formula)).replace(" ", "")
    total: Amounts = {}
    for part in WATER.sub("·", text).split("·"):
        match = re.match(NUMBER, part)
        factor = _number(match[0]) if match else 1
        _add(total, _part(part[match.end() if match else 0 :], formula), factor)
    return total


def _part(text: str, formula: str) -> Amounts:
    """Return the amounts of a formula without addends."""
    levels: list[tuple[str, Amounts]] = [("", {})]
    last: Amounts = {}  # what a number behind it multiplies
    place = 0
    while place < len(text):
        token = TOKEN.match(text, place)
        if token is None:
            raise _unreadable(formula, f"“{text[place:]}” makes no sense there")
        place = token.end()
        if symbol := token["symbol"]:
            if symbol not in ELEMENTS:
                raise _unreadable(formula, f"{symbol} is no element")
            last = _flush(levels, last, {symbol: 1})
        elif token["open"]:
            last = _flush(levels, last, {})
            levels.append((token["open"], {}))
        elif token["close"]:
            _flush(levels, last, {})
            bracket, last = levels.pop()
            if not levels or CLOSING[bracket] != token["close"]:
                raise _unreadable(formula, f"{token['close']} closes nothing")
        else:
            if not last:
                raise _unreadable(formula, f"nothing stands before the number {token['number']}")
            _add(levels[-1][1], last, _number(token["number"]))
            last = {}
    _flush(levels, last, {})
    if len(levels) > 1:
        raise _unreadable(formula, f"{levels[-1][0]} is not closed")
    return levels[0][1]


def _flush(levels: list[tuple[str, Amounts]], last: Amounts, following: Amounts) -> Amounts:
    """Add what no number multiplies, and return what a number may multiply next."""
    _add(levels[-1][1], last, 1)
    return following


def _add(total: Amounts, part: Amounts, factor: Number) -> None:
    """Add a part, so many times, to a total."""
    for element, amount in part.items():
        total[element] = total.get(element, 0) + amount * factor


def _unreadable(formula: str, why: str) -> MatliftError:
    return MatliftError(f"“{formula}” is not a chemical formula: {why}")
