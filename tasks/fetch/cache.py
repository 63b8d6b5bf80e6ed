"""Where this machine keeps what a broken-off download has got, until it is complete."""

from pathlib import Path

from tasks.errors import MatliftError
from tasks.settings import settings


def folder() -> Path:
    """Return the folder, made if it is missing: the one that MATLIFT_CACHE names, else ~/.cache/matlift.

    Raises:
        MatliftError: it cannot be made.
    """
    path = settings().cache.expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MatliftError(f"{path} cannot be made ({error}): set MATLIFT_CACHE to a folder that can") from error
    return path
