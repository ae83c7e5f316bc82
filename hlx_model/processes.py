"""Processes: whether one is there, and is the one that was meant; one that must not outlive the one that started it."""

import ctypes
import os
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PROC = Path("/proc")


def die_with_parent() -> None:
    """Be killed by the kernel (Linux) as soon as the process that started this one is gone, however it went."""
    ctypes.CDLL("libc.so.6", use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def process_identity(pid: int | None = None) -> str | None:
    """What tells a process (by default this one) from a later one of its number: when the machine and it started.

    None where there is no such process, where it has ended and only waits to be asked how, or without Linux's `/proc`.
    """
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        # After the name, which may hold anything, in brackets: the state first, the start in ticks since boot 20th.
        state, *others = (_PROC / str(pid or "self") / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else f"{boot}:{others[18]}"


def process_alive(pid: int, identity: str | None = None) -> bool:
    """Whether a process of that number runs on this machine; with an `identity`, whether it is that one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if not _PROC.is_dir():
        return True
    found = process_identity(pid)
    return found is not None and identity in (None, found)
