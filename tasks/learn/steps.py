"""Steps of AdamW along one cycle of rate and momentum.

They are those of PyTorch's `AdamW` and `OneCycleLR`, to the bit. For small networks those two take a sixth of a step,
and the first of them loads torch.compile and SymPy, which takes a process two seconds.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

SECOND, EPSILON = 0.999, 1e-8  # share that the mean square keeps of itself, and what is added to its root
WARM = 0.2  # share of the steps in which the rate rises
FIRST, LAST = 25, 1e4  # by which the first rate is less than the peak, and the last less than the first
MOMENTA = 0.95, 0.85  # at both ends, and at the peak
FEWEST = 6  # steps of a cycle: of 5 the warm-up would be none, by which its share is divided


class _Part(NamedTuple):
    """Weights that learn at one rate.

    Attributes:
        peak: the rate at its highest.
        places: of the weights among all that learn.
        weights, means, squares, counts: the weights, the moving averages of their gradients and of the squares of
            these, and the steps that each has taken.
    """

    peak: float
    places: list[int]
    weights: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]
    counts: list[Tensor]


class Steps:
    """AdamW (I. Loshchilov, F. Hutter, arXiv:1711.05101) on a one-cycle schedule (L. N. Smith, arXiv:1708.07120).

    Attributes:
        groups: the weights by their peak rate.
        taken: steps that have been taken.
    """

    def __init__(self, groups: Mapping[float, Sequence[Tensor]], decay: float, total: int) -> None:
        """Begin a cycle.

        Args:
            groups: weights by their peak rate.
            decay: of the weights, in units of the rate.
            total: steps that will be taken at most.
        """
        self.groups = groups
        self.taken = 0
        self._decay = decay
        self._total = max(total + 1, FEWEST)
        self._states: dict[Tensor, tuple[Tensor, Tensor, Tensor]] = {}
        self._parts: list[_Part] = []

    def choose(self, weights: Sequence[Tensor]) -> None:
        """Let these weights learn from now on, and no others."""
        place_of = {id(weight): place for place, weight in enumerate(weights)}
        self._parts.clear()
        for peak, group in self.groups.items():
            if chosen := [weight for weight in group if id(weight) in place_of]:
                states = [self._states.setdefault(weight, _new_state(weight)) for weight in chosen]
                means, squares, counts = (list(tensors) for tensors in zip(*states, strict=True))
                places = [place_of[id(weight)] for weight in chosen]
                self._parts.append(_Part(peak, places, chosen, means, squares, counts))

    def rate(self, peak: float) -> float:
        """Return the rate of the next step of the weights with this peak."""
        first = peak / FIRST
        return self._along(first, peak, first / LAST)

    def take(self, gradients: Sequence[Tensor]) -> None:
        """Take a step by the gradients of the weights that were chosen, in their order; contiguous tensors."""
        momentum = self._along(MOMENTA[0], MOMENTA[1], MOMENTA[0])
        for part in self._parts:
            torch._foreach_add_(part.counts, 1)
            torch._fused_adamw_(
                part.weights,
                [gradients[place] for place in part.places],
                part.means,
                part.squares,
                [],
                part.counts,
                lr=self.rate(part.peak),
                beta1=momentum,
                beta2=SECOND,
                weight_decay=self._decay,
                eps=EPSILON,
                amsgrad=False,
                maximize=False,
            )
        self.taken += 1

    def _along(self, first: float, peak: float, last: float) -> float:
        """Return where a number is that goes from the first to the peak and on to the last, on halves of cosines."""
        top = WARM * self._total - 1
        if self.taken <= top:
            start, end, share = first, peak, self.taken / top
        else:
            start, end, share = peak, last, (self.taken - top) / (self._total - 1 - top)
        return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)


def _new_state(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the averages and the count of a weight that has taken no step."""
    return torch.zeros_like(weight), torch.zeros_like(weight), torch.zeros((), device=weight.device)
