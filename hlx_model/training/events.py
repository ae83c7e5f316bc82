"""What a training reports while it runs: events, and the same as messages to Dagster and in TensorBoard."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hlx_model.runs.metrics import MetricsRow
from hlx_model.verdicts import Milestone

log = logging.getLogger(__name__)


class Recorded(NamedTuple):
    """Metrics have been recorded."""

    row: MetricsRow
    steps: int
    """Steps of the whole training."""
    eta_seconds: float | None

    @property
    def figures(self) -> dict[str, Any]:
        """Return all of them by name; None if a value was not measured."""
        return {**self.row, "steps": self.steps, "eta_seconds": self.eta_seconds}


class MilestoneJudged(NamedTuple):
    """The gates of a milestone have been checked."""

    milestone: Milestone


class CheckpointSaved(NamedTuple):
    """A checkpoint has been written."""

    checkpoint: str
    """The name of its directory."""
    epoch: int
    step: int


class Noted(NamedTuple):
    """A person would like to know something."""

    text: str


class Warned(NamedTuple):
    """A person should know something."""

    text: str


class Ended(NamedTuple):
    """The training has ended."""

    checkpoint: str
    """The absolute path of the checkpoint that it passes on."""
    found: bool
    """Whether it had already ended before."""


Event = Recorded | MilestoneJudged | CheckpointSaved | Noted | Warned | Ended
EventSink = Callable[[Event], None]
"""Receives the events of a training."""


def ignore(event: Event) -> None:
    """Receive events and do nothing."""


def message(event: Event) -> dict[str, object]:
    """Return an event as the JSON object that Dagster receives."""
    match event:
        case Recorded():
            return {"event": "progress", **event.figures}
        case MilestoneJudged():
            return {"event": "milestone", **event.milestone.to_json()}
        case CheckpointSaved() | Noted() | Warned() | Ended():
            names = {CheckpointSaved: "checkpoint", Noted: "note", Warned: "warning", Ended: "result"}
            return {"event": names[type(event)], **event._asdict()}


def best_effort(name: str, sink: EventSink) -> EventSink:
    """Return a sink that is off after its first failure, with one warning, so that the training continues."""
    failed = False

    def emit(event: Event) -> None:
        nonlocal failed
        if not failed:
            try:
                sink(event)
            except _FAILURES as error:
                failed = True
                _warn(name, error)

    return emit


_FAILURES = (OSError, ValueError, RuntimeError)
"""Errors of a sink that do not end the training."""


def _warn(name: str, error: Exception) -> None:
    log.warning("%s is off from now on, the training continues: %s", name, " ".join(str(error).split()))


@contextmanager
def tensorboard_sink(directory: Path | None) -> Iterator[EventSink]:
    """Yield a sink that writes TensorBoard's event files into `directory`; one that does nothing if that is None.

    Raises:
        ValueError: the package tensorboard is not installed.
    """
    if directory is None:
        yield ignore
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("--tensorboard needs the package tensorboard: pip install tensorboard") from None
    writer = SummaryWriter(str(directory))

    def emit(event: Event) -> None:
        if isinstance(event, Recorded):
            for name, value in event.figures.items():
                if value is not None and name != "step":
                    writer.add_scalar(name, value, event.row["step"])

    try:
        yield best_effort("TensorBoard", emit)
    finally:
        try:
            writer.close()
        except _FAILURES as error:
            _warn("TensorBoard", error)
