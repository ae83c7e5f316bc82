"""What a training reports while it runs: events for whoever listens, and the same as messages to Dagster."""

from collections.abc import Callable
from typing import NamedTuple

from hlx_model.runs.metrics import MetricsRow
from hlx_model.verdicts import Milestone


class Recorded(NamedTuple):
    """Metrics have been recorded."""

    row: MetricsRow
    steps: int
    """Steps of the whole training."""
    eta_seconds: float | None


class MilestoneJudged(NamedTuple):
    """The gates of a milestone have been checked."""

    milestone: Milestone


class CheckpointSaved(NamedTuple):
    """A checkpoint has been written."""

    checkpoint: str
    """The name of its directory."""
    epoch: int
    step: int


class Warned(NamedTuple):
    """A person should know something."""

    text: str


class Ended(NamedTuple):
    """The training has ended."""

    checkpoint: str
    """The absolute path of its FINAL or STOPPED checkpoint."""
    found: bool
    """Whether it had already ended before."""


Event = Recorded | MilestoneJudged | CheckpointSaved | Warned | Ended
EventSink = Callable[[Event], None]
"""Receives the events of a training."""


def ignore(event: Event) -> None:
    """Receive events and do nothing."""


def message(event: Event) -> dict[str, object]:
    """Return an event as the JSON object that Dagster receives."""
    match event:
        case Recorded():
            return {"event": "progress", **event.row, "steps": event.steps, "eta_seconds": event.eta_seconds}
        case MilestoneJudged():
            return {"event": "milestone", **event.milestone.to_json()}
        case CheckpointSaved():
            return {"event": "checkpoint", **event._asdict()}
        case Warned():
            return {"event": "warning", **event._asdict()}
        case Ended():
            return {"event": "result", **event._asdict()}
