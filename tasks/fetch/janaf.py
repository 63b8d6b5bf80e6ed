"""The NIST-JANAF Thermochemical Tables: one text file per substance and phase at janaf.nist.gov."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
from ase.data import chemical_symbols

from tasks.errors import MatliftError
from tasks.fetch.files import number
from tasks.fetch.remote import page
from tasks.progress import report

SERVICE = "https://janaf.nist.gov"
CONNECTIONS = 4  # at once: it is a small public server
LINK = re.compile(r'href="(?:[^"]*/)?([A-Z][a-z]?-\d+)\.html"', re.IGNORECASE)
TITLE = re.compile(r"(?P<name>.*)\t(?P<formula>.*)\((?P<phase>[^()]*)\)\s*")
ROOM = "298.15"  # K

# Phases as the titles of the tables have them. Reference states (ref) are left out: they are zero by definition.
PHASES = {"Hfs": {"cr", "cr,l"}, "Hfl": {"l"}, "Hfg": {"g"}}


def identity() -> str:
    """Return what identifies the tables: the SHA-256 of the list of them, since they have not changed since 1998.

    Raises:
        MatliftError: the service cannot be read.
    """
    return hashlib.sha256(" ".join(_tables()).encode()).hexdigest()


def read(value: str) -> pd.DataFrame:
    """Return the enthalpies of formation of one phase at 298.15 K, kJ/mol, by the number of the table: Al-096, say.

    The form of the text files was checked against copies of them: a title of name and formula with phase, a line of
    column names, then one line per temperature, the sixth number being the enthalpy of formation. That the page
    `tables/<element>-index.html` links to an element's tables was taken from the description of others, not seen.
    That of a liquid is often extrapolated below its melting point.

    Args:
        value: Hfs, Hfl or Hfg.

    Raises:
        MatliftError: the service cannot be read, or a file is not as described; the message names it.
    """
    tables, rows = _tables(), []
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for done, found in enumerate(pool.map(lambda table: _row(table, _get(f"tables/{table}.txt")), tables)):
            report("fetch janaf", done + 1, len(tables))
            rows.append(found)
    frame = pd.DataFrame(rows, columns=["table", "name", "formula", "phase", "value", "uncertainty", "smiles"])
    return frame[frame["phase"].isin(PHASES[value])].set_index("table")


def _tables() -> list[str]:
    """Return the numbers of all tables."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        pages = pool.map(lambda symbol: _get(f"tables/{symbol}-index.html"), chemical_symbols[1:93])
        found = sorted({table for page in pages for table in LINK.findall(page)})
    if not found:
        raise MatliftError(f"{SERVICE} lists no tables where it did: name a file of its values instead")
    return found


def _get(path: str) -> str:
    """Return a text of the service, nothing if there is none."""
    return page(f"{SERVICE}/{path}")[1]


def _row(table: str, text: str) -> tuple[str, str, str, str, float | None, None, None]:
    """Return what a table says: number, name, formula, phase, enthalpy of formation; it has none at some substances."""
    lines = text.splitlines()
    title = TITLE.fullmatch(lines[0]) if lines else None
    if title is None:
        raise MatliftError(f"{SERVICE}/tables/{table}.txt is not a table: its first line is {lines[:1]}")
    cells = next((line.split("\t") for line in lines if line.split("\t")[0] == ROOM), [])
    value = number(cells[5]) if len(cells) > 5 else None
    return table, title["name"], title["formula"], title["phase"], value, None, None
