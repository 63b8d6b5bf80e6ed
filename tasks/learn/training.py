"""The training loop: tensors in memory, one-cycle schedule, early stopping, the same bits for the same seed."""

import math
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tasks.learn.group import add_up, agree, in_group, rank, size
from tasks.learn.networks import LayeredNetwork
from tasks.learn.steps import Steps

LARGE = 256  # rows of a batch from which bfloat16, several threads and a GPU pay; below, they cost more than they save
BEND = 0.1  # where the loss turns from square to linear, in units of the targets' spread


@dataclass(frozen=True)
class Schedule:
    """How long, how fast and in which order; by default all layers learn alike, and the last weights are the result.

    Attributes:
        epochs: passes over the rows.
        batch: rows per step.
        rate: peak learning rate of AdamW.
        decay: weight decay of AdamW.
        seed: of the order of the rows and of dropout.
        patience: epochs without a better validation error before it stops; None trains to the end.
        average: share that a moving average of the weights keeps of itself in each step (A. Tarvainen, H. Valpola,
            arXiv:1703.01780); the average is what is validated and returned. 0 averages nothing.
        fall: factor by which the rate falls from the head to the last layer of the trunk, and on from layer to layer
            (discriminative rates, J. Howard, S. Ruder, arXiv:1801.06146).
        gradual: whether the head begins alone and the layers join it one by one, the last of the trunk first, each
            after an equal share of the epochs (gradual unfreezing, the same paper).
        pull: strength of a decay towards the weights at the start, which replaces the decay towards zero (L2-SP, X. Li
            et al., arXiv:1802.01483). It is decoupled from the gradients as AdamW's decay is.
    """

    epochs: int
    batch: int
    rate: float
    decay: float
    seed: int
    patience: int | None = None
    average: float = 0
    fall: float = 1
    gradual: bool = False
    pull: float = 0

    def frozen(self, epoch: int, layers: int, always: int) -> int:
        """Return how many of the trunk's layers are frozen in an epoch, of which the first is 1.

        Args:
            epoch: its number.
            layers: of the trunk.
            always: layers that are frozen from the first epoch to the last.
        """
        if not self.gradual:
            return always
        shares = layers - always + 1  # of the head alone, and of each layer
        return layers + 1 - math.ceil(epoch * shares / self.epochs)


@dataclass(frozen=True)
class Epoch:
    """What one pass over the rows came to.

    Attributes:
        number: counted from 1.
        loss: mean training loss.
        error: mean absolute error on the validation rows, in units of the targets; not a number without such rows.
    """

    number: int
    loss: float
    error: float


def train(
    network: LayeredNetwork,
    rows: tuple[Tensor, Tensor],
    schedule: Schedule,
    validation: tuple[Tensor, Tensor] | None = None,
    watch: Callable[[Epoch], None] = lambda _: None,
) -> list[Epoch]:
    """Train a network in place; with validation rows it ends with the weights of its best epoch.

    AdamW on a one-cycle schedule (tasks/learn/steps.py) with the Huber loss. Frozen layers are passed once, before the
    first step. Large batches are for a GPU if there is one, shared by all if there are several, and their matrix
    products are done in bfloat16 there and where the processor has it.

    Args:
        network: with its frozen layers set.
        rows: features (n, p) and targets (n,).
        schedule: how long and how fast.
        validation: the same for other rows, for early stopping.
        watch: called after each epoch.

    Returns:
        The epochs that were run.
    """
    large = min(schedule.batch, len(rows[0])) >= LARGE
    processes = torch.cuda.device_count() if large else 1
    if processes > 1 and not multiprocessing.current_process().daemon:  # a Dask worker, say, may not start any
        return in_group(processes, _train, network, rows, schedule, validation, watch=watch)
    return _train(network, rows, schedule, validation, watch)


def _train(
    network: LayeredNetwork,
    rows: tuple[Tensor, Tensor],
    schedule: Schedule,
    validation: tuple[Tensor, Tensor] | None,
    watch: Callable[[Epoch], None],
) -> list[Epoch]:
    """Train in this process, alone or as one of a group."""
    large = min(schedule.batch, len(rows[0])) >= LARGE
    device = torch.device("cuda" if large and torch.cuda.is_available() else "cpu")
    network.to(device)
    features, targets = (tensor.to(device) for tensor in rows)
    aside = (validation[0].to(device), validation[1].to(device)) if validation else None
    always = network.frozen
    descent = _Descent(network, schedule, len(features))
    best = _Best(descent.result)
    epochs: list[Epoch] = []
    with _repeatable(schedule.seed + rank(), device), _threads(torch.get_num_threads() if large else 1):
        for number in range(1, schedule.epochs + 1):
            frozen = schedule.frozen(number, len(network.trunk), always)
            if number == 1 or frozen != network.frozen:
                descent.freeze(frozen)
                with torch.no_grad():
                    units = network.units(features, 0, frozen)
            loss = descent.epoch(features, units, targets)
            error = mean_absolute_error(descent.result, aside) if aside else math.nan
            error = agree(torch.tensor(error, dtype=torch.float64, device=device)).item()  # or one stops before another
            epochs.append(Epoch(number, loss, error))
            watch(epochs[-1])
            if aside and best.is_past(epochs[-1], schedule.patience):
                break
    network.load_state_dict(best.weights if aside else descent.result.state_dict())
    network.freeze(always)
    network.to("cpu").eval()
    return epochs


class _Descent:
    """Steps down the loss, and what they come to.

    In bfloat16 the gradients are those of a copy of the network with linear layers in bfloat16: the steps are taken in
    single precision, then the copy follows. It is what autocast does, to the bit, with less to allocate.

    Attributes:
        result: the network, or the average of what it has been.
    """

    def __init__(self, network: LayeredNetwork, schedule: Schedule, rows: int) -> None:
        self.network = network
        self.schedule = schedule
        self.batch = min(schedule.batch, rows)
        self.device = next(network.parameters()).device
        self.half = self.batch >= LARGE and (self.device.type == "cuda" or bfloat16_is_fast())
        groups = _groups(network, schedule)
        decay = 0 if schedule.pull else schedule.decay
        self.steps = Steps(groups, decay, schedule.epochs * math.ceil(rows / self.batch))
        self.starts = {
            peak: [weight.detach().clone() for weight in weights] for peak, weights in groups.items() if schedule.pull
        }
        self.result = deepcopy(network) if schedule.average else network

    def freeze(self, layers: int) -> None:
        """Freeze the first layers, and let the others learn."""
        self.network.freeze(layers)
        self.working = _in_bfloat16(self.network) if self.half else self.network
        self.weights = _learning(self.network)
        self.copies = _learning(self.working)
        self.gradients = [torch.empty_like(weight) for weight in self.weights] if self.half else []
        self.steps.choose(self.weights)

    def epoch(self, features: Tensor, units: Tensor, targets: Tensor) -> float:
        """Take a step for each batch of the rows, in an order drawn anew; return the mean loss.

        Each process of a group passes its share of the batch.

        Args:
            features: (n, p).
            units: (n, w), what the frozen layers make of them.
            targets: (n,).
        """
        self.working.train()
        missed = torch.zeros((), device=self.device)
        for batch in agree(torch.randperm(len(features)).to(self.device)).split(self.batch):
            chosen = batch[rank() :: size()]
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                predicted = self.working(features[chosen], units[chosen])
            missed_here = nn.functional.smooth_l1_loss(predicted.float(), targets[chosen], beta=BEND, reduction="sum")
            self._step(torch.autograd.grad(missed_here / len(batch), self.copies))
            missed += missed_here.detach()
        add_up([missed])
        return (missed / len(features)).item()

    @torch.no_grad()
    def _step(self, gradients: Sequence[Tensor]) -> None:
        """Move the weights by the gradients of the copies."""
        if self.half:
            torch._foreach_copy_(self.gradients, list(gradients))
        else:
            self.gradients = [gradient.contiguous() for gradient in gradients]
        add_up(self.gradients)
        strengths = {peak: self.steps.rate(peak) * self.schedule.pull for peak in self.starts}
        self.steps.take(self.gradients)
        for peak, strength in strengths.items():  # implicit: it cannot overshoot
            torch._foreach_lerp_(list(self.steps.groups[peak]), self.starts[peak], strength / (1 + strength))
        if self.half:
            torch._foreach_copy_(self.copies, self.weights)
        if self.schedule.average:
            taken = self.steps.taken
            share = min(self.schedule.average, (1 + taken) / (10 + taken))  # the first weights are soon forgotten
            torch._foreach_lerp_(list(self.result.parameters()), list(self.network.parameters()), 1 - share)


def _learning(network: LayeredNetwork) -> list[Tensor]:
    """Return the weights that are not frozen."""
    return [weight for weight in network.parameters() if weight.requires_grad]


def _groups(network: LayeredNetwork, schedule: Schedule) -> Mapping[float, list[Tensor]]:
    """Return the weights that learn, by their peak learning rates."""
    above: dict[Tensor, int] = {
        weight: len(network.trunk) - place for place, layer in enumerate(network.trunk) for weight in layer.parameters()
    }
    groups: dict[float, list[Tensor]] = defaultdict(list)
    for weight in _learning(network):
        groups[schedule.rate / schedule.fall ** above.get(weight, 0)].append(weight)
    return groups


def _in_bfloat16(network: LayeredNetwork) -> LayeredNetwork:
    """Return a copy whose linear layers are in bfloat16; normalisation stays in single precision."""
    copy = deepcopy(network)
    for module in copy.modules():
        if isinstance(module, nn.Linear):
            module.to(torch.bfloat16)
    return copy


class _Best:
    """The weights of the best epoch so far."""

    def __init__(self, network: LayeredNetwork) -> None:
        self.network = network
        self.error = math.inf
        self.number = 0
        self.weights: dict[str, Tensor] = {}

    def is_past(self, epoch: Epoch, patience: int | None) -> bool:
        """Keep the weights if this epoch is the best; tell whether the best is more than `patience` epochs ago."""
        if epoch.error < self.error:
            self.error, self.number = epoch.error, epoch.number
            self.weights = {name: value.clone() for name, value in self.network.state_dict().items()}
        return patience is not None and epoch.number - self.number >= patience


def predict(network: LayeredNetwork, features: Tensor) -> Tensor:
    """Return the predictions (n,) for (n, p) features, without dropout and in single precision."""
    network.eval()
    with torch.no_grad():
        return torch.cat([network(part) for part in features.split(8192)])


def represent(network: LayeredNetwork, features: Tensor) -> Tensor:
    """Return what the head's linear layer sees of (n, p) features: (n, w)."""
    network.eval()
    with torch.no_grad():
        return torch.cat([network.represent(part) for part in features.split(8192)])


def mean_absolute_error(network: LayeredNetwork, rows: tuple[Tensor, Tensor]) -> float:
    """Return the mean absolute error on (features, targets), in units of the targets."""
    features, targets = rows
    return (predict(network, features) - targets).abs().mean().item()


def bfloat16_is_fast() -> bool:
    """Tell whether the processor multiplies matrices in bfloat16: elsewhere it is emulated, and slower than float32."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Let PyTorch use so many threads inside the `with` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _repeatable(seed: int, device: torch.device) -> Iterator[None]:
    """Seed what is random inside the `with` block and, on a GPU, do without what sums in no fixed order."""
    gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if gpu else []):
        torch.manual_seed(seed)
        with _in_fixed_order() if gpu else nullcontext():
            yield


@contextmanager
def _in_fixed_order() -> Iterator[None]:
    """Sum in a fixed order on GPUs; to ask PyTorch for it loads torch.compile and SymPy, which takes two seconds."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it at its first product
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)  # noqa: FBT003 -- PyTorch's signature
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
