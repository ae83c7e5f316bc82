"""Identify processes across machines, containers and restarts; and end with one's parent.

A record of a process (a heartbeat, a run's tag) is read on other machines, in other containers and after restarts,
where its pid belongs to another process. `ProcessRef` alone decides whether this machine's process table can tell
about it, and is the only code that signals a process of which only a record is known.

psutil does not replace the reading of `/proc` here. It gives a start time in seconds that moves with the system clock,
not the clock ticks since boot that the records of earlier versions contain, and neither boot id nor pid namespace.
"""

import ctypes
import hashlib
import os
import platform
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SAME_SIGNAL = 0.5
"""Seconds within which a second signal is the first one: a launcher and a terminal may both pass it on."""
_PR_SET_PDEATHSIG = 1
_PROC = Path("/proc")
_BOOT_ID = "sys/kernel/random/boot_id"
_MACHINE_ID = Path("/etc/machine-id")
_HIGHEST_PID = 2**22
"""`PID_MAX_LIMIT` of Linux."""
_INITIAL_PID_NAMESPACE = "4026531836"
"""`PROC_PID_INIT_INO` of Linux: the namespace of all processes outside of containers."""


def die_with_parent(signum: int = signal.SIGKILL) -> None:
    """Let the kernel (Linux) send `signum` to this process as soon as its parent process has ended."""
    ctypes.CDLL("libc.so.6", use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signum))


def process_identity(pid: int | None = None) -> str | None:
    """Return a text that no other process has: of this process, or of another one of this machine.

    `machine:boot:namespace:start`: a digest of the machine's id, the kernel's boot id, the number of the pid namespace
    and the start time in clock ticks since boot. None if there is no such process, if it is a zombie, or if `/proc` is
    missing or belongs to another pid namespace.
    """
    try:
        if str((_PROC / "self").readlink()) != str(os.getpid()):
            return None
        boot = (_PROC / _BOOT_ID).read_text().strip()
        namespace = (_PROC / "self/ns/pid").stat().st_ino
        # The name, which may contain anything, is in brackets. After it: the state first, the start time 20th.
        state, *others = (_PROC / str(pid or "self") / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else f"{_machine()}:{boot}:{namespace}:{others[18]}"


def boot_id() -> str | None:
    """Return the kernel's boot id, which differs after each start of the machine; None if there is none."""
    with suppress(OSError):
        return (_PROC / _BOOT_ID).read_text().strip()
    return None


def place_key() -> str | None:
    """Return a digest of host, machine, pid namespace and mounts; None if they are unknown.

    Processes with the same key see the same processes and the same files. It is the same after a restart.
    """
    here = _here()
    if here is None:
        return None
    host, machine, _, namespace = here
    with suppress(OSError):
        mounts = (_PROC / "self/ns/mnt").stat().st_ino
        return hashlib.sha256(f"{host} {machine} {namespace} {mounts}".encode()).hexdigest()[:12]
    return None


def _machine() -> str:
    """Return a digest of the machine's id, which should not be published itself; empty if it has none."""
    with suppress(OSError):
        if name := _MACHINE_ID.read_text().strip():
            return hashlib.sha256(f"hlx-brain {name}".encode()).hexdigest()[:12]
    return ""


@dataclass(frozen=True)
class ProcessRef:
    """A process as it was recorded, perhaps on another machine."""

    host: str | None
    pid: int
    identity: str | None
    """What `process_identity` returned there; None if it was not recorded."""

    @classmethod
    def of(cls, pid: int) -> "ProcessRef":
        """Refer to a process of this machine and pid namespace."""
        return cls(platform.node(), pid, process_identity(pid))

    @property
    def is_local(self) -> bool:
        """Whether this process table can tell about it: same host, machine, boot, pid namespace, and a pid above 1."""
        # A damaged record may contain any number: 1 is everything in a container, 0 and -1 are whole groups.
        possible = type(self.pid) is int and 1 < self.pid <= _HIGHEST_PID
        return possible and self._place is not None and self._place == _here()

    @property
    def is_running(self) -> bool:
        """Whether it is certain that it runs, on this machine."""
        return self.is_local and process_identity(self.pid) == self.identity

    @property
    def is_gone(self) -> bool:
        """Whether it is certain that it has ended.

        Either it ran here and the process table does not contain it, or this machine has been restarted since. Of a
        process of another machine or container, neither can be known.
        """
        if not self.is_local:
            return self._before_restart
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            # Another user's process, which /proc may hide (hidepid).
            return process_identity(self.pid) not in (None, self.identity)
        return process_identity(self.pid) != self.identity

    def kill(self, *, group: bool = False) -> bool:
        """Send SIGKILL to it, or to its whole process group if it leads one, if it certainly runs here.

        Returns:
            Whether the signal was sent.
        """
        if not self.is_running:
            return False
        with suppress(ProcessLookupError, PermissionError):
            send = os.killpg if group and os.getpgid(self.pid) == self.pid else os.kill
            send(self.pid, signal.SIGKILL)
            return True
        return False

    def __str__(self) -> str:
        host = self.host or "an unknown host"
        elsewhere = self.host == platform.node() and self._place != _here()
        return f"process {self.pid} on {host}" + (" (another machine, container or boot)" if elsewhere else "")

    @property
    def _place(self) -> tuple[str, str, str, str] | None:
        """Host, machine, boot and pid namespace; None if they were not recorded."""
        if not self.host or not isinstance(self.identity, str) or self.identity.count(":") != 3:
            return None
        machine, boot, namespace, _ = self.identity.split(":")
        return self.host, machine, boot, namespace

    @property
    def _before_restart(self) -> bool:
        """Whether it ran on this machine before its last restart, outside of any container."""
        there, here = self._place, _here()
        if there is None or here is None or not here[1] or there[:2] != here[:2]:
            return False
        return there[2] != here[2] and there[3] == here[3] == _INITIAL_PID_NAMESPACE


def _here() -> tuple[str, str, str, str] | None:
    """Return the place of this process; None if it is unknown."""
    return ProcessRef.of(os.getpid())._place
