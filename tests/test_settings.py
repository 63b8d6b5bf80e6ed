"""What the environment and `.env` say reaches what reads it, and what is wrong in them is one sentence."""

import shutil
from pathlib import Path

import pytest

from flows.cli import main
from tasks.errors import MatliftError
from tasks.recipe import RECIPES, load_recipe, recipe_names
from tasks.settings import settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_env_file_is_read_and_the_environment_wins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".env").write_text("MATLIFT_PORT=4300\nMATLIFT_KEEP=7\nMATLIFT_DASK=\nUNRELATED=1\n")
    monkeypatch.setenv("MATLIFT_PORT", "4400")
    found = settings()
    assert (found.port, found.keep, found.dask) == (4400, 7, None)


def test_the_command_line_gives_what_env_file_says_to_the_store(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("MATLIFT_STORE", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    (folder / ".env").write_text(
        "MATLIFT_STORE=s3://bucket-of-ours/x\nAWS_ENDPOINT_URL=http://127.0.0.1:9\n"
        "AWS_ACCESS_KEY_ID=key\nAWS_SECRET_ACCESS_KEY=secret\n"
    )
    assert main(["ls"]) == 1
    assert "the store s3://bucket-of-ours/x does not answer at http://127.0.0.1:9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PORT", "four", "MATLIFT_PORT: Input should be a valid integer"),
        ("KEEP", "0", "MATLIFT_KEEP: Input should be greater than 0"),
        ("OVERRIDES", "{", 'error parsing value for field "overrides"'),
    ],
)
def test_a_wrong_value_is_one_sentence(name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"MATLIFT_{name}", value)
    with pytest.raises(MatliftError, match=f"the environment is wrong: {reason}"):
        settings()


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATLIFT_POSTGRES", "postgresql://me:hunter2@host/db")
    monkeypatch.setenv("MATLIFT_WEBHOOK", "https://hooks.example.org/hunter2")
    assert "hunter2" not in f"{settings()!r} {settings()}"


def test_recipes_of_ones_own_stand_beside_those_of_matlift(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATLIFT_RECIPES", str(folder))
    text = (RECIPES / "qm9-webbook.yaml").read_text().replace("epochs: 12", "epochs: 1")
    (folder / "quick.yaml").write_text(text.replace("name: qm9-webbook", "name: quick"))
    (folder / "qm9-webbook.yaml").write_text(text)
    assert {"quick", "qm9-webbook", "porphyrin"} <= set(recipe_names())
    assert load_recipe("quick").pretraining.epochs == 1
    assert load_recipe("qm9-webbook").pretraining.epochs == 1  # one's own comes first

    monkeypatch.setenv("MATLIFT_OVERRIDES", '{"quick": {"pretraining.epochs": 2, "transfer.seed": 3}}')
    assert load_recipe("quick").pretraining.epochs == 2
    assert load_recipe("quick", {"pretraining.epochs": 4}).pretraining.epochs == 4
    assert load_recipe("qm9-webbook").transfer.seed == 0

    shutil.rmtree(folder)
    with pytest.raises(MatliftError, match=r"MATLIFT_RECIPES names .* which is no folder"):
        recipe_names()
