"""What the environment says: every variable that matlift reads, with its meaning; a file `.env` may say it, too."""

from pathlib import Path
from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.errors import MatliftError

PREFIX = "MATLIFT_"


class Settings(BaseSettings):
    """The environment variables MATLIFT_STORE, MATLIFT_CACHE and so on; what is empty is as if it were not there.

    Endpoint and credentials of the store are AWS's own variables, and the server's address and key are Prefect's:
    those libraries read them.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    store: str | None = Field(
        default=None, description="s3://bucket/prefix; the embedded server, which keeps it in `folder`, if not given."
    )
    store_folder: Path | None = Field(
        default=None, description="Where the embedded server keeps its data; set by matlift for what it starts."
    )
    store_patience: float = Field(
        default=120, ge=0, description="Seconds for which a run waits for a store that does not answer any more."
    )
    folder: Path = Field(
        default=Path(".matlift"), description="What the embedded store and the local stack keep on this machine."
    )
    cache: Path = Field(
        default=Path("~/.cache/matlift"), description="Where broken-off downloads wait until they are complete."
    )
    dask: str | None = Field(
        default=None, description="tcp://host:8786, the scheduler of a Dask cluster that does the work in parts."
    )
    recipes: Path | None = Field(
        default=None, description="A folder of your own recipes, NAME.yaml each, beside those that come with matlift."
    )
    overrides: dict[str, dict[str, Any]] = Field(
        default={},
        description="What recipes say otherwise here, as JSON: "
        '{"formation-energy": {"source.data.at": "/data/oqmd.csv"}}.',
    )
    port: PositiveInt = Field(default=4200, lt=65536, description="Where `matlift up` serves the dashboard.")
    postgres: SecretStr | None = Field(
        default=None, description="postgresql://user:password@host/database of the server; SQLite in `folder` if none."
    )
    trainings: PositiveInt = Field(
        default=1, description="How many recipes may be trained at once; one never twice at the same time."
    )
    time_limit: PositiveFloat = Field(default=12 * 3600, description="Seconds after which a training is ended.")
    watch_interval: PositiveFloat = Field(
        default=300,
        ge=10,
        description="Seconds between two looks at a recipe's inbox and databases; each takes a core some seconds.",
    )
    watch_quiet: float = Field(
        default=5, ge=0, description="Seconds for which nothing new must have come before a training starts."
    )
    keep: PositiveInt = Field(default=5, description="Newest bundles of a recipe that `matlift prune` keeps.")
    serve_token: SecretStr | None = Field(
        default=None, description="What `matlift serve` asks of who asks it: Authorization: Bearer TOKEN."
    )
    serve_items: PositiveInt = Field(default=10_000, description="Items at most in one request to it.")
    serve_bytes: PositiveInt = Field(default=2**21, description="Bytes at most of one request to it.")
    serve_seconds: PositiveFloat = Field(
        default=30, description="Seconds in which a request must come in, get its turn, and be worked on: each."
    )
    serve_interval: PositiveFloat = Field(default=5, description="Seconds between two looks at which is the champion.")
    notify: SecretStr | None = Field(
        default=None,
        description="Whom to tell of runs that failed, nobody if not given: the URL of a webhook (https://…, Slack's, "
        "too), of a mailbox (mailtos://user:password@smtp.example.org?to=lab@example.org), or TYPE/NAME of a "
        "notification block of Prefect's.",
    )


def settings() -> Settings:
    """Return what the environment and `.env` in the working directory say now; the environment wins.

    Raises:
        MatliftError: a variable has a wrong value; the message names it, never shows it.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = (
            f"{PREFIX}{'.'.join(map(str, problem['loc'])).upper()}: {problem['msg']}" for problem in error.errors()
        )
        raise MatliftError(f"the environment is wrong: {'; '.join(problems)}") from error
    except ValueError as error:  # pydantic-settings' own: a value is not the JSON that it must be
        raise MatliftError(f"the environment is wrong: {error}") from error
