"""What a recipe may say: every field with its meaning, its unit and its bounds."""

from typing import Annotated, ClassVar, Literal, Self

from ase.data import chemical_symbols
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationInfo, field_validator, model_validator

from tasks.formulas import ELEMENTS
from tasks.recipe.databases import Database
from tasks.recipe.section import Section, Unit

# ElemNet's 86: the first 94 without He, Ne, Ar, Po, At, Rn, Fr, Ra (10.1038/s41598-018-35934-y).
ELEMNET_ELEMENTS = tuple(
    element for element in chemical_symbols[1:95] if element not in {"He", "Ne", "Ar", "Po", "At", "Rn", "Fr", "Ra"}
)

# Those whose properties are all known; of He, Ne, Ar and Rn there is no electronegativity, of At no ionisation energy,
# from Bk on no covalent radius: see tasks.featurize.properties.
DESCRIBED_ELEMENTS = tuple(
    element for element in chemical_symbols[1:97] if element not in {"He", "Ne", "Ar", "At", "Rn"}
)


class Property(Section):
    """The property to predict; what source and target give is brought to this unit."""

    name: str = Field(description="What is predicted, in words, with its conditions.")
    symbol: str = Field(description="Its symbol, for axes and tables.")
    unit: Unit = Field(description="Unit of every value, error and figure.")
    extensive: bool = Field(
        description="Whether it is a sum over the atoms, as the enthalpy of a molecule is, and not an energy per atom "
        "or a band gap. The model is a sum over the atoms, or an average over them, plus what the network learns."
    )

    @model_validator(mode="after")
    def _sums_up(self) -> Self:
        if self.extensive and self.unit in {"kJ/mol/atom", "kcal/mol/atom", "eV/atom", "meV/atom", "K", "degC"}:
            raise ValueError(f"extensive must be false for a property in {self.unit}")
        return self


class Rules(Section):
    """What the data themselves must satisfy; a row is never rejected for a model's error on it."""

    of: Literal["molecules", "compositions", "dyes"] = Field(
        default="molecules",
        description="What a row is: a molecule by its SMILES, a composition by its formula, or a porphyrin dye by its "
        "atoms and their positions.",
    )
    per_atom: tuple[float, float] | None = Field(
        default=None,
        description="Least and greatest value per atom that a molecule can have, in the unit of an extensive property.",
    )
    between: tuple[float, float] | None = Field(
        default=None, description="Least and greatest value that a row can have, in the unit of the property."
    )
    sentinels: tuple[float, ...] = Field(
        default=(),
        description="Numbers, in the unit of the property, by which the database says that it has none: -99999.",
    )
    outliers: PositiveFloat | None = Field(
        default=None,
        description="Greatest distance from the median in units of 1.4826 times the median absolute deviation, over "
        "all rows that pass the other rules; no such rule if not given.",
    )
    duplicates: Literal["lowest", "agree", "median", "weighted"] = Field(
        description="Several records of one material: keep that of the lowest energy, or of the lowest value where no "
        "energy comes with it (computed polymorphs, isomers that share a graph); keep the first table's if all agree "
        "and reject the material if not (measurements); take their median; or their mean, each weighted by the inverse "
        "of its variance (all then need uncertainties)."
    )
    tolerance: PositiveFloat | None = Field(
        default=None,
        description="Greatest difference between records that agree, and between a gas-phase value and the same "
        "table's condensed-phase value plus its enthalpy of vaporization or sublimation; in the unit of the property.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not (self.per_atom or self.between):
            raise ValueError("per_atom or between must say which values are possible")
        for name in ("per_atom", "between"):
            limits = getattr(self, name)
            if limits and limits[0] >= limits[1]:
                raise ValueError(f"{name} must be [least, greatest]")
        if (self.duplicates == "agree") != (self.tolerance is not None):
            raise ValueError("tolerance belongs to duplicates: agree, and only to it")
        return self


class Data(Section):
    """A table to learn from: where it comes from and what its rows must satisfy."""

    data: Database
    rules: Rules


class Auxiliary(Data):
    """Another computed table, of the same property or of one that is related."""

    unit: Unit = Field(description="To which its values are brought.")


EstateStatistic = Literal["count", "sum", "minimum", "maximum"]


class Estate(Section):
    """Kier-Hall electrotopological-state indices of 79 atom types (10.1021/ci00028a014)."""

    kind: Literal["estate"]
    statistics: Annotated[tuple[EstateStatistic, ...], Field(min_length=1)] = Field(
        default=("count", "sum"),
        description="What is taken of the indices of each type's atoms; a type without atoms has 0.",
    )
    merged: bool = Field(
        default=False,
        description="Count atoms of a type once that are bonded to each other and to the same others, as RDKit's "
        "Fingerprinter does: one CH3 in ethane. Only for models that must agree with features made by that.",
    )
    topology: bool = Field(
        description="Add counts of rings by size, of the atoms they share and of conjugated bonds, to which atom types "
        "are blind: the corrections of group additivity (10.1021/cr60259a002)."
    )
    labels: tuple[str, ...] = Field(
        default=(), description="Labels of the records that become features, one per value: M, the metal of a dye."
    )

    @property
    def adds_up(self) -> bool:
        """Whether the features of two molecules apart are the sums of theirs."""
        return {"count", "sum"}.issuperset(self.statistics)


class Fractions(Section):
    """Elemental fractions of a composition (10.1038/s41598-018-35934-y)."""

    kind: Literal["fractions"]
    elements: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        default=ELEMNET_ELEMENTS, description="The elements that a composition may have; ElemNet's 86 if not given."
    )

    @field_validator("elements")
    @classmethod
    def _are_elements(cls, elements: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [element for element in elements if element not in ELEMENTS]:
            raise ValueError(f"{', '.join(wrong)}: no such element")
        if len(set(elements)) < len(elements):
            raise ValueError("each element may stand there once")
        return elements


class Statistics(Section):
    """Statistics of what its elements are like over a composition (10.1038/npjcompumats.2016.28)."""

    kind: Literal["statistics"]
    elements: ClassVar[tuple[str, ...]] = DESCRIBED_ELEMENTS
    fractions: bool = Field(
        default=False,
        description="Add the fractions of the elements themselves, for what their properties do not say.",
    )


FeatureSpec = Annotated[Estate | Fractions | Statistics, Field(discriminator="kind")]


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
        "that the property is extensive, which a source of small molecules alone does not; 0 if it is not extensive.",
    )
    validation: float = Field(gt=0, lt=0.5, description="Fraction of the molecules kept aside to stop early.")
    patience: PositiveInt = Field(description="Epochs without improvement on the validation rows before it stops.")
    average: float = Field(
        default=0,
        ge=0,
        lt=1,
        description="Share that a moving average of the weights keeps of itself in each step, such as 0.99; the "
        "average is what is validated and kept. If 0, the weights are kept as they are.",
    )
    seed: int = Field(ge=0, description="Seed of the weights, the split and the order of the rows.")


Variant = Literal["gradual unfreezing", "discriminative rates", "L2-SP"]


class Transfer(Section):
    """How networks are fitted on the target, fine-tuned and from scratch alike."""

    freeze: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = Field(
        description="Numbers of first layers to freeze that are tried; the choice is made inside the training folds."
    )
    variants: tuple[Variant, ...] = Field(
        default=(),
        description="Ways of fine-tuning without frozen layers that are tried, too: layers that join one by one, the "
        "last first, or with rates that fall from the head down (arXiv:1801.06146), or weights that are drawn back to "
        "where they started (arXiv:1802.01483).",
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
        description="Training sets drawn at each size but the full one, in each fold, if there are rows for so many; "
        "what a few rows teach depends on which they are.",
    )
    repeats: PositiveInt = Field(
        default=1, description="Times that the cross-validation is repeated with all rows, each with folds of its own."
    )
    clusters: NonNegativeInt = Field(
        default=0,
        description="Clusters of alike rows that are held out in turn, to see how the model extrapolates; 0 for none.",
    )
    elements: NonNegativeInt = Field(
        default=0,
        description="Elements, the most frequent ones at most, all rows with which are held out in turn, C and H of "
        "molecules never; 0 for none.",
    )
    choices: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{16}$",
        description="A comparison, by its fingerprint, whose choices inside each fold are kept if it was of the same "
        "source and folds: those of a fold were made without its rows. A training that new measurements start does so.",
    )
    seed: int = Field(
        ge=0, description="Seed of the folds, of the smaller training sets, of the clusters and of the bootstrap."
    )


class Gate(Section):
    """When a bundle takes over from the one in use."""

    confidence: float = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="With which it must err by less than the champion on what both held out: the share of the "
        "resamples of a paired bootstrap. One that is as good takes over if it learnt from more.",
    )


class Recipe(Section):
    """Which source, target, features, network, transfer and evaluation make a model, and when it takes over."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{2,62}$", description="Lower case, digits and dashes.")
    title: str = Field(description="One line for people.")
    property: Property
    source: Data
    auxiliary: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")], Auxiliary] = Field(
        default={},
        description="Other computed tables, by names of your choice: the trunk learns them together with the source, "
        "each with a head of its own, and only the source's is kept.",
    )
    target: Data
    features: FeatureSpec
    network: Network
    pretraining: Pretraining
    transfer: Transfer
    evaluation: Evaluation
    gate: Gate = Field(default=Gate(), description="When a bundle takes over from the one in use.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        kinds = {part.rules.of for part in (self.source, self.target, *self.auxiliary.values())}
        if len(kinds) > 1:
            raise ValueError("rules.of must be the same in source, target and auxiliary")
        if isinstance(self.features, Fractions | Statistics) != (kinds == {"compositions"}):
            raise ValueError(
                "features of kinds fractions and statistics belong to rows that are compositions, and only to them"
            )
        if kinds == {"compositions"} and self.property.extensive:
            raise ValueError("property.extensive must be false for compositions: give it per atom")
        if self.pretraining.sums and not self.property.extensive:
            raise ValueError("pretraining.sums must be 0 for a property that is not extensive")
        if self.pretraining.sums and isinstance(self.features, Estate) and not self.features.adds_up:
            raise ValueError("pretraining.sums must be 0 for features with minima or maxima, which do not add up")
        return self

    @field_validator("transfer")
    @classmethod
    def _has_layers_to_freeze(cls, transfer: Transfer, info: ValidationInfo) -> Transfer:
        network = info.data.get("network")  # None if it is wrong itself
        if network and max(transfer.freeze) > network.layers:
            raise ValueError(f"freeze must be at most {network.layers}, the layers of the network's trunk")
        return transfer
