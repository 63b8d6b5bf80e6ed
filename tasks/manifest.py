"""The manifest of an object: what it lists, how it is written, and how a reader knows that it is whole."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

MANIFEST = "manifest.json"
FORMAT = 1  # of bundles and their manifests: a reader refuses what is newer than itself


def described(data: bytes) -> dict[str, Any]:
    """Return what the manifest says about a file."""
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def spare(name: str, sha256: str) -> str:
    """Return where a file goes whose plain name is taken by other bytes."""
    return f"{name}~{sha256[:16]}"


def dump(value: Mapping[str, Any]) -> bytes:
    """Return a manifest, or a pointer, as it is written."""
    return json.dumps(value, indent=2).encode() + b"\n"


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest with its format and the SHA-256 of all that it says."""
    whole = {**manifest, "format": FORMAT}
    return {**whole, "sha256": hashlib.sha256(dump(whole)).hexdigest()}
