"""What predictions are made of, from where people have it: text, CSV, Parquet, SDF and structures, in parts.

A part is what one process takes at once; it is cheap to make and small, so that files of any size are read in bounded
memory. `items_of` makes SMILES or formulas of it, where the work is done.
"""

import csv
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from rdkit import Chem, rdBase

from tasks.errors import MatliftError
from tasks.passwords import hidden
from tasks.predict.bundle import failures, options_of, shown

STDIN = "-"
TEXT = {"formula": 2**16, "smiles": 2**14}  # bytes of lines in a part: a tenth of a second's work
RECORDS = 2**20  # bytes of an SDF in a part
LONGEST = 2**24  # bytes of one line or record
QUOTED = 2**22  # bytes after which a quotation mark is taken for a slip that begins nothing
PAGES = 2**20  # bytes of a Parquet file that are read at once, for a row group may be larger than memory
ROWS = {"formula": 6000, "smiles": 800}  # of Parquet in a part
SEPARATORS = ",\t;"
STRUCTURES = 1000  # of a file of structures in a part
TITLE = 80  # characters of a record's that are told
SDF_END = re.compile(rb"^\$\$\$\$[^\n]*\n?", re.MULTILINE)

COMPRESSED = ".gz"  # text and SDF may be
SUFFIXES = {
    **dict.fromkeys((".csv", ".tsv", ".txt", ".smi"), "text"),
    ".parquet": "parquet",
    **dict.fromkeys((".sdf", ".mol"), "sdf"),
    **dict.fromkeys((".cif", ".xyz", ".extxyz", ".vasp", ".db"), "structures"),
}
NAMES = {STDIN: "text", "POSCAR": "structures", "CONTCAR": "structures"}

csv.field_size_limit(LONGEST)  # of 131,072 characters, beyond which one field would end all


class Part(NamedTuple):
    """A part of what predictions are made of.

    Attributes:
        kind: `lines` of one item each, lines of a `table`, `records` of an SDF, or the `items` themselves.
        content: bytes of the first three, a sequence of the last.
        place: of a table, the column that is wanted.
        delimiter: of a table; of lines, what ends the item, if it is not the whole line.
    """

    kind: str
    content: Any
    place: int = 0
    delimiter: str = ""


@dataclass(frozen=True)
class Inputs:
    """Items, and files that hold such, in the order in which they are wanted.

    Attributes:
        names: an item each, or a path or an address that ends as files do (SUFFIXES), or `-` for the standard input.
        takes: what the model takes: `smiles` or `formula`.
        column: of tables, if it is not called so.
    """

    names: Sequence[str]
    takes: str
    column: str | None = None

    def parts(self) -> Iterator[Part]:
        """Yield all parts, in order.

        Raises:
            MatliftError: a file cannot be read, or not by this model.
        """
        readers = {"text": self._text, "parquet": self._parquet, "sdf": self._sdf, "structures": self._structures}
        waiting: list[str] = []  # items that stand side by side
        for name in self.names:
            kind = kind_of(name)
            if kind is None:
                _check_item(name)
                waiting.append(name)
                continue
            if waiting:
                yield Part("items", waiting)
                waiting = []
            yield from readers[kind](name)
        if waiting:
            yield Part("items", waiting)

    def _text(self, name: str) -> Iterator[Part]:
        """Yield the lines of a text, which is a table if its first line names the column."""
        with _opened(name) as file:
            first, rest = _first_line(file, TEXT[self.takes])
            head = first.decode("utf-8-sig", "replace").rstrip("\r\n")
            delimiter = max(SEPARATORS, key=head.count)
            names = next(csv.reader([head], delimiter=delimiter), [])
            place = self._place(names)
            if place is not None:
                lines = _lines(_blocks(file, rest, TEXT[self.takes]), name, quoted=True)
                yield from (Part("table", content, place, delimiter) for content in lines)
            elif self.column or (len(names) > 1 and {".csv", ".tsv"} & set(PurePosixPath(name.lower()).suffixes)):
                raise MatliftError(self._no_column(name, names))
            else:
                start = first.removeprefix(b"\xef\xbb\xbf") + rest
                lines = _lines(_blocks(file, start, TEXT[self.takes]), name, quoted=False)
                end = "" if self.takes == "formula" else " "
                yield from (Part("lines", content, 0, end) for content in lines)

    def _parquet(self, name: str) -> Iterator[Part]:
        """Yield the wanted column of a Parquet file."""
        with _opened(name) as file:
            try:
                table = pq.ParquetFile(file, buffer_size=PAGES)
                names = table.schema_arrow.names
                place = self._place(names)
                if place is None:
                    raise MatliftError(self._no_column(name, names))
                for batch in table.iter_batches(ROWS[self.takes], columns=[names[place]]):
                    yield Part("items", batch.column(0).cast(pa.string()))
            except pa.ArrowException as error:
                said = str(error).partition("\n")[0]
                raise MatliftError(f"{shown(name)} cannot be read as Parquet: {said}") from error

    def _sdf(self, name: str) -> Iterator[Part]:
        """Yield the records of an SDF."""
        if self.takes != "smiles":
            raise MatliftError(f"{shown(name)} has molecules, and this model takes formulas: give it these")
        with _opened(name) as file:
            yield from (Part("records", content) for content in _records(file, name))

    def _structures(self, name: str) -> Iterator[Part]:
        """Yield the formulas of the structures of a file that ASE reads."""
        if self.takes != "formula":
            said = "has positions of atoms and no bonds, and this model takes SMILES: give it these, or an SDF"
            raise MatliftError(f"{shown(name)} {said}")
        from tasks.predict.structures import formulas  # noqa: PLC0415 -- ASE's readers take time to load

        yield from (Part("items", list(some)) for some in _groups(formulas(name), STRUCTURES))

    def _place(self, names: Sequence[str]) -> int | None:
        """Return where the wanted column is among those of a table."""
        wanted = (self.column or self.takes).strip().lower()
        return next((place for place, name in enumerate(names) if name.strip().lower() == wanted), None)

    def _no_column(self, name: str, names: Sequence[str]) -> str:
        some = ", ".join(names[:10])
        return f"{shown(name)} has no column {self.column or self.takes}: name one of its columns by --column ({some})"


def kind_of(name: str) -> str | None:
    """Return how a file of this name is read; None if it is no file's name, and hence an item."""
    path = PurePosixPath(name.partition("?")[0])
    if path.suffix.lower() == COMPRESSED:
        kind = SUFFIXES.get(PurePosixPath(path.stem).suffix.lower())
        return kind if kind in {"text", "sdf"} else None
    return NAMES.get(path.name) or SUFFIXES.get(path.suffix.lower())


def items_of(part: Part) -> list[str | None]:
    """Return the SMILES or formulas of a part; None where there is none."""
    if part.kind == "items":
        return part.content.to_pylist() if isinstance(part.content, pa.Array) else list(part.content)
    if part.kind == "records":
        return _molecules(part.content)
    text = part.content.decode("utf-8", "replace")
    if part.kind == "table":
        if not any(sign in text for sign in (part.delimiter, '"', "\r")) and not part.place:  # only that column
            return [line for line in text.split("\n") if line]
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=part.delimiter)
        return [row[part.place] if part.place < len(row) else None for row in rows if row]  # blank lines are no rows
    lines = [line.strip() for line in text.split("\n")]
    return [(line.split(maxsplit=1)[0] if part.delimiter else line) for line in lines if line]


def _molecules(content: bytes) -> list[str | None]:
    """Return the SMILES of the records of an SDF; of one that RDKit cannot read its title, which then is no SMILES."""
    records = SDF_END.split(content)
    if not records[-1].strip():
        del records[-1]
    with rdBase.BlockLogs():
        return [_molecule(record.decode("utf-8", "replace")) for record in records]


def _molecule(record: str) -> str:
    molecule = Chem.MolFromMolBlock(record)
    if molecule is None:
        return f"unreadable record: {record.partition(chr(10))[0].strip()[:TITLE]}"
    smiles: str = Chem.MolToSmiles(molecule)
    return smiles


def _check_item(name: str) -> None:
    """Refuse a file of a kind that is not read, which would else be taken for a formula or a SMILES."""
    if os.path.isfile(name):  # noqa: PTH113 -- a Path raises where a text is too long for one
        raise MatliftError(f"{name} is of a kind that is not read: name one of {', '.join(SUFFIXES)}")


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    """Lend a file to read, from wherever fsspec finds it, or the standard input."""
    if name == STDIN:
        yield sys.stdin.buffer
        return
    with explained(name), fsspec.open(name, "rb", compression="infer", **options_of(name)) as file:
        yield file


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what is raised while a file is read into one sentence."""
    try:
        yield
    except FileNotFoundError as error:
        raise MatliftError(f"{shown(name)} is not there: see how it is spelt") from error
    except failures() as error:
        said = hidden(f"{error}".partition("\n")[0])
        raise MatliftError(f"{shown(name)} cannot be read ({said}): see that it is whole, and yours to read") from error


def _first_line(file: IO[bytes], size: int) -> tuple[bytes, bytes]:
    """Return the first line of a text with its end, and what was read behind it, so many bytes at once."""
    start = b""
    while b"\n" not in start and len(start) < LONGEST and (block := file.read(size)):
        start += block
    end = start.find(b"\n") + 1 or len(start)
    return start[:end], start[end:]


def _blocks(file: IO[bytes], start: bytes, size: int) -> Iterator[bytes]:
    """Yield what was read already with the rest of a file, so many bytes at once."""
    while block := start + file.read(size):
        yield block
        start = b""


def _lines(blocks: Iterable[bytes], name: str, *, quoted: bool) -> Iterator[bytes]:
    """Yield whole lines of a text, many at once.

    Args:
        blocks: of the text.
        name: of the file, for the errors.
        quoted: whether a line may go on after its end, within quotation marks.
    """
    rest = b""
    for block in blocks:
        rest += block
        cut = _end_of_rows(rest) if quoted else rest.rfind(b"\n") + 1
        if cut:
            yield rest[:cut]
            rest = rest[cut:]
        elif len(rest) > LONGEST:
            raise MatliftError(f"{shown(name)} is no text: a line of it has more than {LONGEST / 2**20:g} MiB")
    if rest.strip():
        yield rest


def _end_of_rows(text: bytes) -> int:
    """Return the end of the last line that is not within quotation marks; of any line if that would be too long."""
    end = cut = text.rfind(b"\n") + 1
    marks = text.count(b'"', 0, cut)
    while marks % 2:  # the last one begins what goes on behind the line
        start = text.rfind(b"\n", 0, text.rfind(b'"', 0, cut)) + 1
        marks -= text.count(b'"', start, cut)
        cut = start
    return cut or (end if len(text) > QUOTED else 0)


def _records(file: IO[bytes], name: str) -> Iterator[bytes]:
    """Yield whole records of an SDF, many at once."""
    rest = b""
    while block := file.read(RECORDS):
        rest += block
        end = rest.rfind(b"\n$$$$")
        cut = rest.find(b"\n", end + 1) + 1 if end >= 0 else 0
        if cut:
            yield rest[:cut]
            rest = rest[cut:]
        elif len(rest) > LONGEST:
            raise MatliftError(f"{shown(name)} is no SDF: a record of it has more than {LONGEST / 2**20:g} MiB")
    if rest.strip():
        yield rest


def _groups(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield items in lists of a size."""
    waiting: list[str] = []
    for item in items:
        waiting.append(item)
        if len(waiting) == size:
            yield waiting
            waiting = []
    if waiting:
        yield waiting
