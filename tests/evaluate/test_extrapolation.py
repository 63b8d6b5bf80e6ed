"""How a model extrapolates is judged on whole groups of alike rows, of which it was fitted on none."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tasks.errors import MatliftError
from tasks.evaluate.comparison import Setting
from tasks.evaluate.extrapolation import LEAST, Group, extrapolate, groups_of
from tasks.featurize import Table
from tasks.learn import Choice, Fitted, fit_choice
from tasks.recipe import Evaluation

TUNED = Choice("fine-tune", 2)
NAMES = ("C", "H", "N", "O", "F")


def plan(clusters: int = 0, elements: int = 0) -> Evaluation:
    return Evaluation(folds=2, sizes=(), draws=1, seed=0, clusters=clusters, elements=elements)


def keyed(features: np.ndarray, elements: np.ndarray, per_key: int = 1) -> Table:
    """A table of which so many rows in a row share a key."""
    rows = len(features)
    keys = np.array([f"KEY{row // per_key}" for row in range(rows)], dtype=object)
    records = np.array([f"A:{row}" for row in range(rows)], dtype=object)
    features = features.astype(np.float32)
    return Table(features, elements.astype(float), np.arange(rows, dtype=float), keys, records, features[0])


@pytest.fixture(scope="module")
def families() -> Table:
    """Three families of 60, 40 and 20 rows, two rows to a key; all have C and H, the second N, the third O and F."""
    family = np.repeat([0, 1, 2], [60, 40, 20])
    random = np.random.default_rng(0)
    features = 8.0 * family[:, None] + random.normal(size=(120, 3))
    elements = np.array([[1, 4, 0, 0, 0], [1, 3, 2, 0, 0], [2, 2, 0, 1, 5]])[family]
    return keyed(features, elements, per_key=2)


@pytest.fixture
def one_group() -> Group:
    """A quarter of the target."""
    return Group("clusters", "1", np.arange(30))


def leave_out(setting: Setting, *groups: Group, in_source: int = 0) -> dict[str, dict]:
    return extrapolate(setting, groups, TUNED, np.arange(len(setting.target)) < in_source)


@pytest.fixture(scope="module")
def setting(make_setting: Callable[..., Setting], target: Table) -> Setting:
    return make_setting(target)


def test_clusters_are_the_families_of_alike_rows_the_largest_first_named_by_their_elements(families: Table) -> None:
    found = groups_of(families, "molecules", NAMES, plan(clusters=3))
    assert [group.name for group in found] == ["1", "2 (N)", "3 (O, F)"]
    assert [group.rows.tolist() for group in found] == [[*range(60)], [*range(60, 100)], [*range(100, 120)]]


@pytest.mark.parametrize("clusters", [2, 5, 60, 1000])
def test_each_row_is_in_one_cluster_and_no_key_straddles_clusters(target: Table, clusters: int) -> None:
    found = groups_of(target, "molecules", ("C", "H"), plan(clusters=clusters))
    assert len(found) == min(clusters, 60)
    assert sorted(np.concatenate([group.rows for group in found]).tolist()) == list(range(120))
    keys = [set(target.keys[group.rows]) for group in found]
    assert sum(map(len, keys)) == len(set().union(*keys))


def test_the_same_seed_finds_the_same_clusters(target: Table) -> None:
    one, again = (groups_of(target, "molecules", ("C", "H"), plan(clusters=4)) for _ in range(2))
    assert [group.rows.tolist() for group in one] == [group.rows.tolist() for group in again]


def test_rows_that_are_all_alike_are_no_clusters() -> None:
    alike = keyed(np.zeros((50, 2)), np.ones((50, 2)))
    with pytest.warns(UserWarning, match="distinct clusters"):
        assert groups_of(alike, "molecules", ("C", "H"), plan(clusters=3)) == []


def test_an_element_is_held_out_with_all_its_rows_if_they_are_enough_and_half_of_all_at_most() -> None:
    elements = np.zeros((100, 4))
    for column, rows in enumerate((LEAST, LEAST - 1, 50, 51)):
        elements[:rows, column] = 0.5
    table = keyed(np.zeros((100, 1)), elements)
    found = groups_of(table, "compositions", ("Fe", "Ni", "O", "S"), plan(elements=9))
    assert [(group.kind, group.name, group.rows.tolist()) for group in found] == [
        ("elements", "O", list(range(50))),
        ("elements", "Fe", list(range(LEAST))),
    ]
    assert [group.name for group in groups_of(table, "compositions", ("Fe", "Ni", "O", "S"), plan(elements=1))] == ["O"]


def test_carbon_and_hydrogen_are_held_out_of_compositions_and_never_of_molecules(families: Table) -> None:
    some = replace(families, elements=np.where(np.arange(120)[:, None] < 50, families.elements, 0))
    names = {of: {group.name for group in groups_of(some, of, NAMES, plan(elements=9))} for of in KINDS}
    assert names == {"compositions": {"C", "H"}, "molecules": set(), "dyes": set()}


KINDS = ("compositions", "molecules", "dyes")


@pytest.mark.parametrize("of", KINDS)
def test_nothing_is_left_out_unless_the_recipe_says_so(families: Table, of: str) -> None:
    assert groups_of(families, of, NAMES, plan()) == []


def test_dyes_are_left_out_by_cluster_alone(families: Table) -> None:
    assert {group.kind for group in groups_of(families, "dyes", NAMES, plan(clusters=3, elements=3))} == {"clusters"}


def test_the_errors_of_a_group_are_those_of_fits_on_all_other_rows(setting: Setting, one_group: Group) -> None:
    found = leave_out(setting, one_group, in_source=12)["clusters"]
    rest, held_out = (setting.target.take(rows) for rows in (np.arange(30, 120), one_group.rows))
    source = Fitted.from_files(setting.weights, setting.about)
    for method, choice in {"transfer": TUNED, "scratch": Choice("scratch"), "direct": Choice("direct")}.items():
        model = fit_choice(choice, source, rest, setting.transfer, seed=0)
        mae = pytest.approx(np.mean(np.abs(model.predict(held_out) - held_out.values)))
        assert found["groups"][0][method] == found[method] == mae
    assert {key: found["groups"][0][key] for key in ("name", "rows", "in source")} == {
        "name": "1",
        "rows": 30,
        "in source": 12,
    }


def test_values_left_out_influence_no_prediction(setting: Setting, one_group: Group) -> None:
    values = setting.target.values.copy()
    values[one_group.rows] += 1e4  # far above all predictions: each error grows by as much, if these stay the same
    changed = replace(setting, target=replace(setting.target, values=values))
    before, after = (leave_out(s, one_group)["clusters"] for s in (setting, changed))
    source = Fitted.from_files(setting.weights, setting.about)
    rest, held_out = (setting.target.take(rows) for rows in (np.arange(30, 120), one_group.rows))
    for method, choice in {"transfer": TUNED, "scratch": Choice("scratch")}.items():
        model = fit_choice(choice, source, rest, setting.transfer, seed=0)
        signed = held_out.values - model.predict(held_out)
        assert after[method] == pytest.approx(1e4 + np.mean(signed))
        assert before[method] == pytest.approx(np.mean(np.abs(signed)))


@pytest.mark.usefixtures("one_core")
def test_the_errors_of_all_are_those_of_their_rows_and_a_row_counts_with_each_of_its_elements(setting: Setting) -> None:
    groups = [Group("elements", "N", np.arange(40)), Group("elements", "O", np.arange(20, 40))]
    found = leave_out(setting, *groups)["elements"]
    assert (found["rows"], [group["rows"] for group in found["groups"]]) == (60, [40, 20])
    for method in ("transfer", "scratch"):
        of_groups = [group[method] for group in found["groups"]]
        assert found[method] == pytest.approx((40 * of_groups[0] + 20 * of_groups[1]) / 60)
    assert found["difference"]["mean"] == pytest.approx(found["transfer"] - found["scratch"])
    assert found["difference"]["low"] < found["difference"]["mean"] < found["difference"]["high"]


def test_what_the_source_does_not_have_is_judged_again_apart(setting: Setting, one_group: Group) -> None:
    unseen = replace(one_group, rows=np.arange(12, 30))
    whole, none = (leave_out(setting, one_group, in_source=known)["clusters"] for known in (12, 30))
    assert whole["not in source"]["rows"] == len(unseen.rows)
    assert set(whole["not in source"]) == {"rows", "transfer", "scratch", "direct", "difference"}
    assert whole["not in source"]["transfer"] != whole["transfer"]
    assert none["not in source"] is None


def test_a_group_that_shares_a_key_with_the_other_rows_is_refused(setting: Setting) -> None:
    with pytest.raises(MatliftError, match="1:31 is trained on and 1:30 held out, but both are KEY1-15"):
        leave_out(setting, Group("clusters", "1", np.arange(31)))


@pytest.mark.usefixtures("one_core")
def test_transfer_pays_where_the_source_knows_what_was_not_measured(setting: Setting) -> None:
    groups = groups_of(setting.target, "molecules", ("C", "H"), plan(clusters=4))
    found = leave_out(setting, *groups)["clusters"]
    assert found["rows"] == 120
    assert found["difference"]["high"] < 0
