"""What a recipe may say: every field with its meaning, its unit and its bounds."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)


class Section(BaseModel):
    """A part of a recipe: unknown fields are refused, and nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Property(Section):
    """The property to predict; source and target must both give it in this unit."""

    name: str = Field(description="What is predicted, in words, with its conditions.")
    symbol: str = Field(description="Its symbol, for axes and tables.")
    unit: Literal["kJ/mol"] = Field(description="Unit of every value, error and figure.")


class Qm9(Section):
    """QM9: B3LYP/6-31G(2df,p) enthalpies of 130,831 molecules (10.1038/sdata.2014.22), from the package qm9pack."""

    database: Literal["qm9"]


class Chemicals(Section):
    """Measured and evaluated gas-phase enthalpies of formation, from the package chemicals."""

    database: Literal["chemicals"]
    tables: Annotated[tuple[Literal["ATcT", "CRC", "WebBook"], ...], Field(min_length=1)] = Field(
        description="The tables to read; where several hold a molecule, the value of the first one is taken."
    )


Database = Annotated[Qm9 | Chemicals, Field(discriminator="database")]


class Rules(Section):
    """What the data themselves must satisfy; a row is never rejected for a model's error on it."""

    per_atom: tuple[float, float] = Field(
        description="Least and greatest value per atom that a molecule can have, in the unit of the property."
    )
    duplicates: Literal["lowest", "agree"] = Field(
        description="Several records of one molecule: keep the lowest (computed isomers that share a graph), or "
        "keep the first table's if all agree and reject the molecule if not (measurements)."
    )
    tolerance: PositiveFloat | None = Field(
        default=None,
        description="Greatest difference between records that agree, and between a gas-phase value and the same "
        "table's condensed-phase value plus its enthalpy of vaporization or sublimation; in the unit of the property.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.per_atom[0] >= self.per_atom[1]:
            raise ValueError("per_atom must be [least, greatest]")
        if (self.duplicates == "agree") != (self.tolerance is not None):
            raise ValueError("tolerance belongs to duplicates: agree, and only to it")
        return self


class Data(Section):
    """A table to learn from: where it comes from and what its rows must satisfy."""

    data: Database
    rules: Rules


class Estate(Section):
    """Kier-Hall electrotopological-state indices: counts and sums of 79 atom types (10.1021/ci00028a014)."""

    kind: Literal["estate"]
    topology: bool = Field(
        description="Add counts of rings by size, of the atoms they share and of conjugated bonds, to which atom types "
        "are blind: the corrections of group additivity (10.1021/cr60259a002)."
    )


class Residual(Section):
    """A residual multilayer perceptron: an input layer, then blocks of normalisation and two linear layers."""

    kind: Literal["residual"]
    width: PositiveInt = Field(description="Units of each layer.")
    blocks: PositiveInt = Field(description="Number of residual blocks.")

    @property
    def layers(self) -> int:
        """The layers of the trunk."""
        return 1 + self.blocks


class ElemNet(Section):
    """The 17 layers of ElemNet as published (10.1038/s41598-018-35934-y), with ReLU and dropout."""

    kind: Literal["elemnet"]
    layers: ClassVar[int] = 16


Network = Annotated[Residual | ElemNet, Field(discriminator="kind")]


class Pretraining(Section):
    """How the network learns the source."""

    epochs: PositiveInt = Field(description="Passes over the training rows, the length of the one-cycle schedule.")
    batch: PositiveInt = Field(description="Rows per step.")
    rate: PositiveFloat = Field(description="Peak learning rate of AdamW.")
    decay: float = Field(ge=0, description="Weight decay of AdamW.")
    sums: float = Field(
        ge=0,
        description="Rows added that are sums of two or three molecules, per row of the source: they teach the network "
        "that the property is extensive, which a source of small molecules alone does not.",
    )
    validation: float = Field(gt=0, lt=0.5, description="Fraction of the molecules kept aside to stop early.")
    patience: PositiveInt = Field(description="Epochs without improvement on the validation rows before it stops.")
    seed: int = Field(ge=0, description="Seed of the weights, the split and the order of the rows.")


class Transfer(Section):
    """How networks are fitted on the target, fine-tuned and from scratch alike."""

    freeze: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = Field(
        description="Numbers of first layers to freeze that are tried; the choice is made inside the training folds."
    )
    epochs: PositiveInt = Field(description="Passes over the training rows when fine-tuning.")
    scratch_epochs: PositiveInt = Field(description="Passes over the training rows from scratch.")
    batch: PositiveInt = Field(description="Rows per step.")
    rate: PositiveFloat = Field(description="Peak learning rate of AdamW when fine-tuning.")
    scratch_rate: PositiveFloat = Field(description="Peak learning rate of AdamW from scratch.")
    decay: float = Field(ge=0, description="Weight decay of AdamW.")
    members: PositiveInt = Field(description="Networks averaged in each fit, of different seeds.")
    seed: int = Field(ge=0, description="Seed of the order of the rows and of new weights.")


class Evaluation(Section):
    """How the methods are compared on the target."""

    folds: int = Field(ge=2, description="Folds of the cross-validation; a molecule's records stay in one fold.")
    sizes: tuple[PositiveInt, ...] = Field(
        description="Sizes of the training set in the learning curve, in rows; the full size is always added."
    )
    draws: PositiveInt = Field(
        default=1,
        description="Training sets drawn at each size but the full one, in each fold, if there are rows for so many; "
        "what a few rows teach depends on which they are.",
    )
    seed: int = Field(ge=0, description="Seed of the folds, of the smaller training sets and of the bootstrap.")


class Recipe(Section):
    """Which source, target, features, network, transfer and evaluation make a model."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{2,62}$", description="Lower case, digits and dashes.")
    title: str = Field(description="One line for people.")
    property: Property
    source: Data
    target: Data
    features: Estate
    network: Network
    pretraining: Pretraining
    transfer: Transfer
    evaluation: Evaluation

    @field_validator("transfer")
    @classmethod
    def _has_layers_to_freeze(cls, transfer: Transfer, info: ValidationInfo) -> Transfer:
        network = info.data.get("network")  # None if it is wrong itself
        if network and max(transfer.freeze) > network.layers:
            raise ValueError(f"freeze must be at most {network.layers}, the layers of the network's trunk")
        return transfer
