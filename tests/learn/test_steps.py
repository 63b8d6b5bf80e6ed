"""Steps are those of PyTorch's AdamW and OneCycleLR, to the bit."""

import pytest
import torch
from torch import Tensor

from tasks.learn.steps import Steps

DECAY = 0.03


def weights_of(seed: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=random) for shape in ((7, 5), (7,), (1, 7), (1,))]


@pytest.mark.parametrize("total", [1, 5, 6, 40])
def test_steps_are_those_of_pytorch(total: int) -> None:
    """The first two weights learn at another rate than the others, and only from the third step on."""
    ours, theirs = weights_of(0), [torch.nn.Parameter(weight) for weight in weights_of(0)]
    steps = Steps({0.01: ours[:2], 0.03: ours[2:]}, DECAY, total)
    groups = [{"params": theirs[:2], "lr": 0.01}, {"params": theirs[2:], "lr": 0.03}]
    adam = torch.optim.AdamW(groups, weight_decay=DECAY, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, [0.01, 0.03], total_steps=max(total + 1, 6), pct_start=0.2)
    steps.choose(ours[2:])
    for number in range(total):
        gradients = weights_of(100 + number)
        if number == 2:
            steps.choose(ours)
        first = 0 if number >= 2 else 2
        for weight, gradient in zip(theirs[first:], gradients[first:], strict=True):
            weight.grad = gradient.clone()
        assert [steps.rate(peak) for peak in (0.01, 0.03)] == [group["lr"] for group in adam.param_groups]
        steps.take(gradients[first:])
        adam.step()
        cycle.step()
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True)), number
    assert steps.taken == total
