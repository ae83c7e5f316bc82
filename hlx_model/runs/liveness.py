"""Watch the watchdog: each of its checks records the time in `watchdog.json`, and others report if it stops.

A Dagster sensor stops without notice if the daemon does.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hlx_model.files import skipping, write_json
from hlx_model.json_model import Float, JsonModel
from hlx_model.layout import TICK
from hlx_model.runs.stopwatch import MISSED, Counts, Stopwatch

log = logging.getLogger(__name__)

INTERVAL = 60.0
"""Seconds between two checks."""


class Tick(JsonModel):
    """The watchdog's last check."""

    time: Float
    """Unix seconds."""
    interval: Float
    """Seconds until the next check."""

    def asleep(self, age: float) -> bool:
        """Whether three checks have been missed; `age` is this one's, in seconds, below 0 if the clock was set back."""
        return abs(age) > MISSED * self.interval


def leave_tick(training: Path, interval: float = INTERVAL) -> None:
    """Record the time of a check in the folder of the trainings."""
    training.mkdir(parents=True, exist_ok=True)
    write_json(training / TICK, Tick(time=time.time(), interval=interval).to_json(), durable=False)


def last_tick(training: Path) -> Tick | None:
    """Return the last check of a folder of trainings; None if there was none, or its record cannot be read."""
    with suppress(OSError, ValueError):
        return Tick.read(training / TICK)
    return None


def asleep(training: Path, age: float | None = None) -> str | None:
    """Return one line if the watchdog has stopped checking, with what to do; None if it checks.

    Args:
        training: the folder of the trainings.
        age: seconds since the last check, as the caller has counted them; None: by the wall clock.
    """
    tick = None
    missing = ["the watchdog has never run here"]
    with skipping(training / TICK, missing.append):
        tick = Tick.read(training / TICK) if (training / TICK).exists() else None
    if tick is None:
        return f"{missing[-1]}: `make ui` runs it (its sensor and the daemon must be on)"
    age = time.time() - tick.time if age is None else age
    if not tick.asleep(age):
        return None
    when = f"{abs(age):.0f} seconds {'ago' if age > 0 else 'ahead of the clock'}"
    advice = "check that `make ui`, its daemon and the sensor training_watchdog run"
    return f"the last check of the watchdog was {when} (required: every {tick.interval:.0f}): {advice}"


class LivenessMonitor:
    """Lets a trainer check from time to time whether the watchdog runs, and warn once if it does not."""

    def __init__(self, training: Path, warn: Callable[[str], None]) -> None:
        """`training` is the folder of the trainings; `warn` receives one line."""
        self._training, self._warn, self._warned = training, warn, False
        self._counts: Counts | None = None
        self._age()

    def check(self) -> None:
        """Check, if it is time."""
        if time.monotonic() < self._next:
            return
        age = self._age()
        reason = asleep(self._training, age) if age > MISSED * self._interval else None
        if reason and not self._warned:
            self._warn(f"this training is not watched: {reason}")
        elif not reason and self._warned:
            log.info("the watchdog checks again")
        self._warned = reason is not None

    def _age(self) -> float:
        """Return the seconds for which this process has seen no other tick, and when to look again."""
        tick = last_tick(self._training)
        self._interval = tick.interval if tick else INTERVAL
        self._next = time.monotonic() + self._interval
        stopwatch = Stopwatch(self._counts, self._interval)
        self._counts = stopwatch.counts
        return stopwatch.unchanged(TICK, str(tick and tick.time))
