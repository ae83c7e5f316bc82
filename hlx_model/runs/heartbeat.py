"""The one record of a training's state that the watchdog, the command line and the UI all read."""

import os
import platform
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from hlx_model.files import named_specials, read_json, write_json
from hlx_model.layout import HEARTBEAT
from hlx_model.runs.processes import ProcessRef, process_identity

RUNNING = ("starting", "training")


@dataclass
class Heartbeat:
    """Written by the trainer on every step or so, by atomic rename; loss in nats, times in Unix seconds."""

    training_id: str
    phase: int
    size: str
    epochs: int
    status: str = "starting"
    """`starting`, `training`, `completed`, `quality_failed`, `aborted`, `interrupted` or `failed`."""
    reason: str | None = None
    epoch: int = 0
    step: int = 0
    steps: int = 0
    train_loss: float | None = None
    held_out_loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    pace: float = 0.0
    """The longest, in seconds, that this process has been without a sign of life so far."""
    gpu_memory_bytes: int | None = None
    """The most that it has held so far."""
    gpu_memory_total: int | None = None
    run_id: str | None = None
    """The Dagster run that started the trainer."""
    host: str | None = field(default_factory=platform.node)
    pid: int = field(default_factory=os.getpid)
    process: str | None = field(default_factory=process_identity)
    """Tells that process from every other one of any machine (`process_identity`)."""
    started: float = field(default_factory=time.time)
    time: float = field(default_factory=time.time)

    @property
    def running(self) -> bool:
        """Whether the trainer says that it is at work; it may be dead all the same."""
        return self.status in RUNNING

    @property
    def trainer(self) -> ProcessRef:
        """The process that wrote this."""
        return ProcessRef(self.host, self.pid, self.process)

    @property
    def alive(self) -> bool:
        """Whether its process may still run. That it has ended can only be told on its own machine."""
        return not self.trainer.is_gone

    def write(self, directory: Path) -> None:
        """Write into a training's directory; NaN and infinity are written as their names."""
        self.time = time.time()
        self._write(directory)

    def close(self, directory: Path, reason: str) -> None:
        """Write, in the place of a trainer that is gone, that it has failed; its last sign of life stays its last."""
        self.status, self.reason = "failed", reason
        self._write(directory)

    def _write(self, directory: Path) -> None:
        write_json(directory / HEARTBEAT, named_specials(asdict(self)), durable=False)

    @classmethod
    def read(cls, directory: Path) -> "Heartbeat | None":
        """The heartbeat of a training's directory; None where there is none, or it cannot be read."""
        try:
            content = read_json(directory / HEARTBEAT)
            known = {f.name: f.type for f in fields(cls)}
            content = {name: _read(value, known[name]) for name, value in content.items() if name in known}
            return cls(**content)
        except (OSError, ValueError, TypeError, AttributeError, OverflowError):
            return None


_SPECIALS = ("nan", "inf", "-inf")


def _read(value: object, kind: Any) -> object:
    """Return a JSON value as a field's type has it: a whole number is a float too; `TypeError` if it is of another."""
    if isinstance(value, bool):
        raise TypeError(f"{value!r} is not of the type {kind}")
    if isinstance(0.0, kind) and (value in _SPECIALS or isinstance(value, int)):
        return float(value)  # a name, or a whole number; `OverflowError` above 1e308
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not of the type {kind}")
    return value
