"""From a bundle's files to a predictor."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from tasks.errors import MatliftError
from tasks.predict.bundle import AGAIN, Bundle, read_bundle
from tasks.predict.certainty import Certainty
from tasks.predict.features import Featurizer
from tasks.predict.graph import Model, read_model
from tasks.predict.predictor import Predictor


def load(location: str, storage: Mapping[str, Any] | None = None) -> Predictor:
    """Load a published model.

    Args:
        location: the folder of a bundle, a path or any URL that fsspec knows; or a pointer beside bundles:
            s3://bucket/prefix/bundles/qm9-webbook/latest.json. Endpoint and credentials of S3 come from the
            environment.
        storage: options of the file system, if it needs any.

    Raises:
        MatliftError: there is no bundle, or one that is damaged, was tampered with, is of a newer format or is not only
            data; in one sentence.
    """
    return restored(read_bundle(location, storage or {}))


def restored(bundle: Bundle) -> Predictor:
    """Return the predictor of a bundle that was read.

    Raises:
        MatliftError: its files do not fit together.
    """
    try:
        predictor = _predictor(bundle)
        predictor.rehearse()
    except KeyError as error:
        raise MatliftError(f"the bundle {bundle.location} lacks {error}, which prediction needs: {AGAIN}") from error
    except (ValueError, TypeError, IndexError, AttributeError, RecursionError, SafetensorError) as error:
        said = type(error).__name__ if isinstance(error, ValidationError) else str(error).partition("\n")[0]
        raise MatliftError(
            f"the files of the bundle {bundle.location} do not fit together ({said}): {AGAIN}"
        ) from error
    return predictor


def _predictor(bundle: Bundle) -> Predictor:
    """Return the predictor that a bundle's files make."""
    about, domain, intervals = (_json(bundle, name) for name in ("about.json", "domain.json", "intervals.json"))
    model = _json(bundle, "model.json")
    limits = (model["parts"][0] if "parts" in model else model)["limits"]
    return Predictor(
        fingerprint=bundle.fingerprint,
        about=about,
        featurizer=Featurizer.read(_json(bundle, "features.json")),
        value=_model(bundle, "model.json", "weights.safetensors").value,
        rival=_model(bundle, "rival.json", "rival.safetensors").value,
        represented=_model(bundle, "trunk.json", "trunk.safetensors").represented,
        certainty=Certainty.read(domain, load_tensors(bundle.files["domain.safetensors"]), intervals, about["level"]),
        known=frozenset(domain["known"]),
        limits=(float(limits[0]), float(limits[1])) if limits else None,
    )


def _model(bundle: Bundle, about: str, tensors: str) -> Model:
    """Return one of a bundle's models."""
    arrays = load_tensors(bundle.files[tensors])
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError(f"{tensors} has numbers that are not finite")
    return read_model(_json(bundle, about), arrays)


def _json(bundle: Bundle, name: str) -> Any:
    return json.loads(bundle.files[name])
