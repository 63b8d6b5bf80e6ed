"""Sums of molecules: rows that say what extensive means."""

import numpy as np

from tasks.featurize import Table


def with_sums(table: Table, fraction: float, seed: int) -> Table:
    """Return the table with rows added that are sums of two and of three of its molecules, as many of each.

    Molecules far apart do not interact: their counts, their E-state sums and their enthalpies add. A network that has
    learnt this does not go astray in molecules larger than any of the source.

    Args:
        table: n molecules.
        fraction: rows to add, per molecule.
        seed: of which molecules are added up.
    """
    draw = np.random.default_rng(seed)
    rows = round(fraction * len(table) / 2)
    picks = [draw.integers(len(table), size=(rows, several)) for several in (2, 3)]
    features = [table.features[pick].sum(axis=1) - (pick.shape[1] - 1) * table.nothing for pick in picks]
    return Table(
        features=np.concatenate([table.features, *features]).astype(np.float32),
        elements=np.concatenate([table.elements, *(table.elements[pick].sum(axis=1) for pick in picks)]),
        values=np.concatenate([table.values, *(table.values[pick].sum(axis=1) for pick in picks)]),
        keys=np.concatenate([table.keys, *(table.keys[pick].sum(axis=1) for pick in picks)]),
        records=np.concatenate([table.records, *(table.records[pick].sum(axis=1) for pick in picks)]),
        nothing=table.nothing,
    )
