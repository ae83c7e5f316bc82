"""The memory that this process may still use: that of the machine, or of its control group, whichever is less.

A container has the memory of the machine in `/proc/meminfo`, and its own limit in its control group.
https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/admin-guide/cgroup-v1/memory.html.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

_GROUPS, _MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_V2 = ("memory.max", "memory.current", "inactive_file")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
"""The files of the limit and of what is used, and the field of `memory.stat` with what of it can be freed; in bytes."""


def available_host_memory() -> float:
    """Return the bytes that this process may still allocate."""
    return min([float(psutil.virtual_memory().available), *_available_in_groups()])


def _available_in_groups() -> Iterator[float]:
    """Yield the bytes that are left in each control group with a limit, from this process's own to the outermost."""
    lines: list[str] = []
    with suppress(OSError):
        lines = _GROUPS.read_text(encoding="utf-8").splitlines()
    for number, controllers, group in (line.split(":", 2) for line in lines if line.count(":") > 1):
        if number == "0" or "memory" in controllers.split(","):
            mount, names = (_MOUNT, _V2) if number == "0" else (_MOUNT / "memory", _V1)
            # In a container its own group is the mount itself, whatever its path is outside.
            folder = mount / group.strip("/")
            for one in (folder, *folder.parents):
                if one.is_relative_to(mount):
                    with suppress(OSError, ValueError):
                        yield _available(one, *names)


def _available(folder: Path, limit: str, used: str, inactive: str) -> float:
    allowed = (folder / limit).read_text().strip()
    stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    held = int((folder / used).read_text()) - int(stat.get(inactive, 0))
    return math.inf if allowed == "max" else max(0.0, float(int(allowed) - held))
