"""A published model as a graph of a few operations on matrices, which numpy computes and ONNX stores.

What parts of a model have in common, such as the frozen trunk of a fine-tuned network and of the source's, is one node
and computed once. PyTorch, which takes seconds to load, is not needed. Shapes: n rows, p features, e elements, w units.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
EPSILON = np.float32(1e-5)  # PyTorch's, of its LayerNorm


@dataclass(frozen=True)
class Node:
    """One operation of a graph.

    Attributes:
        operation: what is done, one of OPERATIONS.
        inputs: the nodes on whose results it is done.
        arrays: the numbers with which.
        key: nodes of the same key have the same result.
    """

    operation: str
    inputs: tuple["Node", ...] = field(repr=False, default=())
    arrays: tuple[Array, ...] = field(repr=False, default=(), compare=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256(self.operation.encode())
        for node in self.inputs:
            digest.update(node.key.encode())
        for array in self.arrays:
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        object.__setattr__(self, "key", digest.hexdigest())


FEATURES = Node("input", arrays=(np.array("features", "U8"),))
ELEMENTS = Node("input", arrays=(np.array("elements", "U8"),))


def ordered(results: Iterable[Node]) -> list[Node]:
    """Return all nodes that lead to some results, each once and after its inputs."""
    found: dict[str, Node] = {}

    def visit(node: Node) -> None:
        if node.key not in found:
            for one in node.inputs:
                visit(one)
            found[node.key] = node

    for result in results:
        visit(result)
    return list(found.values())


def computed(nodes: Sequence[Node], wanted: Sequence[Node], features: Array, elements: Array) -> list[Array]:
    """Return the results of the wanted ones of some nodes.

    What no node needs any more is let go at once: the next result takes its place in the processor's cache. Memory
    that the system has to hand out anew costs a third of the time.

    Args:
        nodes: as `ordered` gives them.
        wanted: some of them.
        features: (n, p), float32.
        elements: (n, e), float64.
    """
    results = {FEATURES.key: features, ELEMENTS.key: elements}
    last = {one.key: node.key for node in nodes for one in node.inputs} | {node.key: "" for node in wanted}
    with np.errstate(over="ignore"):  # of exp(-x) in the sigmoid, whose inverse is then rightly 0
        for node in nodes:
            if node.key not in results:
                given = (results[one.key] for one in node.inputs)
                results[node.key] = OPERATIONS[node.operation](*given, *node.arrays)
            for key in {one.key for one in node.inputs if last[one.key] == node.key}:
                del results[key]
    return [results[node.key] for node in wanted]


def _linear(given: Array, weights: Array, *bias: Array) -> Array:
    """Return (n, v) @ (v, w), and a bias (w,) added, if there is one."""
    product: Array = given @ weights
    for one in bias:
        product += one
    return product


def _normalised(given: Array, stretch: Array, shift: Array) -> Array:
    """Return each row with mean 0 and variance 1, then stretched and shifted by (w,) each."""
    centred: Array = given - given.mean(axis=1, keepdims=True)
    variance = np.einsum("nw,nw->n", centred, centred) / np.float32(given.shape[1])
    centred *= (1 / np.sqrt(variance + EPSILON))[:, None]
    centred *= stretch
    centred += shift
    return centred


def _silu(given: Array) -> Array:
    """Return x / (1 + exp(-x))."""
    sigmoid: Array = np.exp(-given)
    sigmoid += 1
    return np.divide(given, sigmoid, out=sigmoid)


def _weighed(*given: Array) -> Array:
    """Return the sum of all but the last, each times its weight; these are the last."""
    *inputs, weights = given
    total: Array = inputs[0] * weights[0]
    for one, weight in zip(inputs[1:], weights[1:], strict=True):
        total += one * weight
    return total


def _matern(given: Array, points: Array, squares: Array, height: Array, weights: Array) -> Array:
    """Return one term of a process (n,), see `tasks.learn.process`: its covariances, weighted and added up.

    Args:
        given: (n, w), in units of the length.
        points: (w, m), of the training rows, in the same units.
        squares: (m,), the squares of the points' lengths.
        height: of the covariance.
        weights: (m,).
    """
    distances = np.einsum("nw,nw->n", given, given)[:, None] + squares - 2 * (given @ points)
    scaled = np.sqrt(3 * np.maximum(distances, 0))
    sums: Array = ((1 + scaled) * np.exp(-scaled)) @ (height * weights)
    return sums


# What each operation does with the results of its inputs, and the numbers behind them.
OPERATIONS: dict[str, Callable[..., Array]] = {
    "linear": _linear,
    "normalise": _normalised,
    "silu": _silu,
    "relu": lambda given: np.maximum(given, 0),
    "add": np.add,
    "mean": lambda *given: np.mean(given, axis=0),
    "weigh": _weighed,
    "matern": _matern,
    "double": lambda given: given.astype(np.float64),
    "column": lambda given: given[:, 0],
    "clip": np.clip,
}


@dataclass(frozen=True)
class Model:
    """What a fitted model, or a stack of such, predicts, as nodes.

    Attributes:
        value: (n,), in the unit of the property.
        represented: (n, w), what the trunk of its first network makes of the features.
    """

    value: Node
    represented: Node


def read_model(about: Mapping[str, Any], tensors: Mapping[str, Array]) -> Model:
    """Return the graph of a model from the contents of its JSON file and of its tensors, see `tasks.learn.stacked`.

    Raises:
        KeyError, ValueError: they do not belong together.
    """
    if "parts" not in about:
        return _fitted(about, tensors)
    parts = [_fitted(part, _below(tensors, f"{number}/")) for number, part in enumerate(about["parts"])]
    weights = np.array(about["weights"], np.float64)
    return Model(Node("weigh", tuple(part.value for part in parts), (weights,)), parts[0].represented)


def _fitted(about: Mapping[str, Any], tensors: Mapping[str, Array]) -> Model:
    """Return the graph of `tasks.learn.fitted.Fitted`."""
    networks = [_network(about, _below(tensors, f"{member}.")) for member in range(about["members"])]
    represented = networks[0].represented
    learnt = Node("mean", tuple(Node("double", (network.value,)) for network in networks))
    terms = [learnt]
    if about["process"]:
        terms += _process(about["process"], tensors, represented)
    additive = Node("linear", (ELEMENTS,), (np.array(about["additive"], np.float64)[:, None],))
    weights = np.array([1.0] + [about["scale"]] * len(terms))
    value = Node("weigh", (Node("column", (additive,)), *terms), (weights,))
    if about["limits"]:
        value = Node("clip", (value,), tuple(np.array(limit, np.float64) for limit in about["limits"]))
    return Model(value, represented)


def _network(about: Mapping[str, Any], tensors: Mapping[str, Array]) -> Model:
    """Return the graph of one of `tasks.learn.networks`; its value is (n,), without unit."""
    spec = about["network"]
    if spec["kind"] == "residual":
        units = _layer(FEATURES, tensors, "trunk.0")
        for place in range(1, spec["blocks"] + 1):
            inner = _layer(_norm(units, tensors, f"trunk.{place}.norm"), tensors, f"trunk.{place}.inner")
            units = Node("add", (units, _layer(Node("silu", (inner,)), tensors, f"trunk.{place}.outer")))
        represented = _norm(units, tensors, "norm")
        value = Node("add", (_layer(represented, tensors, "deep"), _layer(FEATURES, tensors, "direct")))
    elif spec["kind"] == "elemnet":
        represented = FEATURES
        for place in range(sum(name.startswith("trunk.") and name.endswith(".weight") for name in tensors)):
            represented = Node("relu", (_layer(represented, tensors, f"trunk.{place}.0"),))
        value = _layer(represented, tensors, "deep")
    else:
        raise ValueError(f"there is no network of kind {spec['kind']}")
    return Model(Node("column", (value,)), represented)


def _process(about: Mapping[str, Any], tensors: Mapping[str, Array], represented: Node) -> Iterator[Node]:
    """Return both terms of `tasks.learn.process.Process`."""
    weights = tensors["process.weights"].astype(np.float64)
    spaces = (represented, "process.represented"), (FEATURES, "process.features")
    for (space, name), length, height in zip(spaces, about["lengths"], about["heights"], strict=True):
        points = tensors[name].astype(np.float64)
        shrunk = Node("weigh", (Node("double", (space,)),), (np.array([1 / length]),))
        squares = np.sum(points**2, axis=1)
        yield Node("matern", (shrunk,), (points.T.copy(), squares, np.array(height, np.float64), weights))


def _layer(given: Node, tensors: Mapping[str, Array], name: str) -> Node:
    """Return a linear layer of PyTorch's: its weights are (v, w) there."""
    bias = tensors.get(f"{name}.bias")
    return Node("linear", (given,), (tensors[f"{name}.weight"].T.copy(), *([] if bias is None else [bias])))


def _norm(given: Node, tensors: Mapping[str, Array], name: str) -> Node:
    return Node("normalise", (given,), (tensors[f"{name}.weight"], tensors[f"{name}.bias"]))


def _below(tensors: Mapping[str, Array], start: str) -> dict[str, Array]:
    """Return the tensors whose names start so, without that."""
    return {name.removeprefix(start): array for name, array in tensors.items() if name.startswith(start)}
