"""Porphine and its complexes as a chemist would draw them to scale: atoms with positions, Å."""

import numpy as np

Atom = tuple[str, tuple[float, float, float]]

# A quarter of the core: meso carbon, alpha, beta, beta, alpha, nitrogen, and the hydrogens of meso and beta carbons.
QUARTER = (
    ("C", (2.425, -2.425, 0)),
    ("C", (2.867, -1.102, 0)),
    ("C", (4.244, -0.68, 0)),
    ("C", (4.244, 0.68, 0)),
    ("C", (2.867, 1.102, 0)),
    ("N", (2.045, 0, 0)),
    ("H", (3.19, -3.19, 0)),
    ("H", (5.1, -1.34, 0)),
    ("H", (5.1, 1.34, 0)),
)


def porphine(*centre: Atom) -> list[Atom]:
    """The porphyrin ring with what is in its middle."""
    atoms = []
    for turn in range(4):
        cosine, sine = (round(f(turn * np.pi / 2)) for f in (np.cos, np.sin))
        atoms += [(symbol, (x * cosine - y * sine, x * sine + y * cosine, z)) for symbol, (x, y, z) in QUARTER]
    return [*atoms, *centre]


TRANS = (("H", (1.035, 0.0, 0.0)), ("H", (-1.035, 0.0, 0.0)))
OTHER_TRANS = (("H", (0.0, 1.035, 0.0)), ("H", (0.0, -1.035, 0.0)))
CIS = (("H", (1.035, 0.0, 0.3)), ("H", (0.0, 1.035, -0.3)))
ZINC = (("Zn", (0.0, 0.0, 0.0)),)
TITANYL = (("Ti", (0.0, 0.0, 0.55)), ("O", (0.0, 0.0, 2.18)))
WATER = (("O", (0.0, 0.0, 9.0)), ("H", (0.0, 0.76, 9.59)), ("H", (0.0, -0.76, 9.59)))


def xyz(atoms: list[Atom]) -> str:
    """The atoms as text."""
    return "\n".join(" ".join([symbol, *map(repr, place)]) for symbol, place in atoms)
