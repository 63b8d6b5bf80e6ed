"""Predicts with a published model: values with intervals, and where they are not to be trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.predict.certainty import Certainty
from tasks.predict.features import Featurizer, Rows
from tasks.predict.graph import Array, Node, computed, ordered

BLOCK = 1024  # rows that are computed at once: they stay in the processor's cache

NUMBERS = ("value", "lower", "upper")

Vector = npt.NDArray[np.float64]


class Predictions(NamedTuple):
    """What is predicted of n items.

    Attributes:
        numbers: (3, n), value and ends of the interval, NaN where there are none.
        in_domain: (n,), whether the model has learnt from anything like it.
        reasons: (n,), why not, or why there is no value; else empty.
    """

    numbers: Vector
    in_domain: npt.NDArray[np.bool_]
    reasons: npt.NDArray[np.object_]


@dataclass(frozen=True)
class Predictor:
    """A published model, with all that it needs to predict.

    Attributes:
        fingerprint: the bundle's.
        about: what is to be said of the model, as the bundle's `about.json` has it.
        featurizer: makes its inputs.
        value: the node of the graph that is the prediction.
        rival: that of the prediction of another model, whose disagreement tells where to be careful.
        represented: that of the activations in which distances are measured.
        certainty: makes intervals.
        known: the elements, and atom types, that source or measurements have.
        limits: least and greatest value that there can be, if there are any.
    """

    fingerprint: str
    about: Mapping[str, Any]
    featurizer: Featurizer
    value: Node
    rival: Node
    represented: Node
    certainty: Certainty
    known: frozenset[str]
    limits: tuple[float, float] | None

    @property
    def unit(self) -> str:
        """The unit of values and intervals."""
        return str(self.about["property"]["unit"])

    @property
    def takes(self) -> str:
        """What an item is: `smiles` or `formula`."""
        return "formula" if self.featurizer.of == "compositions" else "smiles"

    def predict(self, items: Sequence[str | None]) -> pd.DataFrame:
        """Predict the property of molecules, as SMILES, or of compositions, as formulas.

        Args:
            items: n of them; bad ones, and None, stop nothing.

        Returns:
            A row for each item, in order: `item` as it was given; `value` and the ends `lower` and `upper` of the
            interval that holds the measurement with a probability of `about["level"]`, in `unit`; `in_domain`, whether
            the model has learnt from anything like it; `reason`, why not, or why there is no value, else empty. Units
            are in `attrs["units"]`, too.
        """
        found = self.predict_arrays(items)
        columns = dict(zip(NUMBERS, found.numbers, strict=True))
        given = pd.Series(list(items), dtype=object)
        frame = pd.DataFrame({"item": given, **columns, "in_domain": found.in_domain, "reason": found.reasons})
        frame.attrs["units"] = dict.fromkeys(columns, self.unit)
        return frame

    def predict_arrays(self, items: Sequence[str | None]) -> Predictions:
        """Return what `predict` does, for those who have no use for a frame of many items."""
        numbers = np.full((3, len(items)), np.nan)
        in_domain, reasons = np.zeros(len(items), bool), np.full(len(items), "", dtype=object)
        for start in range(0, len(items), BLOCK):
            some = slice(start, start + BLOCK)
            numbers[:, some], in_domain[some], reasons[some] = self._block(items[some])
        return Predictions(numbers, in_domain, reasons)

    def represent(self, items: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return what the source's trunk makes of items that can be predicted: their activations (n, w)."""
        order, parts = ordered((self.represented,)), []
        for start in range(0, len(items), BLOCK):
            rows = self.featurizer.rows(items[start : start + BLOCK])
            parts += computed(order, (self.represented,), rows.features, rows.elements)
        return np.concatenate(parts) if parts else np.zeros((0, self.certainty.points.shape[0]), np.float32)

    def rehearse(self) -> None:
        """Compute one made-up row: what does not fit together is found when a model is loaded, not when it is used.

        Raises:
            KeyError, ValueError, TypeError, IndexError: the parts do not fit together.
        """
        width, elements = len(self.featurizer.scale.names), len(self.featurizer.elements)
        value, rival, represented = self._computed(np.zeros((1, width), np.float32), np.zeros((1, elements)))
        if not np.isfinite([value, *self.certainty.judge(value, rival, represented)]).all():
            raise ValueError("it predicts no number")
        self.about["property"]["unit"], self.about["reach"]

    def _computed(self, features: Array, elements: Array) -> list[Array]:
        """Return value (n,), the rival's value (n,) and the activations (n, w) of rows."""
        return computed(self._order, (self.value, self.rival, self.represented), features, elements)

    @cached_property
    def _order(self) -> list[Node]:
        return ordered((self.value, self.rival, self.represented))

    def _block(self, items: Sequence[Any]) -> Predictions:
        """Return what is predicted of a few items."""
        rows = self.featurizer.rows(items)
        numbers, reasons = np.full((3, len(items)), np.nan), rows.reasons
        in_domain = np.zeros(len(items), bool)
        if len(rows.places):
            value, rival, represented = self._computed(rows.features, rows.elements)
            sure = self.certainty.judge(value, rival, represented)
            numbers[:, rows.places] = value, *(np.clip(end, *self.limits) if self.limits else end for end in sure[:2])
            reasons[rows.places] = self._doubts(rows, sure.distance)
            in_domain[rows.places] = reasons[rows.places] == ""
        return Predictions(numbers, in_domain, reasons)

    def _doubts(self, rows: Rows, distance: Vector) -> npt.NDArray[np.object_]:
        """Return why each good row is not in the domain, empty where it is."""
        doubts = np.full(len(distance), "", dtype=object)
        reach = self.about["reach"]
        for row in np.flatnonzero(distance > reach).tolist():
            doubts[row] = f"it is {distance[row]:.3g} from what was learnt from, farther than {reach:.3g}"
        has = np.hstack([rows.elements > 0, rows.foreign])
        names = np.array(self.featurizer.elements + self.featurizer.foreign, dtype=object)
        unseen = has & [name not in self.known for name in names]
        for row in np.flatnonzero(unseen.any(axis=1)).tolist():
            doubts[row] = f"it has {', '.join(names[unseen[row]])}, about which nothing was learnt"
        return doubts

    @property  # the last one: from here on the word means this
    def property(self) -> str:
        """What is predicted, in words."""
        return str(self.about["property"]["name"])
