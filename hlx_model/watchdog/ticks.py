"""Who watches the watchdog? Each of its looks leaves a time; where none comes, the others say so.

A sensor stops when the daemon does, and says nothing of it.
"""

import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from hlx_model.artifacts import read_json, write_json

log = logging.getLogger(__name__)

TICK = "watchdog.json"
INTERVAL = 60.0
"""Seconds between two looks."""
MISSED = 3
"""Looks that did not come, after which it counts as asleep."""


@dataclass(frozen=True)
class Tick:
    """The watchdog's last look."""

    time: float
    """Unix seconds."""
    interval: float
    """Seconds until the next."""

    def asleep(self, now: float) -> bool:
        """Whether three looks have not come."""
        return now - self.time > MISSED * self.interval


def leave_tick(training: Path, interval: float = INTERVAL) -> None:
    """Leave the time of a look in the folder of the trainings."""
    training.mkdir(parents=True, exist_ok=True)
    write_json(training / TICK, asdict(Tick(time.time(), interval)), durable=False)


def last_tick(training: Path) -> Tick | None:
    """The last look at the trainings of a folder; None where there never was one, or it cannot be read."""
    try:
        content = read_json(training / TICK)
        return Tick(float(content["time"]), float(content["interval"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def asleep(training: Path, now: float | None = None) -> str | None:
    """What to say of a watchdog that does not look, or None where it does."""
    tick, now = last_tick(training), time.time() if now is None else now
    if tick is None:
        return "the watchdog has never looked here: `make ui` runs it (its sensor and the daemon must be on)"
    if tick.asleep(now):
        return (
            f"the watchdog has not looked for {now - tick.time:.0f} seconds (it should every {tick.interval:.0f}): "
            "see that `make ui`, its daemon and the sensor training_watchdog run"
        )
    return None


class Vigil:
    """Looks from time to time whether the watchdog of a training is awake, and warns once where it is not."""

    def __init__(self, training: Path) -> None:
        self._training, self._warned = training, False
        self._next = time.monotonic() + MISSED * INTERVAL

    def look(self) -> None:
        """Look, where it is time."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + INTERVAL
        reason = asleep(self._training)
        if reason and not self._warned:
            log.warning("nobody watches this training: %s", reason)
        elif not reason and self._warned:
            log.info("the watchdog looks again")
        self._warned = reason is not None
