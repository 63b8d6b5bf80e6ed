"""No more processes are started than memory has room for, be it the machine's or that of a container."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tasks.memory import GROUPS, free_memory
from tasks.parallel import SIZE, cores, processes

LIMIT = 1_000_000_000


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of a gigabyte, as a container has one."""
    root, limit = GROUPS / "memory", "memory.limit_in_bytes"
    if not root.exists():
        root, limit = GROUPS, "memory.max"
    folder = root / f"matlift-test-{uuid.uuid4().hex[:8]}"
    with suppress(OSError):
        folder.mkdir()
    if not (folder / limit).exists():
        pytest.skip("control groups of memory cannot be made here: that needs root on Linux")
    (folder / limit).write_text(str(LIMIT))
    yield folder
    folder.rmdir()


def test_there_is_memory_here_and_no_more_than_the_machine_has() -> None:
    assert 0 < free_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert processes() == min(cores(), free_memory() // SIZE)


def test_in_a_container_its_own_limit_counts(group: Path) -> None:
    script = f"""
import os
from pathlib import Path
Path("{group}/cgroup.procs").write_text(str(os.getpid()))
from tasks.memory import free_memory
from tasks.parallel import processes
print(free_memory(), processes())
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    free, started = done.stdout.split()
    assert LIMIT / 2 < float(free) < LIMIT
    assert started == "1"
