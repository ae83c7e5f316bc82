"""The memory and the CPU cores that this process may use: the machine's, or those of its control group if it has less.

A container has the memory of the machine in `/proc/meminfo`, and its own limit in its control group.
https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/admin-guide/cgroup-v1/memory.html; the
quota of CPU time in version 1: https://docs.kernel.org/scheduler/sched-bwc.html.
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

_GROUPS, _MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_V2 = ("memory.max", "memory.current", "inactive_file")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
"""The files of the limit and of what is used, and the field of `memory.stat` with what of it can be freed; in bytes."""


def available_host_memory() -> float:
    """Return the bytes that this process may still allocate."""
    return min([float(psutil.virtual_memory().available), *_in_groups("memory", _available)])


def usable_cores() -> float:
    """Return the CPU cores that this process may use at the same time; a quota may be a part of a core."""
    return min([float(len(os.sched_getaffinity(0))), *_in_groups("cpu", _quota)])


def _in_groups(controller: str, read: Callable[[Path, bool], float]) -> Iterator[float]:
    """Yield what `read` finds in each control group with a controller, from this process's own to the outermost.

    Args:
        controller: `memory` or `cpu`.
        read: gets the folder of a group, and whether it is one of version 2.
    """
    lines: list[str] = []
    with suppress(OSError):
        lines = _GROUPS.read_text(encoding="utf-8").splitlines()
    for number, controllers, group in (line.split(":", 2) for line in lines if line.count(":") > 1):
        second = number == "0"
        if second or controller in controllers.split(","):
            mount = _MOUNT if second else _MOUNT / controller
            # In a container its own group is the mount itself, whatever its path is outside.
            folder = mount / group.strip("/")
            for one in (folder, *folder.parents):
                if one.is_relative_to(mount):
                    with suppress(OSError, ValueError):
                        yield read(one, second)


def _available(folder: Path, second: bool) -> float:
    limit, used, inactive = _V2 if second else _V1
    allowed = (folder / limit).read_text().strip()
    stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    held = int((folder / used).read_text()) - int(stat.get(inactive, 0))
    return math.inf if allowed == "max" else max(0.0, float(int(allowed) - held))


def _quota(folder: Path, second: bool) -> float:
    files = ("cpu.max",) if second else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    quota, period = " ".join((folder / name).read_text() for name in files).split()
    return math.inf if quota in ("max", "-1") else int(quota) / int(period)
