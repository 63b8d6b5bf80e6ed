"""What a recipe may say about a database: one model per database, each field with its meaning."""

from typing import Annotated, Literal, Self

from pydantic import Field, PlainSerializer, model_validator

from tasks.passwords import hidden
from tasks.recipe.section import Section, Unit

# A URL that may have a password in it, which is neither shown nor published with the recipe.
Address = Annotated[str, PlainSerializer(hidden), Field(repr=False)]


class Qm9(Section):
    """QM9: B3LYP/6-31G(2df,p) enthalpies of 130,831 molecules (10.1038/sdata.2014.22), from the package qm9pack."""

    database: Literal["qm9"]


class Chemicals(Section):
    """Measured and evaluated gas-phase enthalpies of formation, from the package chemicals."""

    database: Literal["chemicals"]
    tables: Annotated[tuple[Literal["ATcT", "CRC", "WebBook"], ...], Field(min_length=1)] = Field(
        description="The tables to read; where several hold a molecule, the value of the first one is taken."
    )


class Cmr(Section):
    """A file of the Computational Materials Repository, or any other ASE database in SQLite."""

    database: Literal["cmr"]
    file: str = Field(
        pattern=r"^\w[\w-]*$",
        description="Name of the file there, after which its rows are called: dssc (porphyrin dyes), solar (organic "
        "molecules), c2db and others.",
    )
    at: Address = Field(
        default="https://cmr.fysik.dtu.dk",
        description="The service or a mirror of it, the URL of a .db file, or the path of one.",
    )
    key: str = Field(description="The key whose value is the property, E_gap or KS_gap say.")
    unit: Unit = Field(description="Unit of that key's values.")
    where: dict[str, tuple[str | int | float | bool, ...]] = Field(
        default={}, description="Keys with the values that a row must have one of; all rows if not given."
    )
    sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="What the file must hash to: no byte of it then differs from the one that was meant.",
    )


class Oqmd(Section):
    """The Open Quantum Materials Database (10.1007/s11837-013-0755-4): its services, a dump of it, or a table."""

    database: Literal["oqmd"]
    at: Address = Field(
        default="https://oqmd.org",
        description="The service or a peer of it, the SQLAlchemy URL of an imported dump (mysql+pymysql://user@host/qmdb"
        "?read_default_file=~/.my.cnf, where the password stands in that file), or a CSV, Parquet or Excel file with "
        "the columns formula and value.",
    )
    api: Literal["rest", "optimade"] = Field(default="rest", description="Which of the two services to ask.")
    quantity: Literal["formation energy", "band gap", "stability"] = Field(
        description="What the value is: eV/atom, eV or, for the distance from the convex hull, eV/atom."
    )
    filter: str | None = Field(
        default=None, description="In the language of the service; all that it has if none. A dump is read whole."
    )


class Optimade(Section):
    """A database that speaks OPTIMADE (10.1038/s41597-021-00974-z)."""

    database: Literal["optimade"]
    at: Address = Field(description="Its base URL, or one of materials-project, jarvis, alexandria, oqmd.")
    key: str = Field(description="The field whose value is the property, such as _jarvis_formation_energy_peratom.")
    unit: Unit = Field(description="Unit of that field's values.")
    energy: str | None = Field(
        default=None,
        description="The field with the energy, eV/atom, by which the rule duplicates: lowest chooses among structures "
        "of one composition; by the values themselves if not given.",
    )
    filter: str | None = Field(default=None, description="In OPTIMADE's language; the whole database if none.")


class Columns(Section):
    """Which columns of a table mean what: those that a file lacks must not be named."""

    value: str = Field(default="value", description="The property; of a known table Hfs, Hfl or Hfg.")
    uncertainty: str | None = Field(default=None, description="Its standard uncertainty, in the same unit.")
    formula: str | None = Field(default=None, description="Chemical formula; this or smiles is needed.")
    smiles: str | None = Field(default=None, description="Structure as SMILES.")
    name: str | None = Field(default=None, description="Name of the substance or sample.")


# What the value of a known table can be, kJ/mol: enthalpies of formation at 298.15 K of solid, liquid and gas.
KNOWN_TABLES = {
    "webbook": ("Hfs", "Hfl", "Hfg"),
    "crc": ("Hfs", "Hfl", "Hfg"),
    "atct": ("Hfl", "Hfg"),
    "janaf": ("Hfs", "Hfl", "Hfg"),
}


class TableFile(Section):
    """An experimental table: CSV, Parquet or Excel."""

    database: Literal["table"]
    at: Address = Field(
        min_length=1,
        description="A path, an http:// or https:// URL, an s3:// URL of one table or of a prefix below which all "
        "files named *.csv, *.tsv, *.txt, *.parquet and *.xlsx are tables; or one of webbook, crc, atct, janaf, whose "
        "formulas, structures, names and uncertainties need not be named.",
    )
    columns: Columns
    unit: Unit = Field(description="Unit of the values; per mole means per mole of the formula as it is written.")

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        columns = self.columns
        if self.at not in KNOWN_TABLES:
            if not (columns.formula or columns.smiles):
                raise ValueError("columns.formula or columns.smiles must name a column")
            return self
        if columns.value not in KNOWN_TABLES[self.at]:
            raise ValueError(f"columns.value of {self.at} must be one of {', '.join(KNOWN_TABLES[self.at])}")
        if self.unit != "kJ/mol":
            raise ValueError(f"unit must be kJ/mol, that of {self.at}")
        if columns != Columns(value=columns.value):
            raise ValueError(f"columns of {self.at} name the value only: it is known what the others are")
        return self


Database = Annotated[
    Qm9 | Chemicals | Cmr | Oqmd | Optimade | TableFile,
    Field(discriminator="database"),
]
