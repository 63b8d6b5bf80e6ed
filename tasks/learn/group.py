"""Training by a group of processes, a GPU each: all take their share of every batch and add up their gradients.

The sums are PyTorch's (`torch.distributed`): by NCCL between GPUs, by gloo between processors. Outside of a group the
functions here say that one process does it all.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn

Result = TypeVar("Result")


def rank() -> int:
    """Return this process' number in the group, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def size() -> int:
    """Return how many processes the group has."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def add_up(tensors: Iterable[Tensor]) -> None:
    """Put in the place of each tensor the sum of those of all processes."""
    if size() > 1:
        for tensor in tensors:
            distributed.all_reduce(tensor)


def agree(tensor: Tensor) -> Tensor:
    """Return the first process' tensor instead of one's own, of the same shape."""
    if size() > 1:
        distributed.broadcast(tensor, 0)
    return tensor


def in_group(processes: int, work: Callable[..., Result], network: nn.Module, *inputs: Any, watch: Any) -> Result:
    """Do the same work in several processes, of which this one is the first; return what it came to here.

    Args:
        processes: how many.
        work: takes the network, the inputs and `watch`; at the top level of a module, because the others import it.
        network: is changed here; the others work on copies.
        inputs: what else the work takes.
        watch: called in this process only.
    """
    with TemporaryDirectory() as folder:
        meeting = f"file://{folder}/meeting"
        handed = (meeting, processes, work, deepcopy(network), *inputs)
        others = spawn(_join, handed, processes - 1, join=False)
        try:
            _enter(meeting, 0, processes)
            result = work(network, *inputs, watch)
            while not others.join():
                pass
        finally:
            _leave()
            for process in others.processes:
                process.kill()  # if this one failed, the others wait for it
                process.join()
    return result


def _join(place: int, meeting: str, processes: int, work: Callable[..., Any], network: nn.Module, *inputs: Any) -> None:
    """Do the work as one of the others; tensors come in shared memory, so the network has to be copied."""
    _enter(meeting, place + 1, processes)
    work(deepcopy(network), *inputs, _ignore)
    _leave()


def _enter(meeting: str, number: int, processes: int) -> None:
    if torch.cuda.is_available():
        torch.cuda.set_device(number)
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, init_method=meeting, rank=number, world_size=processes)


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _ignore(_: Any) -> None: ...
