"""Chunks are worked on in processes, in order, with progress; a dead process is explained."""

import os
import signal
import sys
from collections.abc import Sequence

import pytest

from tasks.errors import MatliftError
from tasks.parallel import cores, run_chunks
from tasks.progress import Progress, listening

several = pytest.mark.skipif(cores() < 2, reason="needs two cores")


def doubled(numbers: Sequence[int]) -> list[int]:
    return [2 * number for number in numbers]


def process(_numbers: Sequence[int]) -> int:
    return os.getpid()


def prefect_is_imported(_numbers: Sequence[int]) -> bool:
    return "prefect" in sys.modules


def dying(numbers: Sequence[int]) -> None:
    if 3 in numbers:
        os.kill(os.getpid(), signal.SIGKILL)


def complaining(numbers: Sequence[int]) -> None:
    raise MatliftError(f"no {numbers[0]}")


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_results_come_in_the_order_of_the_items(chunk: int) -> None:
    results = run_chunks(doubled, range(7), chunk=chunk, label="double")
    assert [number for result in results for number in result] == [0, 2, 4, 6, 8, 10, 12]


def test_nothing_makes_nothing() -> None:
    assert run_chunks(doubled, [], chunk=3, label="double") == []


@several
def test_several_chunks_go_to_other_processes() -> None:
    assert os.getpid() not in run_chunks(process, range(4), chunk=1, label="where")


def test_a_single_chunk_stays_in_this_process() -> None:
    assert run_chunks(process, range(4), chunk=4, label="where") == [os.getpid()]


@several
def test_the_processes_do_not_inherit_prefect() -> None:
    __import__("prefect")
    assert not any(run_chunks(prefect_is_imported, range(4), chunk=1, label="inherit"))


@pytest.mark.parametrize("chunk", [2, 5])
def test_progress_counts_items(chunk: int) -> None:
    heard: list[Progress] = []
    with listening(heard.append):
        run_chunks(doubled, range(5), chunk=chunk, label="double")
    assert [progress.done for progress in heard] == ([0, 2, 4, 5] if chunk == 2 else [0, 5])
    assert {(progress.label, progress.total) for progress in heard} == {("double", 5)}


@several
def test_a_killed_process_is_explained() -> None:
    with pytest.raises(MatliftError, match="a process of “die” was killed, most often for lack of memory"):
        run_chunks(dying, range(4), chunk=1, label="die")


@pytest.mark.parametrize("chunk", [1, 4])
def test_an_error_in_the_work_reaches_the_caller(chunk: int) -> None:
    with pytest.raises(MatliftError, match="no 0"):
        run_chunks(complaining, range(4), chunk=chunk, label="complain")
