"""The Computational Materials Repository: its ASE databases, from the service, a mirror of it or a local file."""

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import numpy as np
import pandas as pd

from tasks.errors import MatliftError
from tasks.fetch import cache, download
from tasks.fetch.about import About
from tasks.fetch.ase_table import DamagedError, Key, Table, formulas, read_table, xyz
from tasks.fetch.records import Records
from tasks.fetch.remote import Remote, look, page
from tasks.passwords import hidden
from tasks.recipe import Cmr

log = logging.getLogger(__name__)

SMILES = ("SMILES", "CAN_SMILES", "smiles")
INCHI = ("InChI", "inchi")

# The centre of a porphyrin as dssc names it: F if its carbons bear fluorine, the metal, what else the metal bears.
CENTRE = re.compile(r"F?(?P<metal>H2|[A-Z][a-z]?)(?P<axial>.*)P")

# Where the porphyrins were in 2019, for a service whose page no longer names them.
KNOWN_IN_2019 = {"dssc": "_downloads/ce110a2378bff142870416e627a1545d/dssc.db"}

CMR = "CMR: Computational Materials Repository, Technical University of Denmark, https://cmr.fysik.dtu.dk"
FILES = {
    "dssc": (
        "porphyrin dyes with their metals, anchors and side groups, computed by density-functional theory",
        (
            "K. B. Ørnsø et al., Phys. Chem. Chem. Phys. 15 (2013) 19478, doi:10.1039/C3CP54050B",
            "K. B. Ørnsø et al., Phys. Chem. Chem. Phys. 16 (2014) 16246, doi:10.1039/C4CP01289E",
        ),
    ),
}


def about(data: Cmr) -> About:
    """Return what is to be said of a file of the repository."""
    what, citations = FILES.get(data.file, (f"its table {data.file}, computed by density-functional theory", ()))
    rows = ", ".join(f"{key} {' or '.join(map(str, values))}" for key, values in data.where.items())
    return About(
        computed=True,
        name=f"CMR {data.file}",
        what=f"{data.key} of {what}{f'; rows with {rows}' if rows else ''}",
        licence=f"CMR's {data.file} is under CC BY-SA 4.0.",
        citations=(*citations, CMR),
    )


def identity(data: Cmr) -> str:
    """Return what identifies the file: its SHA-256, or what the server says of it.

    Raises:
        MatliftError: the file is not there, or the server does not answer or does not have it.
    """
    if _is_local(data.at):
        return f"sha256 {download.sha256(_local(data.at))}"
    return json.dumps(look(_resolve(data.at.rstrip("/"), data.file))._asdict())


def read(data: Cmr, identity: str) -> Records:
    """Return the rows of the database as records, those without the key among them, without a value.

    What can be seen only if the recipe has the file's `sha256`: a byte that changed inside of a position, before the
    file arrived, and left it possible. From then on every byte of a download is checked against what arrived.

    Raises:
        MatliftError: the file is no complete ASE database, or lacks what the recipe asks for; the message names it.
    """
    if not _is_local(data.at):
        path = _fetched(data, Remote(**json.loads(identity)))
        try:
            records = _records(data, path)
            _check_hash(data, path, download.sha256_beside(path))
        except DamagedError:
            download.discard(path)  # the next attempt gets another one
            raise
        return records
    path = _local(data.at)
    records = _records(data, path)
    _check_hash(data, path, found := download.sha256(path))
    if f"sha256 {found}" != identity:
        raise MatliftError(f"{path} changed while it was read: run again when nothing writes to it")
    return records


def _check_hash(data: Cmr, path: Path, found: str) -> None:
    """Refuse a file that is not the one that the recipe means."""
    if data.sha256 not in {None, found}:
        raise DamagedError(
            f"{path} is not the file that the recipe means: its SHA-256 is {found}, and not {data.sha256}; "
            "get it anew, or correct sha256 in the recipe"
        )


def _is_local(at: str) -> bool:
    return "://" not in at


def _local(at: str) -> Path:
    """Return the path of a file on this disk."""
    path = Path(at).expanduser()
    if not path.is_file():
        raise MatliftError(f"{path} is not there: `at` must be a .db file or the address of a service")
    return path


def _resolve(at: str, file: str) -> str:
    """Return the URL of a file: `at` itself if it is that of one, else what the file's page on the service names."""
    if urlsplit(at).path.endswith(".db"):
        return at
    address, text = page(f"{at}/{file}/{file}.html")
    link = re.search(rf"""[^"'\s<>=]*_downloads/(?:[0-9a-f]{{32}}/)?{re.escape(file)}\.db""", text)
    if link:
        return urljoin(address, link[0])
    if file in KNOWN_IN_2019:
        log.warning("%s names no %s.db: trying where it was in 2019", hidden(address), file)
        return f"{at}/{KNOWN_IN_2019[file]}"
    raise MatliftError(
        f"{hidden(address)} names no {file}.db: check the file's name, or give the URL of the .db file as `at`"
    )


def _fetched(data: Cmr, remote: Remote) -> Path:
    """Return the path of a file in the cache, as the server had it when it was identified."""
    path = _place(data, remote)
    got = download.download(remote, path)
    if got.version != remote.version:
        if (place := _place(data, got)).is_file():
            download.discard(path)
        else:
            path.parent.replace(place.parent)
        raise MatliftError(
            f"{hidden(remote.url)} changed while it was fetched: run again, the new file is in the cache"
        )
    if download.sha256(path) != download.sha256_beside(path):
        download.discard(path)
        raise MatliftError(f"{path} is not as it arrived, so the disk or a program changed it: run again to fetch it")
    return path


def _place(data: Cmr, remote: Remote) -> Path:
    """Return where a version of a file is kept."""
    version = hashlib.sha256(json.dumps([remote.url, remote.etag, remote.modified, remote.length]).encode())
    return cache.folder() / "cmr" / version.hexdigest()[:16] / f"{data.file}.db"


def _records(data: Cmr, path: Path) -> Records:
    """Return the rows of a database file as records."""
    table = _chosen(path, read_table(path), data)
    labels = [_labels(keys, data.file) for keys in table.keys]
    smiles = [_first(keys, SMILES) for keys in table.keys]
    write = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode
    rows = pd.DataFrame(
        {
            "record": [f"{data.file}:{row}" for row in table.ids],
            "name": [_first(keys, ("name",)) for keys in table.keys],
            "smiles": smiles,
            "inchi": [_first(keys, INCHI) for keys in table.keys],
            "formula": formulas(table),
            "xyz": [None if known else text for known, text in zip(smiles, xyz(table), strict=True)],
            "labels": [write(said) for said in labels],
            "table": data.file,
            "value": [_number(path, row, keys, data.key) for row, keys in zip(table.ids, table.keys, strict=True)],
        }
    )
    return Records(rows, data.unit)


def _number(path: Path, row: int, keys: dict[str, Key], key: str) -> float:
    """Return the value of a key; not a number if the row does not have it."""
    value = keys.get(key, float("nan"))
    if isinstance(value, str | bool):
        raise MatliftError(f"{path}: row {row} has {value!r} as {key}, which is no number: name another key")
    return float(value)


def _first(keys: dict[str, Key], names: Sequence[str]) -> str | None:
    """Return the text of the first of some keys that a row has."""
    return next((value for name in names if isinstance(value := keys.get(name), str) and value), None)


def _labels(keys: dict[str, Key], file: str) -> dict[str, str]:
    """Return all that a row says in words; of a porphyrin also its metal, axial ligand and turned anchor."""
    labels = {name: value for name, value in keys.items() if isinstance(value, str) and name not in (*SMILES, *INCHI)}
    if file == "dssc":
        labels["rotated"] = "rot" if labels.get("A", "").startswith("rot-") else ""
        centre = CENTRE.fullmatch(labels.get("M", ""))
        labels |= centre.groupdict() if centre else {}
    return labels


def _chosen(path: Path, table: Table, data: Cmr) -> Table:
    """Return the rows that have one of the wanted values in each key that the recipe names."""
    for name in (data.key, *data.where):
        if not any(name in keys for keys in table.keys):
            known = ", ".join(sorted({key for keys in table.keys for key in keys}))
            raise MatliftError(f"no row of {path} has the key {name}; its keys are {known}")
    wanted = np.array([all(keys.get(key) in values for key, values in data.where.items()) for keys in table.keys])
    if not wanted.any():
        asked = " and ".join(f"{key} {' or '.join(map(str, values))}" for key, values in data.where.items())
        raise MatliftError(f"no row of {path} has {asked}")
    places = np.flatnonzero(wanted)
    atoms = np.repeat(wanted, table.sizes)
    return Table(
        [table.ids[place] for place in places],
        [table.keys[place] for place in places],
        table.sizes[wanted],
        table.numbers[atoms],
        table.positions[atoms],
    )
