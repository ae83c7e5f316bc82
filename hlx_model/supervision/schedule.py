"""When a supervisor is asked: every half hour of a training, when gates were evaluated, when the watchdog warns.

if found := due(opinions, Moment(started, beat, gate_epoch, warned)):
    ...  # found.trigger says why
"""

from collections.abc import Iterable
from typing import NamedTuple

from hlx_model.supervision.opinions import Opinion, Trigger

EVERY_SECONDS = 1_800.0
"""Of training, between two questions."""
WORST_TOKENS = (9_000, 1_500)
"""Tokens of a question and of its answer, at most: for an estimate before anything is asked. `briefing.py` keeps them.
With them a call to the dearest model of the catalogue is below the default cap of a call."""


def expected_calls(seconds: float | None, gate_epochs: int) -> int:
    """Return how often a supervisor is asked during a training that goes well.

    Args:
        seconds: of the training; None if they are not known.
        gate_epochs: epochs after which its gates are evaluated.
    """
    return gate_epochs + int((seconds or 0.0) / EVERY_SECONDS)


class Moment(NamedTuple):
    """A training at one moment; times in Unix seconds."""

    started: float
    """When its present process began."""
    beat: float
    """When it made progress last. A training that has ended gets no older."""
    gate_epoch: int | None = None
    """The newest epoch after which its gates were evaluated."""
    warned: float | None = None
    """When the watchdog warned last."""


class Due(NamedTuple):
    """A question that is due."""

    trigger: Trigger
    key: str
    """The same until an opinion is recorded; another one after half an hour, if that question came to nothing."""


def due(asked: Iterable[Opinion], moment: Moment) -> Due | None:
    """Return the question that is due; None if there is none. One that is asked for any reason is the newest opinion.

    Args:
        asked: the opinions on the training.
        moment: the training now.
    """
    last = {"time": 0.0, "gates": 0.0, "watchdog": 0.0}
    epoch = 0
    for one in asked:
        last[one.trigger] = max(last[one.trigger], one.time)
        epoch = max(epoch, one.epoch) if one.trigger == "gates" else epoch
    since = max(moment.started, *last.values())
    trigger: Trigger
    if moment.warned is not None and moment.warned > max(last["watchdog"], moment.started):
        trigger = "watchdog"
    elif moment.gate_epoch is not None and moment.gate_epoch > epoch:
        trigger = "gates"
    elif moment.beat - since >= EVERY_SECONDS:
        trigger = "time"
    else:
        return None
    return Due(trigger, f"{trigger}-{since:.0f}-{max(0.0, moment.beat - since) // EVERY_SECONDS:.0f}")
