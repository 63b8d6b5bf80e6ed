"""The card says what a chemist needs, from the numbers of the comparison."""

import dataclasses
import json
import re
from typing import Any

import pytest
import yaml

from tasks.publish.card import Facts, for_dashboard, write_card
from tasks.publish.figures import Picture
from tasks.publish.grids import markdown, rejection_rows
from tasks.publish.words import number, sentences

PICTURES = {"parity.png": Picture(b"one", "Parity: …"), "learning-curve.png": Picture(b"two", "Curve: …")}

DIFFERENCE = {"mean": -20.0, "low": -25.0, "high": -15.0}
EXTRAPOLATION = {
    "clusters": {
        "groups": [
            {"name": "1 (O)", "rows": 400, "in source": 30, "transfer": 40.0, "scratch": 60.0, "direct": 55.0},
            {"name": "2", "rows": 200, "in source": 0, "transfer": 70.0, "scratch": 90.0, "direct": 55.0},
        ],
        "rows": 600,
        "transfer": 50.0,
        "scratch": 70.0,
        "direct": 55.0,
        "difference": DIFFERENCE,
        "not in source": {"rows": 570, "transfer": 51.0, "scratch": 71.0, "direct": 56.0, "difference": DIFFERENCE},
    },
    "elements": {
        "groups": [{"name": "N", "rows": 90, "in source": 4, "transfer": 44.0, "scratch": 77.0, "direct": 41.0}],
        "rows": 90,
        "transfer": 44.0,
        "scratch": 77.0,
        "direct": 41.0,
        "difference": DIFFERENCE | {"mean": -33.0, "low": -40.0},
        "not in source": None,
    },
}


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
    [result] = metadata["model-index"][0]["results"]
    assert result["task"]["type"] == metadata["pipeline_tag"] == "tabular-regression"
    found = {metric["type"]: metric for metric in result["metrics"]}
    method = facts.metrics["methods"][facts.metrics["best"]["method"]]
    assert found["mae"]["value"] == method["mae"]
    low, high = map(float, re.findall(r"interval ([\d.]+) to ([\d.]+)", found["mae"]["name"])[0])
    assert low < method["mae"] < high
    assert "kJ/mol" in found["rmse"]["name"]


def test_time_and_carbon_are_told_as_the_estimate_that_they_are(facts: Facts) -> None:
    card = write_card(facts, PICTURES)
    emissions = front_matter(card)["co2_eq_emissions"]
    assert emissions["emissions"] == pytest.approx(5520 / 3600 * 0.1 * 480, abs=0.001)
    assert "not measured" in emissions["source"]
    assert "It took 1.5 h (fetch source 12 s, pretrain 2 min, evaluate 1.5 h, fit 18 s)" in card
    assert "about\n74 g of CO₂" in card


def test_it_says_where_the_domain_ends_and_how_true_intervals_are(facts: Facts) -> None:
    predictions = facts.predictions.assign(distance=2.0)
    metrics = {**facts.metrics, "intervals": {"level": 0.9, "coverage": 0.897, "width": 123.4}}
    card = write_card(dataclasses.replace(facts, predictions=predictions, metrics=metrics), PICTURES)
    assert "at most 2.00 from the measured\n  ones in the activations" in card
    assert "Its 90 % intervals hold 89.7 % of the held-out measurements; their mean width is 123 kJ/mol." in card
    assert "The 95 % interval of the mean absolute error of the one published is" in card


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


def test_it_says_how_often_the_folds_were_drawn(facts: Facts) -> None:
    plan = facts.recipe.evaluation.model_copy(update={"repeats": 3})
    repeated = facts.recipe.model_copy(update={"evaluation": plan})
    assert "held out (5 folds; " in write_card(facts, PICTURES)
    assert "held out (5 folds, drawn 3 times; " in write_card(dataclasses.replace(facts, recipe=repeated), PICTURES)


def test_every_method_stands_in_both_tables(facts: Facts) -> None:
    card = write_card(facts, PICTURES)
    for part in (facts.metrics, facts.metrics["not in source"]):
        for method, errors in part["methods"].items():
            assert f"| {method} | {number(errors['mae'])} |" in card


def test_licences_citations_and_fingerprints_are_there(facts: Facts) -> None:
    card = write_card(facts, PICTURES)
    for words in ("CC0", "doi:10.1038/sdata.2014.22", "ATcT", "CRC Handbook", "NIST Chemistry WebBook", "MIT licence"):
        assert words in card
    for handle in (facts.model, facts.comparison, facts.lineage.checkpoint, facts.lineage.target_features):
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


def test_what_was_held_out_as_a_whole_is_told_by_group_and_with_what_the_source_has_of_it(facts: Facts) -> None:
    told = write_card(dataclasses.replace(facts, metrics={**facts.metrics, "extrapolation": EXTRAPOLATION}), PICTURES)
    assert "## Beyond what was measured" in told
    assert "| 1 (O) | 400 | 30 | 40.0 | 60.0 | 55.0 |" in told
    assert "| N | 90 | 4 | 44.0 | 77.0 | 41.0 |" in told
    assert "The source has all of these elements" in told
    assert "10.1039/C8ME00012C" in told
    said = [
        sentence for sentence in sentences(facts.metrics | {"extrapolation": EXTRAPOLATION}) if "together" in sentence
    ]
    assert len(said) == 3
    assert said[0].startswith("Where all molecules of a cluster are held out together, transfer errs by 50 kJ/mol")
    assert said[1].startswith("Where all molecules of a cluster are held out together, on those that the source does")
    assert said[2].startswith("Where all molecules with an element are held out together, transfer errs by 44")
    assert said[0].endswith("The source's model as it is errs by 55.0 kJ/mol, for comparison.")
    assert said[2].endswith("The source's model as it is errs by 41.0 kJ/mol, less than both.")
    assert all(sentence in told for sentence in said)


def test_an_element_that_the_source_lacks_is_named(facts: Facts) -> None:
    source, target = facts.reports
    report = {**source, "elements": ["C", "H"]}
    metrics = {**facts.metrics, "extrapolation": EXTRAPOLATION}
    card = write_card(dataclasses.replace(facts, metrics=metrics, reports=(report, target)), PICTURES)
    assert "The source has no N, but all others of these elements" in card


def test_where_nothing_was_held_out_as_a_whole_nothing_is_said_of_it(facts: Facts) -> None:
    assert "Beyond what was measured" not in write_card(facts, PICTURES)


def test_a_model_from_scratch_does_not_claim_to_have_learnt_from_the_source(compared: Any, facts: Facts) -> None:
    metrics = json.loads(json.dumps(compared.metrics)) | {
        "best": {"method": "scratch", "frozen": 0, "parts": [], "inner_mae": {}}
    }
    card = write_card(Facts(**{**vars(facts), "metrics": metrics}), PICTURES)
    assert "It learnt from 600 measured values (chemicals) alone" in card
    assert "training from scratch had the least error" in card


def test_the_dashboard_gets_the_pictures_inside_and_no_front_matter(facts: Facts) -> None:
    shown = for_dashboard(write_card(facts, PICTURES), {name: picture.png for name, picture in PICTURES.items()})
    assert shown.startswith("# ")
    assert "](data:image/png;base64,b25l)" in shown
    assert "](data:image/png;base64,dHdv)" in shown
    assert ".png)" not in shown
