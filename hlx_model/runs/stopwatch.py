"""Count for how long something has been the same, on this machine's monotonic clock.

The wall clock cannot tell: it is set, it differs between machines, and it proceeds while a machine sleeps. The counts
are kept from one check to the next, and begin anew if this machine was restarted, or if the checks themselves paused:
what was not watched for a while, such as a training on a machine that slept as well, did not stand still for that long.
"""

import time

from hlx_model.json_model import Float, JsonModel
from hlx_model.runs.processes import boot_id

MISSED = 3
"""Missed checks after which a watcher counts as asleep."""
MIN_PAUSE = 60.0
"""Seconds between two checks that are never a pause, however often a watcher checks."""


class Unchanged(JsonModel):
    """Something that has been the same."""

    state: str
    since: Float
    """Seconds of the monotonic clock."""


class Counts(JsonModel):
    """What a stopwatch keeps from one check to the next."""

    boot: str | None
    """The kernel's boot id, None where there is none: at a restart the monotonic clock begins anew."""
    checked: Float
    """Of the last check: seconds of the monotonic clock."""
    seen: dict[str, Unchanged]


class Stopwatch:
    """Counts during one check for how long things have been the same."""

    def __init__(self, before: Counts | None, interval: float) -> None:
        """Continue the counts of the check before; `interval` is the number of seconds between two checks."""
        self._now, boot = time.monotonic(), boot_id()
        pause = max(MIN_PAUSE, MISSED * interval)
        valid = before is not None and before.boot == boot and 0 <= self._now - before.checked <= pause
        self._before = before.seen if before is not None and valid else {}
        self.counts = Counts(boot=boot, checked=self._now, seen={})
        """For the next check: of all that was asked in this one."""

    def unchanged(self, name: str, state: str, begin: float = 0.0) -> float:
        """Return the seconds for which each check has seen `name` in `state`; `begin`, if this is the first one."""
        seen = self._before.get(name)
        if seen is None or seen.state != state:
            seen = Unchanged(state=state, since=self._now - begin)
        self.counts.seen[name] = seen
        return self._now - seen.since
