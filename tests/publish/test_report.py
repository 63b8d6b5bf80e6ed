"""The report says what the metrics say, needs nothing but itself, and lets nobody's names do harm."""

import base64
import dataclasses
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.publish.card import Facts
from tasks.publish.charts import periodic_table
from tasks.publish.figures import Picture
from tasks.publish.groups import Group, by_content, contents, spelled
from tasks.publish.page import table
from tasks.publish.report import write_report
from tasks.publish.rows import address, written
from tasks.publish.words import gain, headline, number, rivals, unseen, verdict
from tasks.recipe import load_recipe

PNG = b"\x89PNG, as far as the page can tell"
PICTURES = {"parity.png": Picture(PNG, "Parity: …"), "learning-curve.png": Picture(PNG, "Curve: …")}
DIFFERENCE = {"mean": -2.5, "low": -4.0, "high": -1.0}
INTERVALS = {
    "level": 0.9,
    "coverage": 0.8967,
    "width": 123.4,
    "rank_correlation": 0.456,
    "calibration": [{"level": level, "coverage": level - 0.01} for level in (0.1, 0.3, 0.5, 0.7, 0.9, 0.95)],
}
EXTRAPOLATION = {
    "clusters": {
        "groups": [
            {"name": "acids & salts", "rows": 40, "transfer": 31.0, "scratch": 44.0},
            {"name": "rings", "rows": 30, "transfer": 61.0, "scratch": 52.0},
        ],
        "transfer": 43.9,
        "scratch": 47.4,
        "difference": DIFFERENCE,
    }
}
HOSTILE = '"><script>alert(1)</script><img src=http://evil.example/x.png onerror=alert(2)>'


class Parsed(HTMLParser):
    """A page taken apart: its tags with their attributes, and what a reader sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._text: list[str] = []
        self.feed(page)
        self.text = " ".join("".join(self._text).replace("\N{NO-BREAK SPACE}", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._text.append(" " if tag in {"td", "br", "p", "li", "div"} else "")

    def handle_data(self, data: str) -> None:
        self._text.append(data)

    def all(self, tag: str, attribute: str) -> list[str]:
        return [attributes[attribute] for name, attributes in self.tags if name == tag and attribute in attributes]


def pictures_of(page: str) -> list[bytes]:
    return [base64.b64decode(source.split(",")[1]) for source in Parsed(page).all("img", "src")]


@pytest.fixture(scope="module")
def rows(compared: Any) -> pd.DataFrame:
    """The molecules of the snapshot, in another order and with more of them than there are predictions."""
    records = compared.predictions["record"].tolist()
    smiles = [("CCO", "c1ccccc1O", "C#N", "CC(=O)OC")[place % 4] for place in range(len(records))]
    frame = pd.DataFrame({"record": records, "name": "a molecule", "smiles": smiles, "formula": "C2H6O"})
    return pd.concat([frame, frame.head(1).assign(record="another")]).iloc[::-1].reset_index(drop=True)


@pytest.fixture(scope="module")
def complete(facts: Facts) -> Facts:
    """The facts of a comparison that has intervals and has extrapolated."""
    rows = facts.predictions.copy()
    rows["spread"] = 20 + (rows["fine-tune"] - rows["value"]).abs() / 2
    rows["low"], rows["high"] = rows["fine-tune"] - 60, rows["fine-tune"] + 60
    rows["distance"] = np.linspace(0.5, 2, len(rows))
    rows["unseen"] = np.where(np.arange(len(rows)) % 50, "", "Po")
    metrics = {**facts.metrics, "intervals": INTERVALS, "extrapolation": EXTRAPOLATION}
    return dataclasses.replace(facts, metrics=metrics, predictions=rows)


@pytest.fixture(scope="module")
def page(complete: Facts, rows: pd.DataFrame) -> str:
    """The report of all there can be."""
    return write_report(complete, rows, PICTURES)


def test_it_needs_nothing_but_itself(page: str) -> None:
    parsed = Parsed(page)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in parsed.tags}
    assert all(source.startswith("data:image/") for source in parsed.all("img", "src"))
    assert not [
        name for _, attributes in parsed.tags for name in attributes if name.startswith("on") or name == "srcset"
    ]
    assert "@import" not in page
    assert "url(" not in page
    for picture in pictures_of(page):
        assert not re.search(rb'href="(?!#|data:)', picture)
        assert b"<script" not in picture
        assert b"@import" not in picture


def test_every_link_on_the_page_leads_somewhere(page: str) -> None:
    parsed = Parsed(page)
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    inside = [link[1:] for link in parsed.all("a", "href") if link.startswith("#")]
    assert len(ids) == len(set(ids))
    assert set(inside) <= set(ids)
    beside = {link for link in parsed.all("a", "href") if not link.startswith(("#", "https://"))}
    assert beside == {"metrics.json", "predictions.parquet", "recipe.yaml", "README.md", "manifest.json"}


def test_the_same_numbers_give_the_same_bytes(complete: Facts, rows: pd.DataFrame, page: str) -> None:
    again = dataclasses.replace(complete, metrics=json.loads(json.dumps(complete.metrics)))
    assert write_report(again, rows.iloc[::-1], PICTURES) == page


def test_it_begins_with_the_verdict(facts: Facts, page: str) -> None:
    said = verdict(facts.metrics, facts.metrics["differences"]["transfer - scratch"])
    assert said.startswith("Transfer is better by 2")
    text = Parsed(page).text
    assert said in text[: text.index("What was trained on what")]


def test_it_says_the_numbers_of_the_metrics(complete: Facts, page: str) -> None:
    metrics = complete.metrics
    text = Parsed(page).text
    for sentence in (headline(metrics), rivals(metrics), unseen(metrics), gain(metrics)):
        assert sentence in text
    for part in (metrics, metrics["not in source"]):
        for method, errors in part["methods"].items():
            row = f"{method} {number(errors['mae'])} "
            assert row in text
            assert all(number(errors[name]) in text for name in ("median", "rmse"))
    for said in ("89.7 %", "123 kJ/mol wide", "0.46", "errs by 43.9 kJ/mol", "47.4", "1,200"):
        assert said in text


def test_data_licences_and_citations_are_there(page: str) -> None:
    text = Parsed(page).text
    for said in ("QM9", "CC0", "CRC (588), landed:1a2b3c4d (12)", "1,140 rows", "11.2 kJ/mol on 60 others"):
        assert said in text
    assert 'href="https://doi.org/10.1038/sdata.2014.22"' in page


@pytest.mark.parametrize("part", ["intervals", "extrapolation"])
def test_a_part_that_is_not_there_has_no_section(complete: Facts, rows: pd.DataFrame, page: str, part: str) -> None:
    titles = {"intervals": "How sure a prediction is", "extrapolation": "Extrapolation"}
    assert all(title in page for title in titles.values())
    without = dataclasses.replace(complete, metrics={**complete.metrics, part: None})
    less = write_report(without, rows, PICTURES)
    assert [name for name, title in titles.items() if title not in less] == [part]


def test_plain_metrics_and_predictions_are_enough(facts: Facts, rows: pd.DataFrame) -> None:
    alone = {**facts.metrics, "not in source": None}
    less = write_report(dataclasses.replace(facts, metrics=alone), rows, PICTURES)
    assert "The source has all of the molecules" in less
    assert "90&nbsp;% interval" not in less
    assert less.count('alt="structure of a molecule"') == 15 + 8


def test_names_of_others_do_no_harm(complete: Facts, rows: pd.DataFrame) -> None:
    predictions = complete.predictions.copy()
    place = (predictions["transfer"] - predictions["value"]).abs().idxmax()
    renamed = rows.assign(name=np.where(rows["record"] == predictions.loc[place, "record"], HOSTILE, rows["name"]))
    renamed["record"] = renamed["record"].replace({predictions.loc[place, "record"]: f"WebBook:{HOSTILE}"})
    predictions.loc[place, ["record", "key", "unseen"]] = f"WebBook:{HOSTILE}", HOSTILE, HOSTILE
    cluster = {
        **EXTRAPOLATION["clusters"],
        "groups": [{"name": name, "rows": 9, "transfer": 1, "scratch": 2} for name in (HOSTILE, r"$\frac{")],
    }
    metrics = {**complete.metrics, "extrapolation": {HOSTILE: cluster}}
    page = write_report(dataclasses.replace(complete, predictions=predictions, metrics=metrics), renamed, PICTURES)
    parsed = Parsed(page)
    assert "script" not in {tag for tag, _ in parsed.tags}
    assert all(source.startswith("data:image/") for source in parsed.all("img", "src"))
    assert not any("evil" in link for link in parsed.all("a", "href"))
    assert parsed.text.count(HOSTILE) >= 4


def test_intervals_stand_beside_the_predictions_of_the_published_method_alone(page: str) -> None:
    lost, outliers = page.split("largest errors make")
    interval = '<th class="n">90&nbsp;% interval</th>'
    assert '<th class="n">transfer</th>' in lost
    assert interval not in lost
    assert '<th class="n">fine-tune</th>' in outliers
    assert interval in outliers


def test_where_transfer_loses_it_says_so_and_shows_the_rows(
    facts: Facts, rows: pd.DataFrame, make_comparison: Callable[..., Any]
) -> None:
    lost = make_comparison({50: (60, 50), None: (60, 30)})
    losing = dataclasses.replace(facts, metrics=lost.metrics, predictions=lost.predictions)
    text = Parsed(write_report(losing, rows, PICTURES)).text
    assert "Transfer loses by " in text
    assert "At no size of the training set" in text
    assert "Atom types for which scratch errs by less" in text
    loss = (lost.predictions["transfer"] - lost.predictions["value"]).abs() - (
        lost.predictions["scratch"] - lost.predictions["value"]
    ).abs()
    assert f"Scratch is closer to the measurement for {100 * (loss > 0).mean():.0f} %" in text
    shown = text[text.index("Molecules that lost most") : text.index("The worst outliers", text.index("lost most"))]
    assert lost.predictions.loc[loss.idxmax(), "record"] in shown


def test_the_worst_outliers_are_in_order_with_record_value_prediction_and_interval(complete: Facts, page: str) -> None:
    shown = page[page.index("largest errors make") :]
    missed = (complete.predictions["fine-tune"] - complete.predictions["value"]).abs()
    worst = missed.sort_values(ascending=False).index[:15]
    assert re.findall(r'<tr id="row-(\d+)">', shown) == [str(place) for place in worst]
    first = complete.predictions.loc[worst[0]]
    values = [f"{first[name]:,.0f}".replace("-", "\N{MINUS SIGN}") for name in ("value", "fine-tune", "low", "high")]
    text = Parsed(shown).text
    assert all(value in text[: text.index(f"row {worst[1]}")] for value in (first["record"], *values))


def test_elements_of_compositions_stand_on_their_periodic_table(facts: Facts) -> None:
    recipe = load_recipe("formation-energy")
    metals = ("Li", "Na", "K", "Mg", "Ca", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Al", "La", "U", "He")
    anions = ("O", "S", "F")
    formulas = [f"{metals[place % 18]}{anions[place % 7 % 3]}" for place in range(len(facts.predictions))]
    rows = pd.DataFrame({"record": facts.predictions["record"], "name": None, "smiles": None, "formula": formulas})
    history = {**facts.history, "auxiliary_rows": [95118, 239125]}
    of = dataclasses.replace(facts, recipe=recipe, history=history, metrics={**facts.metrics, "of": "compositions"})
    page = write_report(of, rows, PICTURES)
    assert "auxiliary: materials-project" in page
    assert "95,118" in page
    assert "Error by element" in page
    assert "Of the 21 elements" in page
    assert 'alt="Mean absolute error of formation energy' in page


def test_errors_by_content_are_those_of_the_rows_that_contain_it() -> None:
    predictions = pd.DataFrame({"value": [0.0, 0, 0], "transfer": [1.0, -2, 3], "scratch": [2.0, 2, -5]})
    contained = contents(pd.DataFrame({"formula": ["NaCl", "Na2O", "Fe2O3"]}), "compositions")
    groups = {group.name: group[1:] for group in by_content(predictions, contained, "transfer")}
    assert groups == {"Na": (2, 1.5, 2), "O": (2, 2.5, 3.5), "Cl": (1, 1, 2), "Fe": (1, 3, 5)}


def test_atom_types_are_found_and_drawn() -> None:
    contained = contents(pd.DataFrame({"smiles": ["CCO", "c1ccccc1", "C#N"]}), "molecules")
    assert {name: found.tolist() for name, found in contained.items()} == {
        "\N{EN DASH}CH₃ (sCH3)": [True, False, False],
        "\N{EN DASH}CH₂\N{EN DASH} (ssCH2)": [True, False, False],
        "≡CH (tCH)": [False, False, True],
        "aromatic CH (aaCH)": [False, True, False],
        "≡N (tN)": [False, False, True],
        "\N{EN DASH}OH (sOH)": [True, False, False],
    }
    assert spelled("aasC") == "aromatic C\N{EN DASH} (aasC)"
    assert spelled("dsssP") == "P (dsssP)"


def test_every_element_has_its_place_on_the_periodic_table() -> None:
    recipe = load_recipe("formation-energy")
    groups = [Group(element, 20, 0.1, 0.2) for element in recipe.features.elements]
    assert periodic_table(groups, recipe.property) == periodic_table(list(groups), recipe.property)
    few = [Group(element, 2, 0.1, 0.2) for element in ("H", "O")]
    assert periodic_table(few, recipe.property).startswith(b"<?xml")


@pytest.mark.parametrize(
    ("record", "page"),
    [
        ("WebBook:64-17-5", "https://webbook.nist.gov/cgi/cbook.cgi?ID=C64175"),
        ("Materials Project:mp-149", "https://next-gen.materialsproject.org/materials/mp-149"),
        ("CRC:64-17-5", None),
        ("measured.csv:12", None),
        ("WebBook:64-17-5&x=<y>", None),
    ],
)
def test_records_are_linked_where_their_database_has_pages(record: str, page: str | None) -> None:
    assert address(record) == page


@pytest.mark.parametrize(
    ("hill", "shown"),
    [
        ("O3Yb2", "Yb<sub>2</sub>O<sub>3</sub>"),
        ("F2Ni", "NiF<sub>2</sub>"),
        ("CH4", "CH<sub>4</sub>"),
        ("As0.85Ga0.15", "Ga<sub>0.15</sub>As<sub>0.85</sub>"),
        ("F2Xe", "XeF<sub>2</sub>"),
    ],
)
def test_formulas_are_written_as_chemists_write_them(hill: str, shown: str) -> None:
    assert written(hill) == shown


def test_numbers_stand_to_the_right_and_text_to_the_left() -> None:
    content = table([{"what": "a<b", "n": "\N{MINUS SIGN}1.5"}, {"what": "c", "n": "more"}, {"what": "d", "n": "2"}])
    assert '<td>a&lt;b</td><td class="n">\N{MINUS SIGN}1.5</td>' in content


def test_errors_that_are_all_expected_to_be_the_same_have_no_rank_correlation(
    complete: Facts, rows: pd.DataFrame
) -> None:
    metrics = {**complete.metrics, "intervals": {**INTERVALS, "rank_correlation": None}}
    said = Parsed(write_report(dataclasses.replace(complete, metrics=metrics), rows, PICTURES)).text
    assert "The expected errors, or the real ones, are all the same." in said
