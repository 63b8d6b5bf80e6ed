"""One trunk for several computed tables, with a head for each."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from tasks.learn.networks import LayeredNetwork


class MultitaskNetwork(LayeredNetwork):
    """A network that also predicts what other tables hold; the last column of its features says of which a row is.

    What the tables share is learnt together by the trunk, in which they differ by their heads (R. Caruana, Mach. Learn.
    28 (1997) 41, doi:10.1023/A:1007379606734).

    Attributes:
        network: the trunk with the head of the first table, which is kept when the others have done their part.
        heads: those of the others, in the shape of networks without a trunk.
    """

    def __init__(self, network: LayeredNetwork, others: int) -> None:
        super().__init__()
        self.network = network
        self.trunk, self.deep = network.trunk, network.deep
        self.heads = nn.ModuleList(deepcopy(network) for _ in range(others))
        for head in self.heads:
            head.trunk = nn.ModuleList()

    def forward(self, features: Tensor, units: Tensor | None = None) -> Tensor:
        """Return the prediction (n,) for (n, p + 1) features, each by the head of its table."""
        rows, table = features[:, :-1], features[:, -1]
        units = self.units(rows, 0, len(self.trunk))
        predicted = self.network.head(self.network.normalise(units), rows)
        for number, head in enumerate(self.heads, start=1):
            assert isinstance(head, LayeredNetwork)  # noqa: S101 -- for mypy
            predicted = torch.where(table == number, head.head(head.normalise(units), rows), predicted)
        return predicted


def together(tables: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return the features (n, p + 1) and targets (n,) of all tables, as `MultitaskNetwork` takes them."""
    features = [
        torch.cat([features, torch.full((len(features), 1), float(number))], dim=1)
        for number, (features, _) in enumerate(tables)
    ]
    return torch.cat(features), torch.cat([targets for _, targets in tables])
