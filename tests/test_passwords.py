"""No password is left in a text that is shown, and nothing else is changed."""

import pytest

from tasks.passwords import hidden


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mysql+pymysql://me:secret@host/qmdb", "mysql+pymysql://me:***@host/qmdb"),
        ("mysql+pymysql://me:se@cr/et@host:3306/qmdb", "mysql+pymysql://me:***@host:3306/qmdb"),
        ("mysql://host/qmdb?user=me&password=secret&x=1", "mysql://host/qmdb?user=me&password=***&x=1"),
        ("https://me:secret@host/v1", "https://me:***@host/v1"),
        ("{'at': 'mysql://me:secret@host/a', 'b': 'https://h'}", "{'at': 'mysql://me:***@host/a', 'b': 'https://h'}"),
        ("mysql://:secret@host", "mysql://:***@host"),
    ],
)
def test_passwords_are_hidden(text: str, shown: str) -> None:
    assert hidden(text) == shown


@pytest.mark.parametrize(
    "text", ["https://host:8000/v1/a@b", "mysql://me@host/qmdb", "sqlite:///a/b", "materials-project", "a: b @ c"]
)
def test_what_is_no_password_stays(text: str) -> None:
    assert hidden(text) == text
