"""The card says what a chemist needs, from the numbers of the comparison."""

import dataclasses
import json
import re
from typing import Any

import yaml

from tasks.publish.card import Facts, for_dashboard, write_card
from tasks.publish.figures import Picture
from tasks.publish.grids import markdown, rejection_rows
from tasks.publish.words import number, sentences

PICTURES = {"parity.png": Picture(b"one", "Parity: …"), "learning-curve.png": Picture(b"two", "Curve: …")}


def front_matter(card: str) -> dict[str, Any]:
    metadata: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return metadata


def test_the_front_matter_is_hugging_faces(facts: Facts) -> None:
    metadata = front_matter(write_card(facts, PICTURES))
    assert metadata["license"] == "mit"
    assert metadata["library_name"] == "matlift"
    assert metadata["datasets"] == ["qm9", "chemicals"]
    assert {"mae", "rmse"} <= set(metadata["metrics"])
    assert "transfer-learning" in metadata["tags"]


def test_it_says_what_is_predicted_how_well_and_where_it_ends(facts: Facts) -> None:
    card = write_card(facts, PICTURES)
    assert facts.recipe.property.name in card
    assert "kJ/mol" in card
    assert "1,200 computed values of QM9, then from 600 measured values" in card
    assert all(sentence in card for sentence in sentences(facts.metrics))
    assert "C, F, H, N, O" in card
    assert "not a substitute for a measurement" in card
    assert "11.2 kJ/mol on 60 others" in " ".join(card.split())


def test_it_says_how_many_values_each_table_gave_those_that_were_landed_too(facts: Facts) -> None:
    assert "came from CRC (588), landed:1a2b3c4d (12)." in write_card(facts, PICTURES)


def test_it_says_where_the_target_is_computed_too(facts: Facts) -> None:
    said = "The target is computed, too"
    assert said not in write_card(facts, PICTURES)
    target = facts.recipe.target.model_copy(update={"data": facts.recipe.source.data})
    computed = facts.recipe.model_copy(update={"target": target})
    assert said in write_card(dataclasses.replace(facts, recipe=computed), PICTURES)


def test_every_method_stands_in_both_tables(facts: Facts) -> None:
    card = write_card(facts, PICTURES)
    for part in (facts.metrics, facts.metrics["not in source"]):
        for method, errors in part["methods"].items():
            assert f"| {method} | {number(errors['mae'])} |" in card


def test_licences_citations_and_fingerprints_are_there(facts: Facts) -> None:
    card = write_card(facts, PICTURES)
    for words in ("CC0", "doi:10.1038/sdata.2014.22", "ATcT", "CRC Handbook", "NIST Chemistry WebBook", "MIT licence"):
        assert words in card
    for handle in (facts.model, facts.comparison, *vars(facts.lineage).values()):
        assert f"`{handle}`" in card


def test_rejected_rows_are_counted_by_reason(facts: Facts) -> None:
    table = markdown(rejection_rows(*facts.reports)).splitlines()
    assert table == [
        "| outcome | source | target |",
        "| --- | ---: | ---: |",
        "| rows | 1,300 | 900 |",
        "| accepted | 1,200 | 600 |",
        "| duplicate | 100 | 100 |",
        "| foreign element | 0 | 200 |",
    ]


def test_tables_are_tables(facts: Facts) -> None:
    blocks = re.findall(r"(?:^\|.*\|\n)+", write_card(facts, PICTURES), flags=re.MULTILINE)
    assert len(blocks) == 5
    for block in blocks:
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_a_model_from_scratch_does_not_claim_to_have_learnt_from_the_source(compared: Any, facts: Facts) -> None:
    metrics = json.loads(json.dumps(compared.metrics)) | {"best": {"method": "scratch", "frozen": 0, "inner_mae": {}}}
    card = write_card(Facts(**{**vars(facts), "metrics": metrics}), PICTURES)
    assert "It learnt from 600 measured values (chemicals) alone" in card
    assert "training from scratch had the least error" in card


def test_the_dashboard_gets_the_pictures_inside_and_no_front_matter(facts: Facts) -> None:
    shown = for_dashboard(write_card(facts, PICTURES), {name: picture.png for name, picture in PICTURES.items()})
    assert shown.startswith("# ")
    assert "](data:image/png;base64,b25l)" in shown
    assert "](data:image/png;base64,dHdv)" in shown
    assert ".png)" not in shown
