"""A bundle is loaded from anywhere, and one that is not exactly what was published is refused in one sentence."""

import json
import pickle
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import Published
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from tasks.errors import MatliftError
from tasks.manifest import described, dump, sealed, spare
from tasks.predict import load
from tasks.store import Store

Change = Callable[[dict[str, Any]], None]


class Bomb:
    """What leaves a file behind when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


@pytest.fixture
def copy(compositions: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a bundle, to be changed."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(compositions.folder, tmp_path / "bundle"))


def refused(folder: Path | str) -> str:
    """Return the one sentence with which a bundle is refused; nothing of it was run."""
    with pytest.raises(MatliftError) as error:
        load(str(folder))
    assert not Path("exploded").exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def reseal(folder: Path, change: Change) -> None:
    """Change a manifest as one would who knows how it is sealed."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    del manifest["sha256"], manifest["format"]
    change(manifest)
    (folder / "manifest.json").write_bytes(dump(sealed(manifest)))


def replace(folder: Path, name: str, data: bytes) -> None:
    """Change a file, and the manifest with it."""
    (folder / name).write_bytes(data)
    reseal(folder, lambda manifest: manifest["files"].update({name: described(data)}))


def test_a_copy_that_is_whole_is_loaded(copy: Path, compositions: Published) -> None:
    assert load(str(copy)).fingerprint == compositions.bundle.fingerprint
    assert load(f"file://{copy}").fingerprint == compositions.bundle.fingerprint


def test_a_flipped_bit_in_any_file_is_found(copy: Path) -> None:
    for file in sorted(copy.iterdir()):
        data = file.read_bytes()
        for place in (0, len(data) // 3, len(data) // 2, len(data) - 1):
            changed = bytearray(data)
            changed[place] ^= 1
            file.write_bytes(changed)
            assert f"{file.name} of the bundle" in refused(copy) or "the manifest of the bundle" in refused(copy)
        file.write_bytes(data)
    load(str(copy))


def test_every_file_is_missed_and_must_be_as_long_as_it_was(copy: Path) -> None:
    for file in sorted(copy.iterdir()):
        data = file.read_bytes()
        for content in (None, b"", data[:-1], data + b"\n"):
            file.unlink() if content is None else file.write_bytes(content)
            assert "bundle" in refused(copy) or "no published model" in refused(copy)
        file.write_bytes(data)
    load(str(copy))


@pytest.mark.parametrize("name", ["model.pkl", "sub/hook.py", "__init__.py", "weights.safetensors.bak", "notes.json"])
def test_a_file_that_is_not_listed_is_refused(copy: Path, name: str) -> None:
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_bytes(pickle.dumps(Bomb()))
    assert f"holds '{name}', which its manifest does not list" in refused(copy)


@pytest.mark.parametrize("name", ["model.pkl", "hook.py", "weights.pt", "lib.so", "run"])
def test_a_file_that_could_be_run_is_refused_although_it_is_listed(copy: Path, name: str) -> None:
    replace(copy, name, pickle.dumps(Bomb()))
    assert "only data belong into a bundle" in refused(copy)


@pytest.mark.parametrize(
    "name", ["../about.json", "/etc/passwd", "a/../../about.json", "..\\about.json", ".hidden.json", "sub/about.json"]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(copy: Path, name: str) -> None:
    shutil.copy(copy / "about.json", copy.parent / "about.json")
    entry = described((copy / "about.json").read_bytes())
    reseal(copy, lambda manifest: manifest["files"].update({name: entry}))
    assert "which is no file in its folder" in refused(copy)


def test_what_is_of_a_newer_or_an_older_format_is_refused(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_bytes())
    (copy / "manifest.json").write_bytes(dump(manifest | {"format": 2, "more": {}}))
    assert "is of format 2: install a matlift that knows it" in refused(copy)
    del manifest["format"]
    (copy / "manifest.json").write_bytes(dump(manifest))
    assert "publish it again" in refused(copy)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"{}", b"[]", b"null", b'{"files": 3}', b"\xff", b""])
def test_what_is_no_manifest_is_refused(copy: Path, content: bytes) -> None:
    (copy / "manifest.json").write_bytes(content)
    assert "the manifest of the bundle" in refused(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.update(run="code"),
        lambda manifest: manifest.update(kind="models"),
        lambda manifest: manifest.update(fingerprint="../x"),
        lambda manifest: manifest["files"]["model.json"].update(size=-1),
        lambda manifest: manifest["files"]["model.json"].update(size=2**40),
        lambda manifest: manifest["files"]["model.json"].update(sha256="0"),
        lambda manifest: manifest["files"]["model.json"].update(url="http://127.0.0.1"),
        lambda manifest: manifest["files"].pop("model.json"),
    ],
)
def test_a_manifest_says_what_it_should_and_nothing_else(copy: Path, change: Change) -> None:
    reseal(copy, change)
    assert "manifest" in refused(copy)


@pytest.mark.parametrize("header", [2**63, 2**40, 2**21, 0, 7])
def test_an_impossible_header_of_tensors_is_refused(copy: Path, header: int) -> None:
    weights = (copy / "weights.safetensors").read_bytes()
    replace(copy, "weights.safetensors", header.to_bytes(8, "little") + weights[8:] + b" " * 2**22)
    assert "header" in refused(copy)


def test_a_pickle_in_the_place_of_weights_is_not_run(copy: Path) -> None:
    replace(copy, "weights.safetensors", pickle.dumps(Bomb()))
    assert "weights.safetensors of the bundle" in refused(copy)


def test_parts_that_do_not_fit_together_are_refused(copy: Path) -> None:
    tensors = load_tensors((copy / "trunk.safetensors").read_bytes())
    name = next(name for name in tensors if name.endswith("trunk.0.weight"))
    for wrong in (tensors[name][:, 1:], tensors[name] * np.nan, None):
        changed = {**tensors, name: wrong}
        replace(copy, "trunk.safetensors", save_tensors({one: two for one, two in changed.items() if two is not None}))
        assert "do not fit together" in refused(copy) or "lacks" in refused(copy)
    replace(copy, "model.json", b"{}")
    assert "lacks" in refused(copy)
    replace(copy, "model.json", b"[" * 100_000)
    assert "do not fit together" in refused(copy)


def test_a_file_whose_plain_name_was_taken_is_read_from_its_spare_one(copy: Path) -> None:
    file = copy / "model.json"
    data = file.read_bytes()
    (copy / spare("model.json", described(data)["sha256"])).write_bytes(data)
    for held in (None, b"of another writer", data):
        file.unlink() if held is None else file.write_bytes(held)
        load(str(copy))
    (copy / spare("model.json", described(data)["sha256"])).write_bytes(data[:-1] + b" ")
    file.unlink()
    refused(copy)


@pytest.mark.parametrize("where", ["nowhere", "https://127.0.0.1:9/bundle", "what://is/this", "s3://no"])
def test_what_is_not_there_is_said_in_a_sentence(tmp_path: Path, where: str) -> None:
    refused(where if "://" in where else tmp_path / where)


def test_passwords_are_not_shown() -> None:
    said = refused("https://me:secret@127.0.0.1:9/bundle?X-Amz-Signature=secret")
    assert "secret" not in said


def test_a_model_is_loaded_from_the_store_and_by_its_pointer(predict_store: Store, compositions: Published) -> None:
    bundle = compositions.bundle
    for path in (bundle.path, f"{bundle.path}/", f"bundles/{bundle.recipe}/latest.json"):
        assert load(f"{predict_store.url}/{path}").fingerprint == bundle.fingerprint


def test_a_pointer_leads_to_its_neighbours_only(copy: Path) -> None:
    fingerprint = json.loads((copy / "manifest.json").read_bytes())["fingerprint"]
    copy.rename(copy.parent / fingerprint)
    pointer = copy.parent / "champion.json"
    pointer.write_text(json.dumps({"bundle": fingerprint, "path": "elsewhere", "history": []}))
    assert load(str(pointer)).fingerprint == fingerprint
    for wrong in ("[]", "", json.dumps({"bundle": "../etc"}), json.dumps({"bundle": 1}), "[" * 100_000):
        pointer.write_text(wrong)
        assert "does not point to a bundle" in refused(pointer)


@pytest.fixture
def website(compositions: Published) -> Iterator[str]:
    """The address of a web server that has a bundle."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(compositions.folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_model_is_loaded_from_a_website(website: str, compositions: Published) -> None:
    assert load(website).fingerprint == compositions.bundle.fingerprint
