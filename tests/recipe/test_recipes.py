"""A recipe is understood as it was meant, or refused with the field and the reason."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tasks.errors import MatliftError
from tasks.recipe import RECIPES, Recipe, load_recipe, recipe_names

MISSING = object()
SHIPPED = "qm9-webbook"
FAULTS_OF_THE_SECTION = {
    *("source.data.database", "target.data.database", "network.kind", "features.kind"),
    *("target.rules.tolerance", "source.rules.per_atom", "target.rules.per_atom"),
}
EXTRAPOLATION = {"evaluation.clusters", "evaluation.elements"}

words = st.text(max_size=8)
yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def shipped() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((RECIPES / f"{SHIPPED}.yaml").read_text(encoding="utf-8"))
    return content


def with_field(content: dict[str, Any], place: str, value: object) -> dict[str, Any]:
    """Return the content with another value at a place like `network.width`, or without the field."""
    changed = deepcopy(content)
    *sections, field = place.split(".")
    section = changed
    for name in sections:
        section = section[name]
    if value is MISSING:
        del section[field]
    else:
        section[field] = value
    return changed


def places(content: dict[str, Any], start: str = "") -> Iterator[str]:
    """Every field of a recipe, sections included, as `network.width`."""
    for name, value in content.items():
        yield f"{start}{name}"
        if isinstance(value, dict):
            yield from places(value, f"{start}{name}.")


def sections(model: type[BaseModel], found: set[type[BaseModel]] | None = None) -> set[type[BaseModel]]:
    """A model and all the models in its fields."""
    found = set() if found is None else found
    if model not in found:
        found.add(model)
        for field in model.model_fields.values():
            for inner in models_in(field.annotation):
                sections(inner, found)
    return found


def models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in models_in(part)]


def is_discriminator(model: type[BaseModel], name: str) -> bool:
    """Whether a field only says which of several sections this one is: the section's docstring says the same."""
    choices = (field for section in sections(Recipe) for field in section.model_fields.values() if field.discriminator)
    return any(field.discriminator == name and model in models_in(field.annotation) for field in choices)


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[[object], str]:
    """What is said when a file of this content is refused, without the name of the file."""

    def refuse(content: object) -> str:
        file = tmp_path / "recipe.yaml"
        file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        with pytest.raises(MatliftError) as refused:
            load_recipe(str(file))
        said = str(refused.value)
        assert said.startswith(f"{file} is not a recipe: ")
        return said.removeprefix(f"{file} is not a recipe: ")

    return refuse


@pytest.mark.parametrize("name", recipe_names())
def test_the_recipes_that_come_with_matlift_are_valid_and_named_like_their_files(name: str) -> None:
    assert load_recipe(name).name == name


def test_the_recipe_says_what_the_file_says() -> None:
    recipe, content = load_recipe(SHIPPED), shipped()
    dumped = recipe.model_dump(mode="json", exclude_defaults=True)
    assert dumped == content
    assert recipe.property.symbol == "ΔfH°(g)"
    assert (recipe.source.data.database, recipe.target.data.database) == ("qm9", "chemicals")


def test_a_recipe_is_found_by_its_name_and_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_bytes((RECIPES / f"{SHIPPED}.yaml").read_bytes())
    assert load_recipe(str(file)) == load_recipe(SHIPPED)
    assert SHIPPED in recipe_names()


def test_a_name_that_no_recipe_has_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(MatliftError, match=rf"^There is no recipe named alloys and no such file; .*\b{SHIPPED}\b.*\.$"):
        load_recipe("alloys")


@pytest.mark.parametrize("network", [{"kind": "elemnet"}, {"kind": "residual", "width": 64, "blocks": 1}])
def test_a_dumped_recipe_loads_again_to_the_same_recipe(tmp_path: Path, network: dict[str, object]) -> None:
    recipe = Recipe.model_validate(with_field(with_field(shipped(), "network", network), "transfer.freeze", [0, 1]))
    file = tmp_path / "dumped.yaml"
    file.write_text(yaml.safe_dump(recipe.model_dump(mode="json")), encoding="utf-8")
    assert load_recipe(str(file)) == recipe
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("surprise", 1, "surprise: Extra inputs are not permitted (got 1)"),
        ("evaluation.surprise", 1, "evaluation.surprise: Extra inputs are not permitted (got 1)"),
        ("title", MISSING, "title: Field required"),
        ("transfer.members", MISSING, "transfer.members: Field required"),
        ("title", 7, "title: Input should be a valid string (got 7)"),
        ("name", "QM9 Webbook", "name: String should match pattern"),
        ("property.unit", "cal", "property.unit: Input should be 'kJ/mol', 'kJ/mol/atom',"),
        ("property.unit", "K", "property: Value error, extensive must be false for a property in K"),
        ("property.extensive", False, "the file: Value error, pretraining.sums must be 0"),
        ("features.statistics", ["sum", "maximum"], "the file: Value error, pretraining.sums must be 0 for features"),
        ("pretraining.epochs", "many", "pretraining.epochs: Input should be a valid integer"),
        ("pretraining.epochs", 0, "pretraining.epochs: Input should be greater than 0 (got 0)"),
        ("pretraining.epochs", 1.5, "pretraining.epochs: Input should be a valid integer"),
        ("pretraining.validation", 0.5, "pretraining.validation: Input should be less than 0.5 (got 0.5)"),
        ("pretraining.validation", 0, "pretraining.validation: Input should be greater than 0 (got 0)"),
        ("pretraining.decay", -1.0, "pretraining.decay: Input should be greater than or equal to 0 (got -1.0)"),
        ("pretraining.rate", 0, "pretraining.rate: Input should be greater than 0 (got 0)"),
        ("pretraining.seed", -1, "pretraining.seed: Input should be greater than or equal to 0 (got -1)"),
        ("evaluation.folds", 1, "evaluation.folds: Input should be greater than or equal to 2 (got 1)"),
        ("evaluation.sizes", [50, 0], "evaluation.sizes.1: Input should be greater than 0 (got 0)"),
        ("transfer.freeze", [], "transfer.freeze: Tuple should have at least 1 item"),
        ("transfer.freeze", 3, "transfer.freeze: Input should be a valid tuple (got 3)"),
        ("transfer.freeze", [0, -1], "transfer.freeze.1: Input should be greater than or equal to 0 (got -1)"),
        ("transfer.freeze", [0, 5], "transfer: Value error, freeze must be at most 4, the layers of the network's"),
        ("pretraining.rate", float("inf"), "pretraining.rate: Input should be a finite number (got inf)"),
        ("target.rules.per_atom", [float("nan"), 200], "target.rules.per_atom.0: Input should be a finite number"),
        ("features.topology", "maybe", "features.estate.topology: Input should be a valid boolean"),
        ("network.kind", "transformer", "network: Input tag 'transformer' found using 'kind' does not match any of"),
        ("network.kind", MISSING, "network: Unable to extract tag using discriminator 'kind'"),
        ("source.data.database", "pubchem", "source.data: Input tag 'pubchem' found using 'database'"),
        ("source.rules.of", "compositions", "the file: Value error, rules.of must be the same"),
        ("features", {"kind": "fractions"}, "the file: Value error, features of kinds fractions and statistics belong"),
        (
            "features",
            {"kind": "statistics"},
            "the file: Value error, features of kinds fractions and statistics belong",
        ),
        ("features", {"kind": "statistics", "elements": ["Fe"]}, "features.statistics.elements: Extra inputs are not"),
        (
            "features",
            {"kind": "fractions", "elements": ["Fe", "Xx"]},
            "features.fractions.elements: Value error, Xx: no",
        ),
        ("target.rules.per_atom", [-200], "target.rules.per_atom.1: Field required"),
        ("source.rules.per_atom", MISSING, "source.rules: Value error, per_atom or between must say"),
        ("target.rules.per_atom", [200, -200], "target.rules: Value error, per_atom must be [least, greatest]"),
        (
            "target.rules.duplicates",
            "newest",
            "target.rules.duplicates: Input should be 'lowest', 'agree', 'median' or",
        ),
        ("target.rules.tolerance", 0, "target.rules.tolerance: Input should be greater than 0 (got 0)"),
        ("target.rules.tolerance", MISSING, "target.rules: Value error, tolerance belongs to duplicates: agree"),
        ("source.rules.tolerance", 20, "source.rules: Value error, tolerance belongs to duplicates: agree"),
    ],
)
def test_a_wrong_field_is_refused_with_its_path_and_the_reason(
    refusal: Callable[[object], str], place: str, value: object, reason: str
) -> None:
    said = refusal(with_field(shipped(), place, value))
    assert said.startswith(reason)
    assert said.endswith(".")
    assert "\n" not in said
    assert "; " not in said  # one field, one complaint


@pytest.mark.parametrize(
    ("place", "value", "path", "reason"),
    [
        ("network.width", 0, ("network", "width"), "Input should be greater than 0 (got 0)"),
        ("network.depth", 3, ("network", "depth"), "Extra inputs are not permitted (got 3)"),
        ("target.data.tables", [], ("target.data", "tables"), "Tuple should have at least 1 item"),
        ("target.data.tables", ["ATcT", "Wiki"], ("target.data", "tables.1"), "Input should be 'ATcT', 'CRC' or"),
    ],
)
def test_a_wrong_field_of_one_kind_of_section_is_refused_too(
    refusal: Callable[[object], str], place: str, value: object, path: tuple[str, str], reason: str
) -> None:
    said = refusal(with_field(shipped(), place, value))
    assert said.startswith(path[0])
    assert f".{path[1]}: {reason}" in said


def test_all_wrong_fields_are_told_at_once(refusal: Callable[[object], str]) -> None:
    said = refusal(with_field(with_field(shipped(), "title", MISSING), "evaluation.folds", 1))
    assert said == "title: Field required; evaluation.folds: Input should be greater than or equal to 2 (got 1)."


@pytest.mark.parametrize("place", [place for place in places(shipped()) if place not in EXTRAPOLATION])
def test_no_field_can_be_left_out_but_the_tolerance_and_what_is_held_out_to_extrapolate(
    refusal: Callable[[object], str], place: str
) -> None:
    said = refusal(with_field(shipped(), place, MISSING)).replace(".residual.", ".").replace(".chemicals.", ".")
    said = said.replace(".estate.", ".")
    section = place.rpartition(".")[0]
    assert said.startswith(f"{section if place in FAULTS_OF_THE_SECTION else place}: ")


@pytest.mark.parametrize("content", [None, [], "qm9-webbook", 7, [{"name": SHIPPED}]])
def test_a_file_that_holds_no_fields_is_refused(refusal: Callable[[object], str], content: object) -> None:
    assert refusal(content).startswith("the file: Input should be a valid dictionary")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name: [qm9", "is not valid YAML: while parsing a flow sequence"),
        (b"name: \xff\xfe", "cannot be read: 'utf-8' codec can't decode"),
        (b"title: 2024-99-99", "is not valid YAML: month must be in 1..12"),
        (b"[" * 3000, "is not valid YAML: maximum recursion depth exceeded"),
        (b"name: !!python/object/apply:os.getcwd []", "is not valid YAML: could not determine a constructor"),
    ],
)
def test_a_file_that_is_no_plain_yaml_is_refused_in_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_bytes(content)
    with pytest.raises(MatliftError) as refused:
        load_recipe(str(file))
    said = str(refused.value)
    assert said.startswith(f"{file} {reason}")
    assert said.endswith(".")
    assert "\n" not in said


@many
@given(yaml_values)
def test_whatever_a_file_holds_it_is_refused_in_words(refusal: Callable[[object], str], content: object) -> None:
    assert refusal(content).endswith(".")


@many
@given(st.sampled_from(list(places(shipped()))), yaml_values)
def test_whatever_a_field_holds_it_is_taken_or_refused_by_its_section(
    tmp_path: Path, place: str, value: object
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(with_field(shipped(), place, value)), encoding="utf-8")
    try:
        assert load_recipe(str(file)).name
    except MatliftError as refused:
        assert place.partition(".")[0] in str(refused).removeprefix(str(file))  # noqa: PT017 -- either is right


def test_a_recipe_cannot_be_changed_after_it_was_validated() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_recipe(SHIPPED).network.width = 0  # type: ignore[union-attr, misc]


FIELDS = [
    pytest.param(model, name, field, id=f"{model.__name__}.{name}")
    for model in sorted(sections(Recipe), key=lambda model: model.__name__)
    for name, field in model.model_fields.items()
]


@pytest.mark.parametrize(("model", "name", "field"), FIELDS)
def test_every_field_says_what_it_means(model: type[BaseModel], name: str, field: FieldInfo) -> None:
    said = [field.description] if field.description else [inner.__doc__ for inner in models_in(field.annotation)]
    if is_discriminator(model, name) or name == "kind":
        said = [model.__doc__]
    assert said
    assert all(words and words.endswith(".") for words in said)
