"""A snapshot becomes a matrix in the columns and the scale of the source, and comes back from the store as it was."""

import json

import numpy as np
import pytest
from snapshots import snapshot

from tasks.featurize import Table, load, matrix
from tasks.featurize.estate import estate_names, estate_rows
from tasks.featurize.matrix import featurize_rows, load_scale
from tasks.featurize.topology import TOPOLOGY
from tasks.handles import Features
from tasks.recipe import Estate
from tasks.store import Store
from tasks.tables import from_parquet, units

SOURCE = ("C", "CC", "CCO", "C=C", "C#C", "C=O", "CN", "C1CC1", "c1ccccc1", "C=CC=C", "C1CC12CC2", "CF", "O=CC=O")
TARGET = ("CCCO", "C1CCC1", "CC=O", "C=CC=C.C1CC1", "C=CC=C", "C1CC1")
TOPOLOGICAL = Estate(kind="estate", topology=True)
PLAIN = Estate(kind="estate", topology=False)


@pytest.fixture
def source(store: Store) -> Features:
    return featurized(store, SOURCE, "source")


def featurized(
    store: Store, molecules: tuple[str, ...], name: str, scale: Features | None = None, kind: Estate = TOPOLOGICAL
) -> Features:
    handle = Features(name)
    store.write(handle, featurize_rows(store, snapshot(store, molecules, name), kind, scale, extensive=True), 0)
    return handle


def elements(store: Store, features: Features) -> list[str]:
    said: list[str] = json.loads(store.read(features, "state.json"))["elements"]
    return said


def test_rows_keep_their_order_names_groups_and_values(store: Store, source: Features) -> None:
    table = load(store, source)
    assert len(table) == len(SOURCE)
    assert table.records.tolist() == [f"source:{place}" for place in range(len(SOURCE))]
    assert table.keys.tolist() == [smiles.upper() for smiles in SOURCE]
    assert table.values.tolist() == list(range(len(SOURCE)))
    assert units(store.read(source, "rows.parquet"))["value"] == "kJ/mol"
    assert set(units(store.read(source, "matrix.parquet")).values()) == {"1"}


def test_atom_types_that_the_source_lacks_are_named_and_those_that_all_of_it_has_are_not(store: Store) -> None:
    source = featurized(store, ("CCO", "CCCO", "CC(C)O"), "alcohols")  # each has one OH: a constant, but known
    target = featurized(store, ("CCO", "C=O", "CO", "C=CO"), "others", source)
    assert from_parquet(store.read(target, "rows.parquet"))["foreign"].tolist() == ["", "dCH2, dO", "", "dCH2, dsCH"]
    assert set(from_parquet(store.read(source, "rows.parquet"))["foreign"]) == {""}


def test_the_matrix_is_the_features_standardised_in_named_columns(store: Store, source: Features) -> None:
    scale = load_scale(store, source)
    table = from_parquet(store.read(source, "matrix.parquet"))
    assert tuple(table.columns) == scale.names
    assert set(scale.names) | set(scale.dropped) == {*estate_names(), *TOPOLOGY}
    expected = scale.apply(estate_names() + TOPOLOGY, estate_rows(["CCO"], topological=True))[0]
    np.testing.assert_array_equal(load(store, source).features[SOURCE.index("CCO")], expected)
    np.testing.assert_array_equal(table.to_numpy()[SOURCE.index("CCO")], expected)


def test_elements_are_counted_with_their_hydrogens(store: Store, source: Features) -> None:
    assert elements(store, source) == ["C", "F", "H", "N", "O"]
    counts = dict(zip(SOURCE, load(store, source).elements.tolist(), strict=True))
    assert counts["CCO"] == [2, 0, 6, 0, 1]
    assert counts["CN"] == [1, 0, 5, 1, 0]
    assert counts["CF"] == [1, 1, 3, 0, 0]
    assert counts["C1CC12CC2"] == [5, 0, 8, 0, 0]


def test_topology_is_left_out_on_request(store: Store) -> None:
    table = featurized(store, SOURCE, "plain", kind=PLAIN)
    scale = load_scale(store, table)
    assert set(scale.names) | set(scale.dropped) == set(estate_names())


def test_a_target_is_standardised_with_the_scale_of_the_source(store: Store, source: Features) -> None:
    target = featurized(store, (*TARGET, *SOURCE), "target", source)
    assert load_scale(store, target).state() == load_scale(store, source).state()
    assert elements(store, target) == elements(store, source)
    ours, theirs = load(store, target), load(store, source)
    np.testing.assert_array_equal(ours.features[len(TARGET) :], theirs.features)
    np.testing.assert_array_equal(ours.elements[len(TARGET) :], theirs.elements)
    assert not np.array_equal(load(store, featurized(store, TARGET, "own")).features, ours.features[: len(TARGET)])


def test_other_rows_of_the_target_do_not_change_a_row(store: Store, source: Features) -> None:
    alone = load(store, featurized(store, TARGET[:1], "alone", source))
    among = load(store, featurized(store, TARGET, "among", source))
    np.testing.assert_array_equal(among.features[0], alone.features[0])


def test_molecules_apart_add_up_but_for_nothing(store: Store, source: Features) -> None:
    table = load(store, featurized(store, TARGET, "target", source))
    together, one, other = (table.take(np.array([TARGET.index(s)])) for s in ("C=CC=C.C1CC1", "C=CC=C", "C1CC1"))
    added = one.features + other.features - table.nothing
    np.testing.assert_allclose(together.features, added, atol=1e-5)
    np.testing.assert_array_equal(together.elements, one.elements + other.elements)
    assert np.abs(table.nothing).max() > 0.1


def test_the_same_snapshot_gives_the_same_bytes(store: Store) -> None:
    handle = snapshot(store, SOURCE, "again")
    one, other = (featurize_rows(store, handle, TOPOLOGICAL, None, extensive=True) for _ in range(2))
    assert one == other


def test_shards_of_rows_keep_their_order(store: Store, source: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "SHARD", 4)
    sharded = load(store, featurized(store, SOURCE, "sharded"))
    np.testing.assert_allclose(sharded.features, load(store, source).features, rtol=1e-6)
    assert sharded.values.tolist() == list(range(len(SOURCE)))
    again = load(store, featurized(store, SOURCE, "again", source))
    np.testing.assert_array_equal(again.features, load(store, source).features)


def test_taking_rows_takes_all_that_belongs_to_them(store: Store, source: Features) -> None:
    table = load(store, source)
    taken = table.take(np.array([3, 0, 3]))
    assert isinstance(taken, Table)
    assert taken.records.tolist() == ["source:3", "source:0", "source:3"]
    assert taken.keys.tolist() == ["C=C", "C", "C=C"]
    assert taken.values.tolist() == [3, 0, 3]
    np.testing.assert_array_equal(taken.features, table.features[[3, 0, 3]])
    np.testing.assert_array_equal(taken.elements, table.elements[[3, 0, 3]])
    np.testing.assert_array_equal(taken.nothing, table.nothing)
