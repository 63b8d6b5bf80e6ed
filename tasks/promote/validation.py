"""What a bundle must be whatever it is compared with: only then it may ever be champion."""

import math
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import load

from tasks.promote.candidate import Candidate
from tasks.promote.resampling import describe
from tasks.publish.words import number, signed

TOLERANCE = 0.05  # by which fewer measurements than promised may lie inside of their intervals


@dataclass(frozen=True)
class Check:
    """One thing that must hold.

    Attributes:
        name: what.
        passed: whether it does.
        said: a sentence with its numbers.
    """

    name: str
    passed: bool
    said: str


def validate(candidate: Candidate, confidence: float) -> list[Check]:
    """Return what must hold of a bundle that was read whole.

    Args:
        candidate: the bundle.
        confidence: with which it must be better than a constant.
    """
    whole = Check("complete", passed=True, said=f"All {len(candidate.files)} files have the SHA-256 of the manifest.")
    numbers = _numbers(candidate)
    return [whole, numbers, *([_skill(candidate, confidence), _intervals(candidate)] if numbers.passed else [])]


def _numbers(candidate: Candidate) -> Check:
    """Check that weights, held-out predictions and their errors are numbers."""
    tensors = load(candidate.files["weights.safetensors"])
    wrong = [name for name, values in tensors.items() if not np.isfinite(values).all()]
    rows = int(np.sum(~np.isfinite(candidate.missed)))
    said = f"{len(wrong)} of {len(tensors)} tensors and {rows} of {len(candidate.missed):,} held-out errors are not."
    name = "weights and errors are finite"
    return Check(name, passed=not (wrong or rows), said=said if wrong or rows else "All of them are.")


def _skill(candidate: Candidate, confidence: float) -> Check:
    """Check that the model is surely better than one number for all.

    That number is the mean of the other folds or the median of all, whichever errs less. The mean alone would be too
    easy: of a skewed property the median errs by less than the mean without any skill. It is this that a model of
    shuffled labels fails even on shuffled labels.
    """
    values = candidate.predictions["value"].to_numpy(np.float64)
    constants = (candidate.predictions["mean"].to_numpy(np.float64), np.full(len(values), np.median(values)))
    least = min((np.abs(constant - values) for constant in constants), key=lambda missed: float(missed.mean()))
    found = describe(candidate.missed - least, candidate.predictions["key"].to_numpy(object))
    said = (
        f"It errs by {number(float(candidate.missed.mean()))} {candidate.metrics['unit']}, one number for all by "
        f"{number(float(least.mean()))}; less in {_percent(found['below'])} of the resamples."
    )
    return Check("better than a constant", passed=found["below"] >= confidence, said=said)


def _intervals(candidate: Candidate) -> Check:
    """Check that intervals hold as many measurements as they promise, less a tolerance and what chance does.

    Intervals that hold more are wider than they need be, which misleads nobody.
    """
    name = "intervals hold what they promise"
    intervals = candidate.metrics.get("intervals")
    if not intervals:
        return Check(name, passed=False, said="The bundle says nothing of intervals.")
    level, covered, rows = intervals["level"], intervals["coverage"], len(candidate.missed)
    least = level - TOLERANCE - 2 * math.sqrt(level * (1 - level) / rows)
    said = f"They hold {_percent(covered)} of {rows:,} where {_percent(level)} is promised; {_percent(least)} must be."
    return Check(name, passed=covered >= least, said=said)


def _percent(share: float) -> str:
    return f"{signed(100 * share, 1)} %"
