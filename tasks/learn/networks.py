"""The networks: fully connected, with their layers in the order in which they can be frozen.

Shapes: n rows, p features, w units.
"""

from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn

from tasks.recipe import ElemNet, Network, Residual

ELEMNET = (*[1024] * 4, *[512] * 3, *[256] * 3, *[128] * 3, *[64] * 2, 32)
ELEMNET_KEEP = {4: 0.8, 7: 0.9, 10: 0.7, 13: 0.8}  # after so many layers; published as "dropout", kept is what it means


class LayeredNetwork(nn.Module):
    """A network whose trunk is a list of layers, from the input on; the head is what stands after them.

    Attributes:
        trunk: the layers that transfer may freeze, first layer first.
        frozen: how many of them are.
        deep: the head's linear layer on what the trunk represents.
    """

    trunk: nn.ModuleList
    deep: nn.Linear
    frozen: int = 0

    def represent(self, features: Tensor) -> Tensor:
        """Return what the head's linear layer sees of (n, p) features: (n, w)."""
        return self.normalise(self.units(features, 0, len(self.trunk)))

    def units(self, units: Tensor, first: int, last: int) -> Tensor:
        """Pass units through the layers from `first` up to, without, `last`."""
        for layer in self.trunk[first:last]:
            units = layer(units)
        return units

    def forward(self, features: Tensor, units: Tensor | None = None) -> Tensor:
        """Return the prediction (n,) for (n, p) features; `units` are what the frozen layers made of them, if known."""
        start = 0 if units is None else self.frozen
        units = self.units(features if units is None else units, start, len(self.trunk))
        return self.head(self.normalise(units), features)

    def normalise(self, units: Tensor) -> Tensor:
        """Return the trunk's output (n, w) as the head's linear layer takes it."""
        return units

    def head(self, represented: Tensor, features: Tensor) -> Tensor:  # noqa: ARG002 -- a subclass may look at them
        """Return the prediction (n,) from what the trunk represents (n, w) and the features (n, p)."""
        return self.deep(represented).squeeze(-1)  # type: ignore[no-any-return]

    def regress(self, weights: Tensor, bias: float) -> None:
        """Make the head a given linear regressor on what the trunk represents: weights (w,)."""
        with torch.no_grad():
            self.deep.weight.copy_(weights[None])
            self.deep.bias.fill_(bias)

    def freeze(self, layers: int) -> None:
        """Freeze the first layers: no gradient, hence no weight decay, and no dropout either.

        Args:
            layers: how many, from 0 to the length of the trunk.

        Raises:
            ValueError: the trunk has fewer layers.
        """
        if not 0 <= layers <= len(self.trunk):
            raise ValueError(f"{layers} layers cannot be frozen: the trunk has {len(self.trunk)}")
        for place, layer in enumerate(self.trunk):
            layer.requires_grad_(place >= layers)
        self.frozen = layers
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 -- PyTorch's signature
        """Set training mode on all layers but the frozen ones, which stay as they are at prediction."""
        super().train(mode)
        for layer in self.trunk[: self.frozen]:
            layer.eval()
        return self


class ResidualBlock(nn.Module):
    """Adds to its input what two linear layers make of its normalised self; starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, units: Tensor) -> Tensor:
        """Map (n, w) to (n, w)."""
        return units + self.outer(nn.functional.silu(self.inner(self.norm(units))))  # type: ignore[no-any-return]


class ResidualNetwork(LayeredNetwork):
    """An input layer and residual blocks, then a linear head on the activations and, beside it, on the features.

    The direct path from the features is additive group contributions: it is what extrapolates to molecules larger than
    any in the source, where the deep path alone went astray.
    """

    def __init__(self, inputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.trunk = nn.ModuleList([nn.Linear(inputs, width), *(ResidualBlock(width) for _ in range(blocks))])
        self.norm = nn.LayerNorm(width)
        self.deep = nn.Linear(width, 1)
        self.direct = nn.Linear(inputs, 1, bias=False)
        nn.init.zeros_(self.deep.weight)
        nn.init.zeros_(self.direct.weight)

    def normalise(self, units: Tensor) -> Tensor:
        """Return the trunk's output (n, w), normalised row by row."""
        return self.norm(units)  # type: ignore[no-any-return]

    def head(self, represented: Tensor, features: Tensor) -> Tensor:
        """Return the prediction (n,) from what the trunk represents (n, w) and the features (n, p)."""
        return super().head(represented, features) + self.direct(features).squeeze(-1)  # type: ignore[no-any-return]

    def regress(self, weights: Tensor, bias: float) -> None:
        """Make the head a given linear regressor on what the trunk represents, and on nothing else."""
        super().regress(weights, bias)
        nn.init.zeros_(self.direct.weight)


class Dropout(nn.Dropout):
    """Dropout that draws four units' fates, 16 bits each, at a time.

    On a processor PyTorch draws them one by one on one core, which took a fifth of ElemNet's time. The probability is
    rounded to a multiple of 2**-16, and what is kept is scaled by the rounded one.
    """

    def forward(self, units: Tensor) -> Tensor:
        """Map units of any shape to units of that shape."""
        if not self.training or units.device.type != "cpu":
            return super().forward(units)
        return units * self.draw(units.shape).to(units.dtype).mul_(self.scale)

    @property
    def scale(self) -> float:
        """The factor of what is kept."""
        return 2**16 / self.kept

    @property
    def kept(self) -> int:
        """Of 2**16 draws those that keep a unit."""
        return round((1 - self.p) * 2**16)

    def draw(self, shape: torch.Size) -> Tensor:
        """Draw which units are kept: 16-bit integers, 1 or 0; as truth values they would take five times as long."""
        draws = torch.empty(-(-shape.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        fates = draws.view(torch.int16)[: shape.numel()].view(shape)
        return fates.lt_(self.kept - 2**15)


class RectifiedLayer(nn.Sequential):
    """A linear layer, ReLU, and dropout or not; in bfloat16 on a processor done by fewer and faster operations."""

    def forward(self, units: Tensor) -> Tensor:
        """Map (n, w) to (n, v)."""
        linear, _, *dropout = self
        if linear.weight.dtype != torch.bfloat16 or linear.weight.device.type != "cpu":
            return super().forward(units)  # type: ignore[no-any-return, no-untyped-call]
        drop = dropout[0] if dropout and dropout[0].training else None
        half = units.to(torch.bfloat16)
        return _Rectified.apply(half, linear.weight, linear.bias, drop)  # type: ignore[no-any-return, no-untyped-call]


class _Rectified(torch.autograd.Function):
    """ReLU of a linear layer and dropout, in bfloat16 on a processor, with a pass over the units less for each."""

    @staticmethod
    def forward(context: Any, units: Tensor, weight: Tensor, bias: Tensor, drop: Dropout | None) -> Tensor:
        """Map (n, w) by (v, w) weights and (v,) biases to (n, v)."""
        linear = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001 -- what torch.compile makes of it
        rectified: Tensor = linear(units, weight, bias, "relu", [], "")
        context.scale = None
        if drop:
            context.scale = torch.tensor(drop.scale, dtype=torch.bfloat16).item()
            every_bit = drop.draw(rectified.shape).neg_()  # of what is kept, and none of the others
            rectified.mul_(context.scale).view(torch.int16).bitwise_and_(every_bit)
        context.save_for_backward(units, weight, rectified)
        return rectified

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of units, weights and biases from that of the result: (n, v).

        What was dropped is zero, as what was rectified, so that one look at the result finds both. A product with a
        transposed left side takes three times as long as one without: it is turned beforehand, from rows a little
        apart, because columns of rows of 2048 bytes all fall into the same few lines of the cache.
        """
        units, weight, rectified = context.saved_tensors
        count, width = gradient.shape
        apart = gradient.new_empty(count, width + 32)[:, :width]
        torch.ops.aten.threshold_backward.grad_input(gradient, rectified, 0, grad_input=apart)
        if context.scale:
            apart.mul_(context.scale)
        turned = apart.T.contiguous()
        return apart @ weight if context.needs_input_grad[0] else None, turned @ units, turned.sum(1), None


class ElemNetNetwork(LayeredNetwork):
    """ElemNet: 16 hidden layers with ReLU, dropout after four groups of them, and a linear output.

    D. Jha et al., Sci. Rep. 8 (2018) 17593, doi:10.1038/s41598-018-35934-y.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        sizes = (inputs, *ELEMNET)
        self.trunk = nn.ModuleList()
        for layer, (before, after) in enumerate(pairwise(sizes), start=1):
            dropout = [Dropout(1 - ELEMNET_KEEP[layer])] if layer in ELEMNET_KEEP else []
            self.trunk.append(RectifiedLayer(nn.Linear(before, after), nn.ReLU(inplace=True), *dropout))
        self.deep = nn.Linear(ELEMNET[-1], 1)


def build(network: Network, inputs: int, seed: int) -> LayeredNetwork:
    """Make a network with new weights.

    Args:
        network: its kind and sizes, from the recipe.
        inputs: number of features.
        seed: of the weights; the global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        match network:
            case Residual():
                return ResidualNetwork(inputs, network.width, network.blocks)
            case ElemNet():
                return ElemNetNetwork(inputs)
