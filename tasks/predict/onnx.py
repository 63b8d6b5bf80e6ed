"""A published model as ONNX, for programs that have nothing of matlift: from features to values.

Shapes: n rows, p features, e elements.
"""

import json
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.errors import MatliftError
from tasks.predict.graph import ELEMENTS, EPSILON, FEATURES, ordered
from tasks.predict.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OPSET, IR = 17, 9  # of 2023, which all runtimes in use know

Array = npt.NDArray[Any]


def export(predictor: Predictor, path: Path) -> None:
    """Write a model as ONNX.

    Its inputs are `features` (n, p), float32, standardised, and `elements` (n, e), float64, the atoms of each element
    or their fractions; its output is `value` (n,), float64. Its metadata say which these are, in JSON: `features` with
    `mean` and `spread`, by which they are standardised, `elements`, whether the property is `extensive`, `property`
    with its unit, and the `fingerprint` of the bundle.

    Raises:
        MatliftError: the package onnx is not installed, or the file cannot be written.
    """
    try:
        import onnx  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise MatliftError("ONNX needs a package that is not installed: pip install 'matlift[onnx]'") from error
    model = _Writer(onnx).model(predictor)
    onnx.checker.check_model(model, full_check=True)
    try:
        path.write_bytes(model.SerializeToString())
    except OSError as error:
        raise MatliftError(f"{path} cannot be written ({error.strerror})") from error


class _Writer:
    """Translates the nodes of a graph into those of ONNX."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._numbers: list[Any] = []
        self._names: Iterator[str] = (f"t{number}" for number in count())
        self._translate: dict[str, Callable[..., str]] = {
            "linear": self._linear,
            "normalise": lambda given, *arrays: self._node(
                "LayerNormalization", given, *arrays, epsilon=float(EPSILON)
            ),
            "silu": lambda given: self._node("Mul", given, self._node("Sigmoid", given)),
            "relu": lambda given: self._node("Relu", given),
            "add": lambda one, other: self._node("Add", one, other),
            "mean": lambda *given: self._weighed(*given, np.full(len(given), 1 / len(given))),  # runtimes' is single
            "weigh": self._weighed,
            "matern": self._matern,
            "double": lambda given: self._node("Cast", given, to=onnx.TensorProto.DOUBLE),
            "column": lambda given: self._node("Squeeze", given, np.array([1])),
            "clip": lambda given, least, most: self._node("Clip", given, least, most),
        }

    def model(self, predictor: Predictor) -> Any:
        """Return the whole model."""
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        results = {FEATURES.key: "features", ELEMENTS.key: "elements"}
        for node in ordered([predictor.value]):
            if node.key not in results:
                given = (results[one.key] for one in node.inputs)
                results[node.key] = self._translate[node.operation](*given, *node.arrays)
        self._nodes.append(helper.make_node("Identity", [results[predictor.value.key]], ["value"]))
        featurizer = predictor.featurizer
        inputs = [
            helper.make_tensor_value_info("features", kinds.FLOAT, ["n", len(featurizer.scale.names)]),
            helper.make_tensor_value_info("elements", kinds.DOUBLE, ["n", len(featurizer.elements)]),
        ]
        output = helper.make_tensor_value_info("value", kinds.DOUBLE, ["n"])
        graph = helper.make_graph(self._nodes, "matlift", inputs, [output], self._numbers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        helper.set_model_props(model, {name: json.dumps(value) for name, value in _metadata(predictor).items()})
        return model

    def _node(self, operation: str, *inputs: str | Array, **attributes: Any) -> str:
        """Add an operation on results, which are named, and numbers; return the name of its result."""
        name = next(self._names)
        given = [one if isinstance(one, str) else self._number(one) for one in inputs]
        self._nodes.append(self._onnx.helper.make_node(operation, given, [name], **attributes))
        return name

    def _number(self, array: Array) -> str:
        """Add numbers; return their name."""
        name = next(self._names)
        self._numbers.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def _linear(self, given: str, weights: Array, *bias: Array) -> str:
        product = self._node("MatMul", given, weights)
        return self._node("Add", product, bias[0]) if bias else product

    def _weighed(self, *given: Any) -> str:
        *names, weights = given
        terms = [self._node("Mul", name, np.array(weight)) for name, weight in zip(names, weights, strict=True)]
        return self._node("Sum", *terms) if len(terms) > 1 else terms[0]

    def _matern(self, given: str, points: Array, squares: Array, height: Array, weights: Array) -> str:
        own = self._node("ReduceSum", self._node("Mul", given, given), np.array([1]))
        products = self._node("Mul", self._node("MatMul", given, points), np.array(-2.0))
        distances = self._node("Max", self._node("Sum", own, squares, products), np.array(0.0))
        scaled = self._node("Sqrt", self._node("Mul", distances, np.array(3.0)))
        decayed = self._node("Exp", self._node("Neg", scaled))
        covariances = self._node("Mul", self._node("Add", scaled, np.array(1.0)), decayed)
        return self._node("MatMul", covariances, height * weights)


def _metadata(predictor: Predictor) -> dict[str, Any]:
    """Return what a program needs to know of the inputs and the output."""
    featurizer, scale = predictor.featurizer, predictor.featurizer.scale
    return {
        "features": list(scale.names),
        "mean": scale.mean.tolist(),
        "spread": scale.spread.tolist(),
        "elements": list(featurizer.elements),
        "extensive": featurizer.extensive,
        "property": dict(predictor.about["property"]),
        "fingerprint": predictor.fingerprint,
    }
