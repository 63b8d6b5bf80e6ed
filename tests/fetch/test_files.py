"""Tables are read from every kind of file and place, with the rows' own numbers, and a bad file is one sentence."""

import io
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

import openpyxl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import MatliftError
from tasks.fetch.files import number, parse, read_file
from tasks.store import Store

PLAIN = b"formula,value\nNaCl,-411.15\nMgO,-601.6\n"


def excel(*rows: tuple[object, ...]) -> bytes:
    """An Excel file of one sheet."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


@pytest.fixture
def web() -> Iterator[Callable[[dict[str, bytes]], str]]:
    """Serves files over HTTP; gives the address."""
    servers = []

    def serve(files: dict[str, bytes]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def refusal(data: bytes) -> str:
    with pytest.raises(MatliftError) as refused:
        parse(data, "mine.csv")
    said = str(refused.value)
    assert "mine.csv" in said
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN.replace(b",", b";"),
        PLAIN.replace(b",", b"\t"),
        PLAIN.replace(b"\n", b"\r\n"),
        PLAIN.replace(b",", b" , "),
        b'"formula","value"\n"NaCl","-411.15"\n"MgO","-601.6"',
        excel(("formula", "value"), ("NaCl", -411.15), ("MgO", -601.6)),
    ],
    ids=["commas", "byte-order mark", "semicolons", "tabs", "Windows", "blanks", "quoted", "Excel"],
)
def test_the_same_table_is_read_from_every_form(data: bytes) -> None:
    frame = parse(data, "mine")
    assert frame.to_dict() == {"formula": {2: "NaCl", 3: "MgO"}, "value": {2: -411.15, 3: -601.6}}


def test_parquet_rows_are_numbered_from_one() -> None:
    buffer = io.BytesIO()
    pd.DataFrame({"formula": ["NaCl"], "value": [0.1 + 0.2]}, index=["a"]).to_parquet(buffer)
    frame = parse(buffer.getvalue(), "mine")
    assert (frame.index.tolist(), frame.loc[1, "value"]) == ([1], 0.1 + 0.2)


@pytest.mark.parametrize("make", [lambda rows: "\n".join(map(",".join, rows)).encode(), lambda rows: excel(*rows)])
def test_empty_rows_do_not_shift_the_numbers(make: Callable[[list[tuple[str, str]]], bytes]) -> None:
    frame = parse(make([("", ""), ("formula", "value"), ("NaCl", "x"), ("", ""), ("MgO", "y")]), "mine")
    assert frame["formula"].to_dict() == {3: "NaCl", 5: "MgO"}


@pytest.mark.parametrize("cell", ["n.a.", "<3", "1,5", "1e", "0x1F", "nan", "inf", "1.2(3)", "1 234"])
def test_a_column_with_text_stays_as_it_stands(cell: str) -> None:
    frame = parse(f'value;formula\n"{cell}";NaCl\n-1.50;MgO\n'.encode(), "mine")
    assert frame["value"].tolist() == [cell, "-1.50"]
    assert number(cell) is None


@pytest.mark.parametrize("cell", ["NA", "None", "null", "007", "true", "N"])
def test_what_looks_missing_or_like_a_number_but_is_a_label_stays_text(cell: str) -> None:
    assert parse(f"name,value\n{cell},1\n".encode(), "mine")["name"].tolist() == [cell]


def test_whole_numbers_that_no_float_holds_stay_text() -> None:
    assert parse(b"id\n9007199254740993\n", "mine")["id"].tolist() == ["9007199254740993"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_exactly(value: float) -> None:
    frame = parse(f"name,value\na,{value!r}\n".encode(), "mine")
    assert number(frame.loc[2, "value"]) == value


def test_short_rows_and_empty_cells_are_missing() -> None:
    frame = parse(b"a,b,c\n1,,3\n2\n", "mine")
    assert frame.isna().to_numpy().tolist() == [[False, True, False], [False, True, True]]


def test_excel_keeps_what_people_see() -> None:
    frame = parse(excel(("name", "value"), (7, "n.a."), ("x", True)), "mine")
    assert [number(cell) for cell in frame["value"]] == [None, None]
    assert frame["name"].tolist() == [7, "x"]


def test_a_typographic_minus_is_a_minus() -> None:
    assert parse("value\n\N{MINUS SIGN}4.5\n".encode(), "mine")["value"].tolist() == [-4.5]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"formula,value\n", "has no rows"),
        (b"value,formula,value\n1,H2,2\n", "names the column value twice"),
        (b"formula,value\nNaCl,-1\nMgO,-601,6\n", "row 3 of mine.csv has 3 cells, but only 2 columns have names"),
        (b'formula,value\n"NaCl,-1\n', "cannot be read as CSV"),
        (PLAIN.decode().encode("utf-16"), "is neither UTF-8 text nor Parquet nor Excel"),
        ("name\nÄthan\n".encode("latin-1"), "save it as “CSV UTF-8”"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"PAR1 and nothing more", "cannot be read as Parquet"),
        (b"PK\x03\x04 and nothing more", "cannot be read as Excel"),
        (b"\xd0\xcf\x11\xe0", "save it as .xlsx"),
        (excel(), "is empty"),
    ],
)
def test_a_bad_file_is_one_sentence(data: bytes, reason: str) -> None:
    assert reason in refusal(data)


@given(st.sampled_from([b"", b"PAR1", b"PK\x03\x04", b"a,b\n", b'"']), st.binary(max_size=200))
def test_whatever_the_bytes_it_is_a_table_or_one_sentence(start: bytes, rest: bytes) -> None:
    try:
        assert not parse(start + rest, "mine").empty
    except MatliftError as refused:
        assert "\n" not in str(refused)  # noqa: PT017 -- either is right


@pytest.mark.parametrize("cut", range(50, 4800, 500))
def test_a_damaged_workbook_is_one_sentence(cut: int) -> None:
    whole = excel(("formula", "value"), ("NaCl", -411.15))
    for damaged in (whole[:cut], whole[:cut] + b"damaged" + whole[cut + 7 :]):
        test_whatever_the_bytes_it_is_a_table_or_one_sentence.hypothesis.inner_test(b"", damaged)


@pytest.mark.parametrize("name", ["word/document.xml", "[Content_Types].xml"])
def test_another_document_is_no_workbook(name: str) -> None:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr(name, '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>')
    assert "cannot be read as Excel" in refusal(buffer.getvalue())


def test_a_file_is_read_from_a_path_a_url_and_a_store(
    tmp_path: Path, web: Callable[[dict[str, bytes]], str], store: Store
) -> None:
    (tmp_path / "mine.csv").write_bytes(PLAIN)
    store.files.replace("mine.csv", PLAIN)
    for place in (str(tmp_path / "mine.csv"), f"{web({'/mine.csv': PLAIN})}/mine.csv", f"{store.url}/mine.csv"):
        assert read_file(place)["value"].tolist() == [-411.15, -601.6]


def test_a_missing_file_is_named(tmp_path: Path, web: Callable[[dict[str, bytes]], str], store: Store) -> None:
    for place, reason in {
        str(tmp_path / "none.csv"): "No such file",
        str(tmp_path): "Is a directory",
        f"{web({})}/none.csv": "404 Not Found",
        "http://127.0.0.1:9/none.csv": "refused",
        f"{store.url}/none.csv": "there is no file",
    }.items():
        with pytest.raises(MatliftError) as refused:
            read_file(place)
        assert place in str(refused.value)
        assert reason in str(refused.value)


def test_a_signature_in_an_address_is_not_shown(web: Callable[[dict[str, bytes]], str]) -> None:
    with pytest.raises(MatliftError, match=r"/table\.csv answers 404") as raised:
        read_file(f"{web({})}/table.csv?X-Amz-Signature=s3cret")
    assert "s3cret" not in str(raised.value)
