"""What a model card and the README say of a database: what it is, under which licence, and whom to cite."""

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """What the card says of a database as a recipe uses it.

    Attributes:
        name: for people.
        what: its rows, in words.
        licence: under which it came.
        citations: of the database and its tables.
        computed: whether its values are, and not measured.
    """

    name: str
    what: str
    licence: str
    citations: tuple[str, ...]
    computed: bool = False
