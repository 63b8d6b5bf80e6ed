"""A handle's name stands for everything that made its object."""

import importlib.metadata
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import handles
from tasks.handles import Bundle, Checkpoint, Comparison, Features, Handle, Model, Raw, Snapshot, fingerprint
from tasks.recipe import ElemNet, Estate, Residual

DIGITS = "0123456789abcdef"
HANDLES = (Raw, Snapshot, Features, Checkpoint, Comparison, Model)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@dataclass(frozen=True)
class Amount:
    value: float


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a package `some_stage`, with a door and a room."""
    folder = tmp_path / "some_stage"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""The door."""\n')
    (folder / "room.py").write_text("FACTOR = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    handles._code.cache_clear()
    return folder


def name_of(stage: Path) -> str:
    """The name of what the stage makes now, as a new process would see it."""
    handles._code.cache_clear()
    return fingerprint(stage.name, 1)


@pytest.mark.parametrize("kind", HANDLES)
def test_an_object_lives_in_the_folder_of_its_kind(kind: type[Handle]) -> None:
    handle = kind("0123456789abcdef")
    assert handle.path == f"{kind.kind}/0123456789abcdef"
    assert str(handle) == handle.path


def test_a_bundle_lives_under_its_recipe() -> None:
    handle = Bundle("0123456789abcdef", "qm9-webbook")
    assert str(handle) == handle.path == "bundles/qm9-webbook/0123456789abcdef"


def test_no_two_kinds_share_a_folder() -> None:
    assert len({kind.kind for kind in (*HANDLES, Bundle)}) == len(HANDLES) + 1


def test_a_handle_is_a_value() -> None:
    assert {Raw("a"), Raw("a"), Snapshot("a")} == {Snapshot("a"), Raw("a")}
    with pytest.raises(FrozenInstanceError):
        Raw("a").fingerprint = "b"  # type: ignore[misc]


@settings(deadline=None)
@given(json_values)
def test_a_fingerprint_is_16_hexadecimal_digits_and_always_the_same(value: object) -> None:
    name = fingerprint("tasks.recipe", value)
    assert len(name) == 16
    assert set(name) <= set(DIGITS)
    assert name == fingerprint("tasks.recipe", value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1,), (2,)),
        ((1,), (1, 1)),
        ((1, 2), (2, 1)),
        (("1",), (1,)),
        ((None,), ()),
        ((Raw("a"),), (Raw("b"),)),
        ((Raw("a"),), (Snapshot("a"),)),
        ((Raw("a"),), ("raw/a",)),
        ((Bundle("a", "one"),), (Bundle("a", "other"),)),
        ((Estate(kind="estate", topology=True),), (Estate(kind="estate", topology=False),)),
        ((Residual(kind="residual", width=8, blocks=1),), (Residual(kind="residual", width=1, blocks=8),)),
        ((Residual(kind="residual", width=8, blocks=1),), (ElemNet(kind="elemnet"),)),
        ((Amount(1.0),), (Amount(1.0000000000000002),)),
        (({"seed": [Raw("a")]},), ({"seed": [Raw("b")]},)),
    ],
)
def test_other_inputs_make_another_name(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    assert fingerprint("tasks.recipe", *one) != fingerprint("tasks.recipe", *other)


def test_the_order_in_which_parameters_are_written_makes_no_difference() -> None:
    assert fingerprint("tasks.recipe", {"a": 1, "b": 2}) == fingerprint("tasks.recipe", {"b": 2, "a": 1})


def test_another_stage_makes_another_name() -> None:
    assert len({fingerprint(stage, 1) for stage in ("tasks.recipe", "tasks.recipe.schema", "tasks.featurize")}) == 3


def test_a_change_of_a_room_makes_another_name_and_a_change_of_the_door_does_not(stage: Path) -> None:
    before = name_of(stage)
    (stage / "__init__.py").write_text('"""The door, painted."""\n')
    assert name_of(stage) == before
    (stage / "room.py").write_text("FACTOR = 2\n")
    changed = name_of(stage)
    (stage / "annex.py").write_text("")
    assert len({before, changed, name_of(stage)}) == 3
    (stage / "annex.py").unlink()
    (stage / "room.py").write_text("FACTOR = 1\n")
    assert name_of(stage) == before


def test_a_stage_of_one_module_is_named_by_its_own_code(stage: Path) -> None:
    module = stage.parent / "some_module.py"
    module.write_text("FACTOR = 1\n")
    before = name_of(module.with_suffix(""))
    (stage.parent / "other_module.py").write_text("")
    assert name_of(module.with_suffix("")) == before
    module.write_text("FACTOR = 2\n")
    assert name_of(module.with_suffix("")) != before


def test_a_stage_that_does_not_exist_has_no_name() -> None:
    with pytest.raises(ModuleNotFoundError):
        fingerprint("tasks.alchemy", 1)


def test_another_version_of_a_library_makes_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [fingerprint("tasks.recipe", 1)]
    for version in ("1.0", "1.1"):
        about = tmp_path / version / "somelibrary.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: somelibrary\nVersion: {version}\n")
        with monkeypatch.context() as path:
            path.syspath_prepend(tmp_path / version)
            assert importlib.metadata.version("somelibrary") == version
            names.append(fingerprint("tasks.recipe", 1, libraries=("somelibrary",)))
    assert len(set(names)) == 3


def test_the_name_is_the_same_in_every_process() -> None:
    script = (
        "from tasks.handles import Raw, fingerprint; from tasks.recipe import ElemNet; "
        "print(fingerprint('tasks.featurize', Raw('a'), ElemNet(kind='elemnet'), {'b': 1, 'a': [2.5, None]}, "
        "libraries=('numpy', 'rdkit')))"
    )
    inputs = (Raw("a"), ElemNet(kind="elemnet"), {"b": 1, "a": [2.5, None]})
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert said == {fingerprint("tasks.featurize", *inputs, libraries=("numpy", "rdkit"))}


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", Raw])
def test_what_has_no_lasting_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=f"^{type(value).__name__} cannot be part of a fingerprint$"):
        fingerprint("tasks.recipe", value)
