"""How much memory there is for more processes: of this machine, or of the container that it is for us."""

import math
from pathlib import Path

PROC = Path("/proc")
GROUPS = Path("/sys/fs/cgroup")


def free_memory() -> float:
    """Return the bytes that can be taken without swapping or being killed; infinity where the system does not tell."""
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
    except OSError:  # no Linux
        return math.inf
    kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return min(kilobytes["MemAvailable"] * 1024, _left_in_group())


def _left_in_group() -> float:
    """Return what the limit of our control group leaves, which is how containers are limited; infinity if none does."""
    for line in (PROC / "self" / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            names = (GROUPS, "memory.max", "memory.current", "inactive_file")
        elif controllers == "memory":
            names = (GROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        root, limit, usage, cache = names
        # in a container the path may be that of the host, and the root the container's own
        for folder in (root / path.lstrip("/"), root):
            if (folder / limit).exists():
                return _left(folder, limit, usage, cache)
    return math.inf


def _left(folder: Path, limit: str, usage: str, cache: str) -> float:
    """Return limit less usage, in which files that are merely kept in memory do not count."""
    most = (folder / limit).read_text().strip()
    if most == "max":
        return math.inf
    stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    return int(most) - int((folder / usage).read_text()) + int(stat[cache])
