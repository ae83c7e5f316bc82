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

log = logging.getLogger(__name__)

INTERVAL = 60.0
"""Seconds between two checks."""
MISSED = 3
"""Missed checks after which the watchdog counts as asleep."""


class Tick(JsonModel):
    """The watchdog's last check."""

    time: Float
    """Unix seconds."""
    interval: Float
    """Seconds until the next check."""

    def asleep(self, now: float) -> bool:
        """Whether three checks have been missed at `now`, in Unix seconds."""
        return now - self.time > MISSED * self.interval


def leave_tick(training: Path, interval: float = INTERVAL) -> None:
    """Record the time of a check in the folder of the trainings."""
    training.mkdir(parents=True, exist_ok=True)
    write_json(training / TICK, Tick(time=time.time(), interval=interval).to_json(), durable=False)


def last_tick(training: Path) -> Tick | None:
    """Return the last check of a folder of trainings; None if there was none, or its record cannot be read."""
    with suppress(OSError, ValueError):
        return Tick.read(training / TICK)
    return None


def asleep(training: Path, now: float | None = None) -> str | None:
    """Return one line if the watchdog has stopped checking, with what to do; None if it checks."""
    tick, now = None, time.time() if now is None else now
    missing = ["the watchdog has never run here"]
    with skipping(training / TICK, missing.append):
        tick = Tick.read(training / TICK) if (training / TICK).exists() else None
    if tick is None:
        return f"{missing[-1]}: `make ui` runs it (its sensor and the daemon must be on)"
    if not tick.asleep(now):
        return None
    age = f"{now - tick.time:.0f} seconds ago (required: every {tick.interval:.0f})"
    advice = "check that `make ui`, its daemon and the sensor training_watchdog run"
    return f"the last check of the watchdog was {age}: {advice}"


class LivenessMonitor:
    """Lets a trainer check from time to time whether the watchdog runs, and warn once if it does not."""

    def __init__(self, training: Path, warn: Callable[[str], None]) -> None:
        """`training` is the folder of the trainings; `warn` receives one line."""
        self._training, self._warn, self._warned = training, warn, False
        self._next = time.monotonic() + MISSED * self._interval()

    def check(self) -> None:
        """Check, if it is time."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._interval()
        reason = asleep(self._training)
        if reason and not self._warned:
            self._warn(f"this training is not watched: {reason}")
        elif not reason and self._warned:
            log.info("the watchdog checks again")
        self._warned = reason is not None

    def _interval(self) -> float:
        tick = last_tick(self._training)
        return tick.interval if tick else INTERVAL
