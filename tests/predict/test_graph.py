"""What numpy and ONNX compute of a model is what PyTorch does, whatever the method that made it."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from models import Published
from safetensors.numpy import load as load_tensors

from tasks.evaluate.intervals import NEIGHBOURS, Intervals
from tasks.featurize import Table
from tasks.featurize.scale import Scale
from tasks.learn import Domain, Fitted, represent
from tasks.learn.process import Process
from tasks.learn.stacked import Stacked
from tasks.predict import Predictor, export
from tasks.predict.certainty import Certainty
from tasks.predict.graph import computed, ordered, read_model
from tasks.recipe import ElemNet, Residual

ROWS, FEATURES, ELEMENTS = 200, 12, 5
RESIDUAL = Residual(kind="residual", width=24, blocks=3)


def made_up(rows: int = ROWS) -> Table:
    random = np.random.default_rng(0)
    features = random.standard_normal((rows, FEATURES)).astype(np.float32)
    elements = random.dirichlet(np.ones(ELEMENTS), rows)
    names = np.arange(rows).astype(str).astype(object)
    return Table(features, elements, random.standard_normal(rows), names, names, np.zeros(FEATURES, np.float32))


def fitted(spec: Residual | ElemNet, members: int = 1, seed: int = 0) -> Fitted:
    """Return a model whose weights are drawn: those of new networks are zero in places."""
    torch.manual_seed(seed)
    model = Fitted.untrained(made_up(), spec, list(range(seed, seed + members)))
    for network in model.networks:
        for name, weights in network.named_parameters():
            scale = 1.0 if weights.ndim == 1 else (2 / weights.shape[1]) ** 0.5
            drawn = scale * torch.randn(weights.shape)
            weights.data = drawn + 1 if "norm" in name and name.endswith("weight") else drawn
        network.eval()
    return model


def with_process(model: Fitted) -> Fitted:
    features = torch.from_numpy(made_up().features)
    with torch.no_grad():
        represented = model.networks[0].represent(features)
    return replace(model, process=Process.fit(represented, features, torch.randn(ROWS), 0))


@cache
def several() -> dict[str, Fitted | Stacked]:
    residual = fitted(RESIDUAL)
    return {
        "residual": residual,
        "ensemble": fitted(RESIDUAL, members=3),
        "limited": replace(residual, limits=(-0.5, 0.5)),
        "process": with_process(residual),
        "elemnet": fitted(ElemNet(kind="elemnet")),
        "stack": Stacked([residual, with_process(residual), fitted(RESIDUAL, seed=7)], [0.5, 0.3, 0.2]),
    }


@pytest.fixture(scope="module", params=["residual", "ensemble", "limited", "process", "elemnet", "stack"])
def model(request: pytest.FixtureRequest) -> Fitted | Stacked:
    return several()[request.param]


def graph(model: Fitted | Stacked) -> Any:
    files = model.files()
    return read_model(json.loads(files["model.json"]), load_tensors(files["weights.safetensors"]))


def test_numpy_computes_what_pytorch_does(model: Fitted | Stacked) -> None:
    table, read = made_up(), graph(model)
    wanted = read.value, read.represented
    value, represented = computed(ordered(wanted), wanted, table.features, table.elements)
    expected = model.predict(table)
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    first = model.parts[0] if isinstance(model, Stacked) else model
    np.testing.assert_allclose(represented, represent(first, table), rtol=1e-4, atol=1e-4)


def test_onnx_computes_what_pytorch_does(model: Fitted | Stacked, tmp_path: Path) -> None:
    table = made_up()
    names = tuple(f"feature_{place}" for place in range(FEATURES))
    scale = Scale(names, (), np.zeros(FEATURES), np.ones(FEATURES))
    featurizer = SimpleNamespace(scale=scale, elements=("H",) * ELEMENTS, extensive=True)
    about = {"property": {"unit": "eV"}}
    predictor = SimpleNamespace(value=graph(model).value, featurizer=featurizer, about=about, fingerprint="0" * 16)
    export(predictor, tmp_path / "model.onnx")  # type: ignore[arg-type]
    expected = model.predict(table)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    [value] = session.run(["value"], {"features": table.features, "elements": table.elements})
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_a_published_model_is_the_same_in_onnx(published: Published, predictor: Predictor, tmp_path: Path) -> None:
    export(predictor, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["property"])["unit"] == predictor.unit
    assert json.loads(said["features"]) == list(predictor.featurizer.scale.names)
    inputs = {"features": published.table.features, "elements": published.table.elements}
    [value] = session.run(["value"], inputs)
    np.testing.assert_allclose(value, published.values, rtol=1e-5, atol=1e-5)


def test_what_parts_have_in_common_is_computed_once() -> None:
    alone, stack = graph(fitted(RESIDUAL)), graph(several()["stack"])
    linear = [node for node in ordered([alone.value]) if node.operation == "linear"]
    shared = [node for node in ordered([stack.value]) if node.operation == "linear"]
    assert len(shared) == 2 * len(linear) - 1  # one network in the first two parts, one additive part in all


def test_certainty_is_that_of_learning() -> None:
    random = np.random.default_rng(1)
    source, table, measured = fitted(RESIDUAL), made_up(), made_up(80)
    domain = Domain.fit(represent(source, measured), measured.keys, ["H"])
    errors = np.abs(random.standard_normal(80))
    intervals = Intervals(errors[domain.rows], 0.7, -0.2, np.array([0.4, 0.3, 0.2]), {0.5: 0.8, 0.9: 2.1})
    represented = represent(source, table)
    predicted, rival = random.standard_normal((2, ROWS))
    files = domain.files()
    certainty = Certainty.read(
        json.loads(files["domain.json"]),
        load_tensors(files["domain.safetensors"]),
        json.loads(intervals.to_json()),
        0.9,
    )
    sure = certainty.judge(predicted, rival, represented)
    near = domain.near(represented, NEIGHBOURS)
    low, high, _ = intervals.apply(predicted, rival, near, 0.9)
    np.testing.assert_allclose(sure.low, low, rtol=1e-6)
    np.testing.assert_allclose(sure.high, high, rtol=1e-6)
    np.testing.assert_allclose(sure.distance, near.distance, rtol=1e-6)
