"""Who watches the watchdog? Each of its looks leaves a time; where none comes, the others say so.

A sensor stops when the daemon does, and says nothing of it.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from hlx_model.files import read_json, write_json
from hlx_model.layout import TICK

log = logging.getLogger(__name__)

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


class LivenessMonitor:
    """Looks from time to time whether the watchdog of a training is awake, and warns once where it is not."""

    def __init__(self, training: Path, warn: Callable[[str], None]) -> None:
        self._training, self._warn, self._warned = training, warn, False
        self._next = time.monotonic() + MISSED * self._interval()

    def look(self) -> None:
        """Look, where it is time."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._interval()
        reason = asleep(self._training)
        if reason and not self._warned:
            self._warn(f"nobody watches this training: {reason}")
        elif not reason and self._warned:
            log.info("the watchdog looks again")
        self._warned = reason is not None

    def _interval(self) -> float:
        tick = last_tick(self._training)
        return tick.interval if tick else INTERVAL
