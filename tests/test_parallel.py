"""Chunks are worked on in processes, in order, with progress; a dead process is explained."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import prefect
import pytest

from tasks import cluster
from tasks.errors import MatliftError
from tasks.parallel import AHEAD, cores, run_chunks, run_parts
from tasks.progress import Progress, listening

several = pytest.mark.skipif(cores() < 2, reason="needs two cores")


def doubled(numbers: Sequence[int]) -> list[int]:
    return [2 * number for number in numbers]


def process(_numbers: Sequence[int]) -> int:
    return os.getpid()


def parent(_numbers: Sequence[int]) -> int:
    return os.getppid()


def prefect_has_state(_: Sequence[int]) -> bool:
    return hasattr(prefect, "state")


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
    assert list(run_chunks(doubled, [], chunk=3, label="double")) == []


@several
def test_several_chunks_go_to_other_processes() -> None:
    assert os.getpid() not in run_chunks(process, range(4), chunk=1, label="where")


def test_a_single_chunk_stays_in_this_process() -> None:
    assert list(run_chunks(process, range(4), chunk=4, label="where")) == [os.getpid()]


@several
def test_the_processes_inherit_nothing_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefect, "state", "of this process", raising=False)
    assert prefect_has_state([])
    assert not any(run_chunks(prefect_has_state, range(4), chunk=1, label="inherit"))


@pytest.mark.parametrize("chunk", [2, 5])
def test_progress_counts_items(chunk: int) -> None:
    heard: list[Progress] = []
    with listening(heard.append):
        list(run_chunks(doubled, range(5), chunk=chunk, label="double"))
    assert [progress.done for progress in heard] == ([0, 2, 4, 5] if chunk == 2 else [0, 5])
    assert {(progress.label, progress.total) for progress in heard} == {("double", 5)}


@several
def test_a_killed_process_is_explained() -> None:
    with pytest.raises(MatliftError, match="a process of “die” was killed, most often for lack of memory"):
        list(run_chunks(dying, range(4), chunk=1, label="die"))


@several
def test_processes_end_with_a_killed_parent() -> None:
    script = """
import os, signal
from test_parallel import process
from tasks.parallel import run_chunks
for worker in run_chunks(process, range(8), chunk=1, label="where"):
    print(worker, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=False, env=environment)
    assert done.returncode == -signal.SIGKILL
    worker = Path(f"/proc/{int(done.stdout)}")
    deadline = time.monotonic() + 20
    while worker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not worker.exists()


@several
def test_what_starts_processes_is_there_before_there_is_work() -> None:
    script = """
from multiprocessing import forkserver
from test_parallel import parent
from tasks import parallel
parallel.LIBRARIES.clear()
parallel.load_ahead()
there = forkserver._forkserver._forkserver_pid
assert there and set(parallel.run_chunks(parent, range(4), chunk=1, label="where")) == {there}
"""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": path})


def test_few_chunks_are_on_their_way_at_once() -> None:
    asked: list[int] = []

    class Items(list[int]):
        def __getitem__(self, place: object) -> list[int]:  # type: ignore[override]
            asked.append(1)
            return super().__getitem__(place)  # type: ignore[call-overload,no-any-return]

    with closing(run_chunks(doubled, Items(range(50)), chunk=1, label="double")) as results:
        assert next(results) == [0]
    assert len(asked) <= AHEAD * cores()


def test_a_dask_cluster_works_on_chunks_in_order(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATLIFT_DASK", scheduler)
    heard: list[Progress] = []
    with listening(heard.append):
        results = list(run_chunks(doubled, range(7), chunk=2, label="double"))
    assert results == [[0, 2], [4, 6], [8, 10], [12]]
    assert [progress.done for progress in heard] == [0, 2, 4, 6, 7]
    workers = set(run_chunks(process, range(8), chunk=1, label="where"))
    assert os.getpid() not in workers
    with pytest.raises(MatliftError, match="no 0"):
        list(run_chunks(complaining, range(4), chunk=1, label="complain"))


def test_a_dask_cluster_that_gives_up_is_explained(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATLIFT_DASK", scheduler)
    with pytest.raises(MatliftError, match=f"the Dask cluster at {scheduler} gave “die” up"):
        list(run_chunks(dying, range(4), chunk=1, label="die"))


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 0.2)
    for wrong in ("tcp://127.0.0.1:9", "nonsense://x"):
        monkeypatch.setenv("MATLIFT_DASK", wrong)
        with pytest.raises(MatliftError, match=f"the Dask scheduler at MATLIFT_DASK, {wrong}, does not answer"):
            list(run_chunks(doubled, range(4), chunk=1, label="double"))


def test_an_address_without_dask_is_explained() -> None:
    script = """
import sys
sys.modules["distributed"] = None  # as if it were not installed
from tasks.parallel import run_chunks
try:
    list(run_chunks(len, range(4), chunk=1, label="count"))
except Exception as error:
    print(error)
"""
    environment = {**os.environ, "MATLIFT_DASK": "tcp://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == (
        "MATLIFT_DASK is tcp://127.0.0.1:9, but Dask is not installed: pip install 'matlift[dask]', or unset it\n"
    )


@pytest.mark.parametrize("chunk", [1, 4])
def test_an_error_in_the_work_reaches_the_caller(chunk: int) -> None:
    with pytest.raises(MatliftError, match="no 0"):
        list(run_chunks(complaining, range(4), chunk=chunk, label="complain"))


def times(factor: int, number: int) -> tuple[int, int]:
    if not number:
        raise MatliftError("no nought")
    return factor * number, os.getpid()


@several
def test_parts_are_worked_on_in_order_as_they_come() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1, 100):
            made.append(number)
            yield number

    with closing(run_parts(times, 3, numbers(), label="multiply", libraries=[])) as results:
        first, where = next(results)
        assert (first, where != os.getpid()) == (3, True)
        assert len(made) <= AHEAD * cores() + 2
        assert [number for number, _ in results] == [3 * number for number in range(2, 100)]


def test_a_single_part_stays_in_this_process() -> None:
    assert list(run_parts(times, 3, [7], label="multiply", libraries=[])) == [(21, os.getpid())]
    assert list(run_parts(times, 3, [], label="multiply", libraries=[])) == []


@pytest.mark.parametrize("parts", [[0], [1, 2, 0, 3]])
def test_an_error_in_a_part_reaches_the_caller(parts: list[int]) -> None:
    with pytest.raises(MatliftError, match="no nought"):
        list(run_parts(times, 3, parts, label="multiply", libraries=[]))
