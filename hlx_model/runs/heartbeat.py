"""The heartbeat of a training, in `heartbeat.json`: the watchdog, the command line and the UI read its state there."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from hlx_model.files import named_specials, read_json, write_json
from hlx_model.json_model import Float, first_error
from hlx_model.layout import HEARTBEAT
from hlx_model.runs.processes import ProcessRef, process_identity

RUNNING = ("starting", "training")
ENDED_BADLY = ("quality_failed", "aborted", "failed")

Count = Annotated[int, Field(ge=0, lt=2**63)]
"""A whole number that fits into 64 bits."""
Time = Annotated[float, Field(ge=0, lt=253_402_300_800)]
"""Unix seconds, before the year 10000."""


# Strict: a value of another type is not converted. A later version's fields are ignored.
@dataclass(config=ConfigDict(strict=True, extra="ignore"))
class Heartbeat:
    """State of a training, written about once a second by atomic rename; losses in nats, times in Unix seconds."""

    training_id: str
    phase: Count
    size: str
    epochs: Count
    status: str = "starting"
    """`starting`, `training`, `completed`, `quality_failed`, `aborted`, `interrupted` or `failed`."""
    reason: str | None = None
    epoch: Count = 0
    step: Count = 0
    steps: Count = 0
    """Steps of the whole training."""
    train_loss: Float | None = None
    held_out_loss: Float | None = None
    learning_rate: Float | None = None
    tokens_per_second: Float | None = None
    eta_seconds: Float | None = None
    pace: Float = 0.0
    """Longest time, in seconds, between two heartbeats of this process so far."""
    gpu_memory_bytes: Count | None = None
    """Most that the training has used so far."""
    gpu_memory_total: Count | None = None
    run_id: str | None = None
    """The Dagster run that started the trainer."""
    host: str | None = field(default_factory=platform.node)
    pid: Count = field(default_factory=os.getpid)
    process: str | None = field(default_factory=process_identity)
    """Tells that process from every other one of any machine (`process_identity`)."""
    started: Time = field(default_factory=time.time)
    time: Time = field(default_factory=time.time)
    """When it was written, for people: a stall is counted on the watchdog's own clock."""
    beats: Count = 0
    """Heartbeats that this process has written so far."""

    @property
    def running(self) -> bool:
        """Whether the trainer has not recorded its end; its process may be dead."""
        return self.status in RUNNING

    @property
    def trainer(self) -> ProcessRef:
        """Return the process that wrote this."""
        return ProcessRef(self.host, self.pid, self.process)

    @property
    def state(self) -> str:
        """Return a text that is another one after each heartbeat of a training."""
        return f"{self.process or self.pid} {self.step} {self.beats}"

    @property
    def alive(self) -> bool:
        """Whether its process may still run: only its own machine can tell that it has ended."""
        return not self.trainer.is_gone

    def write(self, directory: Path) -> None:
        """Write it, with the present time, into a training's directory; NaN and infinity by their names."""
        self.time, self.beats = time.time(), self.beats + 1
        self._write(directory)

    def close(self, directory: Path, reason: str) -> None:
        """Record that the training failed, on behalf of a trainer that is gone; its last time stays."""
        self.status, self.reason = "failed", reason
        self._write(directory)

    def _write(self, directory: Path) -> None:
        write_json(directory / HEARTBEAT, named_specials(asdict(self)), durable=False)

    @classmethod
    def load(cls, directory: Path) -> "Heartbeat":
        """Read the heartbeat of a training's directory.

        One that says that the training has ended is read again only if its file has changed. Until then it is the same
        object for all: change none that is not running.

        Raises:
            ValueError: it is damaged; names the field, if there is one.
            OSError: it is missing or cannot be read.
        """
        found = (directory / HEARTBEAT).stat()
        stamp, known = (found.st_mtime_ns, found.st_size, found.st_ino), _ENDED.get(str(directory))
        if known is not None and known[0] == stamp:
            return known[1]
        content = read_json(directory / HEARTBEAT)
        if not isinstance(content, dict):
            raise ValueError("not a heartbeat")
        try:
            beat = cls(**content)
        except ValidationError as error:
            raise ValueError(first_error(error)) from None
        if not beat.running and time.time() - found.st_mtime > _SETTLED:
            _ENDED[str(directory)] = stamp, beat
        return beat

    @classmethod
    def read(cls, directory: Path) -> "Heartbeat | None":
        """Read the heartbeat of a training's directory; None if it is missing or cannot be read."""
        try:
            return cls.load(directory)
        except (OSError, ValueError):
            return None


_ENDED: dict[str, tuple[tuple[int, int, int], Heartbeat]] = {}
"""Heartbeats of trainings that have ended, by directory, each with what is another one when its file is written again.

There may be tens of thousands, and the watchdog and the Training Center read all of them again and again.
"""
_SETTLED = 2.0
"""Seconds for which a file is read again: in so short a time it may be written twice with the same time and size."""


def heartbeats(training: Path) -> Iterator[Heartbeat]:
    """Yield the heartbeats of the trainings in a folder, in no order; those that cannot be read are left out."""
    directories: list[Path] = []
    with suppress(FileNotFoundError, NotADirectoryError):
        # All at once: who takes only the first heartbeats would leave the folder open.
        directories = list(training.iterdir())
    for directory in directories:
        if not directory.name.startswith(".") and (beat := Heartbeat.read(directory)) is not None:
            yield beat


def running_here(training: Path) -> list[Heartbeat]:
    """Return the heartbeats of the trainings in a folder whose processes certainly run on this machine."""
    return [beat for beat in heartbeats(training) if beat.running and beat.trainer.is_running]
