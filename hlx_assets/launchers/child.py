"""Trainers as child processes: the trainer itself, or a program of a cluster that stays until the trainer has ended."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import IO, ClassVar

from hlx_assets.launchers.devices import VISIBLE, free_gpu
from hlx_assets.launchers.launcher import TRAINER, Launcher, Number, Slots, Trainer, torchrun
from hlx_model.runs.processes import SAME_SIGNAL, die_with_parent

GRACES = {signal.SIGINT: 30.0, signal.SIGTERM: 10.0, signal.SIGKILL: 10.0}
"""Seconds that a trainer has after each signal; it writes a checkpoint after the first one."""


class ChildProcess:
    """A child with a session of its own, and what it writes to standard error.

    Args:
        command: the program and its arguments.
        environment: variables beside those of this process.
        errors: a file.
        dies_by: the signal that it gets if this process is killed.
        inherits: file descriptors that it gets too.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], errors: IO[bytes],
        dies_by: signal.Signals = signal.SIGKILL, inherits: Sequence[int] = (),
    ) -> None:  # fmt: skip
        self._errors = errors
        self.process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stderr=errors,
            start_new_session=True, preexec_fn=lambda: die_with_parent(dies_by), pass_fds=inherits,
        )  # fmt: skip

    def __str__(self) -> str:
        return f"process {self.process.pid}"

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        return self.process.poll()

    def notices(self) -> list[str]:
        """Return nothing: a child that trains has messages of its own."""
        return []

    def errors(self) -> list[str]:
        """Return the lines of standard error."""
        return os.pread(self._errors.fileno(), 1 << 24, 0).decode(errors="replace").splitlines()

    def send(self, signum: signal.Signals) -> None:
        """Send a signal to the whole process group.

        Raises:
            ProcessLookupError: all its processes have ended.
        """
        os.killpg(self.process.pid, signum)

    def stop(self, *, impatient: bool = False, graces: Mapping[signal.Signals, float] = GRACES) -> None:
        """End the whole process group, its leader and all others: interrupt, terminate, kill.

        Args:
            impatient: kill them at once if this process gets another signal.
            graces: the signals in their order, and the seconds after each.
        """
        with received_signals() if impatient else nullcontext[list[int]]([]) as received:
            for signum, grace in graces.items():
                deadline = time.monotonic() + grace
                try:
                    self._require_running()
                    self.send(signum)
                    while time.monotonic() < deadline and (signum == signal.SIGKILL or not received):
                        self._require_running()
                        time.sleep(0.05)
                except ProcessLookupError:
                    return

    def _require_running(self) -> None:
        self.process.poll()  # until it is waited for, an ended process is in its group
        os.killpg(self.process.pid, 0)


class Local(Launcher):
    """This machine: the trainer is a child of the step."""

    name: ClassVar[str] = "local"
    gpus: Slots = None
    """GPUs that share the trainings, each one at a time; by default a training takes the first GPU."""

    @property
    def max_concurrent(self) -> int | None:
        """Return how many trainings may run at the same time: one on each GPU."""
        return self.gpus

    @contextmanager
    def start(self, arguments: Sequence[str], environment: Mapping[str, str], name: str) -> Iterator[Trainer]:
        """Start a trainer (`Launcher.start`); `ValueError` if no GPU is free."""
        from hlx_assets.io_manager import artifacts_at_home  # which reads the setting of the trainer

        with tempfile.TemporaryFile() as errors, ExitStack() as stack:
            inherits: list[int] = []
            if self.gpus is not None:
                gpu, held = stack.enter_context(free_gpu(self.gpus, artifacts_at_home().training))
                environment, inherits = {**environment, VISIBLE: gpu}, [held]
            command = [sys.executable, "-m", TRAINER, *arguments]
            yield ChildProcess(command, environment, errors, inherits=inherits)


class Torchrun(Launcher):
    """Several processes of this machine, which train together: one for each GPU."""

    name: ClassVar[str] = "torchrun"
    processes: Number

    @contextmanager
    def start(self, arguments: Sequence[str], environment: Mapping[str, str], name: str) -> Iterator[Trainer]:
        """Start a trainer (`Launcher.start`)."""
        with tempfile.TemporaryFile() as errors:
            yield ChildProcess([sys.executable, *torchrun(self.processes), *arguments], environment, errors)


@contextmanager
def received_signals() -> Iterator[list[int]]:
    """Yield the signals that have come since, but for those that come with the first: a terminal sends several."""
    received: list[int] = []
    begun = time.monotonic()

    def receive(signum: int, frame: object) -> None:
        if time.monotonic() - begun > SAME_SIGNAL:
            received.append(signum)

    with ExitStack() as stack:
        for signum in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, signum, signal.signal(signum, receive))
        yield received
