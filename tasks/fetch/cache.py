"""Where this machine keeps what a broken-off download has got, until it is complete."""

import os
from pathlib import Path

from tasks.errors import MatliftError

VARIABLE = "MATLIFT_CACHE"


def folder() -> Path:
    """Return the folder, made if it is missing: the one that MATLIFT_CACHE names, else ~/.cache/matlift.

    Raises:
        MatliftError: it cannot be made.
    """
    named = os.environ.get(VARIABLE)
    path = Path(named).expanduser() if named else Path.home() / ".cache" / "matlift"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MatliftError(f"{path} cannot be made ({error}): set {VARIABLE} to a folder that can") from error
    return path
