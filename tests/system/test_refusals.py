"""What cannot work is refused by the command line at once, in one sentence, and leaves nothing behind."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from places import Place, cheap_recipe, objects, refused

Places = Callable[[str], Place]


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (cheap_recipe() | {"colour": "blue"}, "colour: Extra inputs are not permitted (got 'blue')"),
        (cheap_recipe() | {"evaluation": {"folds": 1, "sizes": [], "seed": 0}}, "evaluation.folds: "),
        (cheap_recipe() | {"network": {"kind": "residual", "width": 16}}, "network.residual.blocks: Field required"),
        ("name: [cheap", "recipe.yaml is not valid YAML: "),
    ],
    ids=["unknown field", "wrong value", "missing field", "not YAML"],
)
def test_a_wrong_recipe_is_refused_at_once(recipe: dict[str, Any] | str, reason: str, place: Places) -> None:
    wrong = place("wrong")
    wrong.write(recipe)
    start = time.monotonic()
    assert reason in refused(wrong.run())
    assert time.monotonic() - start < 10
    assert not (wrong.folder / ".matlift").exists()


def test_a_missing_recipe_is_refused_at_once(place: Places) -> None:
    empty = place("empty")
    (empty.folder / "recipe.yaml").unlink()
    assert "no recipe named recipe.yaml and no such file; the recipes are band-gap, " in refused(empty.run())


def test_a_store_out_of_reach_is_one_sentence(place: Places) -> None:
    alone = place("alone")
    credentials = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    ended = alone.run("--store", "s3://x-bucket/y", AWS_ENDPOINT_URL="http://127.0.0.1:9", **credentials)
    assert "the store s3://x-bucket/y does not answer at http://127.0.0.1:9 " in refused(ended)
    assert not (alone.folder / ".matlift").exists()


def test_a_prefect_server_out_of_reach_is_one_sentence(place: Places) -> None:
    alone = place("alone")
    sentence = refused(alone.run(PREFECT_API_URL="http://127.0.0.1:9/api"))
    assert "Prefect's server does not answer at http://127.0.0.1:9/api" in sentence
    assert not objects(alone.files())
