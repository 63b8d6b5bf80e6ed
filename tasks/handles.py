"""Handles: small names for objects in the store, made from the fingerprint of everything that made the object."""

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel


@dataclass(frozen=True)
class Handle:
    """Names one immutable object in the store.

    Attributes:
        fingerprint: 16 hexadecimal digits of the SHA-256 of all that made the object.
        kind: the folder of the store in which objects of this class live.
    """

    fingerprint: str
    kind: ClassVar[str]

    @property
    def path(self) -> str:
        """The object's folder, relative to the root of the store."""
        return f"{self.kind}/{self.fingerprint}"

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True)
class Raw(Handle):
    """A table as its database gave it, typed, with one row per record."""

    kind: ClassVar[str] = "raw"


@dataclass(frozen=True)
class OfRecipe(Handle):
    """Names an object that belongs to a recipe.

    Attributes:
        recipe: its name.
    """

    recipe: str

    @property
    def path(self) -> str:
        """The object's folder, relative to the root of the store."""
        return f"{self.kind}/{self.recipe}/{self.fingerprint}"


@dataclass(frozen=True)
class Landing(OfRecipe):
    """A file of measurements that was landed for a recipe: its good rows, and beside them the rejected ones."""

    kind: ClassVar[str] = "landings"


@dataclass(frozen=True)
class Snapshot(Handle):
    """A curated table: one row per accepted material, and beside it the rejected rows with their reasons."""

    kind: ClassVar[str] = "snapshots"


@dataclass(frozen=True)
class Features(Handle):
    """The feature matrix of one snapshot, with names, element counts, values and groups."""

    kind: ClassVar[str] = "features"


@dataclass(frozen=True)
class Part(Handle):
    """The unscaled features of some items: SMILES or formulas.

    Attributes:
        of: the fingerprint of all that computes them: code, parameters, libraries.
    """

    of: str
    kind: ClassVar[str] = "parts"

    @property
    def path(self) -> str:
        """The object's folder, relative to the root of the store."""
        return f"{self.kind}/{self.of}/{self.fingerprint}"


@dataclass(frozen=True)
class Checkpoint(Handle):
    """A network trained on the source, with the state that turns features into its inputs."""

    kind: ClassVar[str] = "checkpoints"


@dataclass(frozen=True)
class Comparison(Handle):
    """The methods compared on the same folds: metrics, held-out predictions, learning curve."""

    kind: ClassVar[str] = "comparisons"


@dataclass(frozen=True)
class Model(Handle):
    """The networks of the method chosen, fitted on the whole target."""

    kind: ClassVar[str] = "models"


@dataclass(frozen=True)
class Bundle(OfRecipe):
    """Everything needed to predict, published under the recipe's name."""

    kind: ClassVar[str] = "bundles"


@dataclass(frozen=True)
class Shard(Handle):
    """Some candidates, SMILES or formulas, in one column."""

    kind: ClassVar[str] = "shards"


@dataclass(frozen=True)
class Candidates(Handle):
    """The shards of all candidates that a table, a database or a rule gives, in order."""

    kind: ClassVar[str] = "candidates"


@dataclass(frozen=True)
class Scores(Part):
    """What a published model predicts of the candidates of one shard; `of` is the fingerprint of the bundle."""

    kind: ClassVar[str] = "scores"


@dataclass(frozen=True)
class Screening(Handle):
    """The best of all candidates by what a published model predicts of them."""

    kind: ClassVar[str] = "screenings"


@dataclass(frozen=True)
class Lineage:
    """All that a model and its comparison were made from, in the order in which it was made.

    Attributes:
        auxiliary: the features of the other computed tables.
        auxiliary_tables: what those were made from, tables and snapshots.
    """

    source_raw: Raw
    target_raw: Raw
    source: Snapshot
    target: Snapshot
    source_features: Features
    target_features: Features
    checkpoint: Checkpoint
    auxiliary: tuple[Features, ...] = ()
    auxiliary_tables: tuple[Raw | Snapshot, ...] = ()

    def objects(self) -> dict[str, tuple[Handle, ...]]:
        """Return the objects by what they are."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: found if isinstance(found, tuple) else (found,) for name, found in fields.items()}


FORMULAS = ("tasks.formulas",)  # for the stages that read formulas
PORPHYRINS = ("tasks.porphyrins",)  # for those that look for the core of a dye


def fingerprint(stage: str, *inputs: Any, libraries: tuple[str, ...] = (), modules: tuple[str, ...] = ()) -> str:
    """Return the name of what `stage` makes of `inputs`: 16 hexadecimal digits.

    Args:
        stage: the stage's package, `tasks.learn` say, or one module of it, `tasks.fetch.qm9` say; the bytes of the
            rooms or of the module are part of the name, so that a change of code makes a new object.
        inputs: handles, pydantic models and JSON values that determine the output.
        libraries: distributions whose version can change the output.
        modules: modules of matlift outside of the stage whose code can change it.
    """
    versions = {name: importlib.metadata.version(name) for name in libraries}
    code = [_code(stage), *map(_code, modules)]
    text = json.dumps([stage, code, versions, inputs], default=_plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _code(stage: str) -> str:
    """Return the SHA-256 of a module, or of the rooms of a package; its door only calls them."""
    spec = importlib.util.find_spec(stage)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(stage)
    file = Path(spec.origin)
    package = spec.submodule_search_locations is not None
    rooms = sorted(path for path in file.parent.glob("*.py") if path != file) if package else [file]
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in rooms)).hexdigest()


def _plain(value: Any) -> Any:
    """Turn what JSON does not know into what it does."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Handle):
        return {"kind": value.kind, **dataclasses.asdict(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} cannot be part of a fingerprint")
