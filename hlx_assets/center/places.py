"""The order of the queue, and why a queued session waits.

Dagster starts the queued run with the highest priority first, and of equal ones the oldest. All sessions of a chain
have one priority, so that a chain moves as a whole.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path

import dagster as dg

from hlx_assets import dagster_internals as internals
from hlx_assets.center.context import Center
from hlx_assets.center.facts import verdict
from hlx_assets.curriculum import session as tags
from hlx_assets.curriculum.outcome import latest_resumption
from hlx_assets.curriculum.session import PHASES_OF
from hlx_assets.watchdog.runs import is_gone
from hlx_model.history import row_of
from hlx_model.runs.heartbeat import Heartbeat, heartbeats
from hlx_model.training.forecast import duration

DAEMON_SECONDS = 60.0
"""The daemon writes its heartbeat every 30 seconds; without one for so long it is not alive."""
WAITING = (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED)
"""A run is for a moment NOT_STARTED before it is QUEUED."""
_KNOWN_SECONDS = 10.0
_NO_TIME = float("inf")
_ORDINALS = ("next", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


class Places:
    """The live sessions: those that run, and those that wait, in their order."""

    def __init__(self, running: Sequence[dg.DagsterRun], waiting: Sequence[dg.DagsterRun]) -> None:
        """`running` and `waiting` are runs; those that wait are in the order in which Dagster starts them."""
        self.running, self.waiting = running, waiting
        self.order = [run.run_id for run in waiting]

    @classmethod
    def of(cls, live: Sequence[dg.RunRecord]) -> "Places":
        """Return the places of runs that have not ended."""
        oldest_first = [record.dagster_run for record in sorted(live, key=lambda record: record.storage_id)]
        waiting = [run for run in oldest_first if run.status in WAITING]
        running = [run for run in oldest_first if run.status not in WAITING and not is_gone(run)]
        return cls(running, sorted(waiting, key=priority, reverse=True))

    def position(self, run_id: str) -> int | None:
        """Return the place of a session in the queue, 1 for the next one; None if it does not wait."""
        return self.order.index(run_id) + 1 if run_id in self.order else None

    def before(self, run_id: str) -> list[dg.DagsterRun]:
        """Return the sessions that come before one that waits, in their order."""
        return [*self.running, *self.waiting[: self.order.index(run_id)]] if run_id in self.order else []

    def units(self) -> list[list[dg.DagsterRun]]:
        """Return the sessions that wait, those of a chain together at the place of its first one."""
        found: dict[str, list[dg.DagsterRun]] = {}
        for run in self.waiting:
            found.setdefault(run.tags.get(tags.CHAIN, run.run_id), []).append(run)
        return list(found.values())


def priority(run: dg.DagsterRun) -> int:
    """Return the priority of a queued run, 0 if its tag is none."""
    try:
        return int(run.tags.get(tags.PRIORITY, "0"))
    except ValueError:
        return 0


def name_of(run: dg.DagsterRun) -> str:
    """Return what messages call a session: `English tiny (1a2b3c4d)`."""
    return f"{run.tags[tags.SESSION]} {run.tags.get(tags.SIZE, '')} ({run.run_id[:8]})"


def daemon_is_alive(instance: dg.DagsterInstance) -> bool:
    """Return whether a daemon has just looked at the queue."""
    beat = internals.queue_heartbeat(instance)
    return beat is not None and time.time() - beat < DAEMON_SECONDS


def max_concurrent(instance: dg.DagsterInstance) -> int:
    """Return how many sessions run at the same time, if there are as many."""
    return internals.tag_limit(instance, tags.SESSION) or sys.maxsize


def waits_for(center: Center, run: dg.DagsterRun, places: Places, beats: Mapping[str, Sequence[Heartbeat]]) -> str:
    """Return why a queued session waits, in one line."""
    if not daemon_is_alive(center.instance):
        return "no daemon is alive, so nothing is started: `make ui` starts it"
    if problem := _problem(center, run, places):
        return problem
    position, before = places.position(run.run_id) or 1, places.before(run.run_id)
    place = _ORDINALS[position - 1] if position <= len(_ORDINALS) else f"{position}th"
    left = {one.run_id: _left(beats.get(one.run_id, ())) for one in places.running}
    mates = (one for one in reversed(before) if tags.CHAIN in run.tags and _chain(one) == _chain(run))
    behind = next(mates, None)
    if len(before) >= max_concurrent(center.instance):
        if position > 1:
            behind = before[-1]
        elif behind is None:
            behind = min(before, key=lambda one: left[one.run_id])
    if behind is None:
        return "next in line: Dagster starts it in a few seconds"
    seconds = left.get(behind.run_id, _NO_TIME)
    to_go = "" if seconds == _NO_TIME else f", {duration(seconds)} to go"
    return f"{place} in line behind {name_of(behind)}{to_go}"


def _chain(run: dg.DagsterRun) -> str | None:
    return run.tags.get(tags.CHAIN)


def _left(beats: Sequence[Heartbeat]) -> float:
    """Return the seconds that the training of a session has left, by its heartbeats; infinity if they do not say."""
    found = next((beat.eta_seconds for beat in beats if beat.running), None)
    return _NO_TIME if found is None else found


def _problem(center: Center, run: dg.DagsterRun, places: Places) -> str | None:
    """Return why a session will not train when its turn comes; None if nothing is known against it."""
    before, phases = places.before(run.run_id), PHASES_OF[run.tags[tags.SESSION]]
    if after := run.tags.get(tags.AFTER):
        last = latest_resumption(center.instance, after)
        if last is not None and last.is_finished:
            found = verdict(center.instance, last)
            return None if found.outcome == "passed" else f"it will be withdrawn: {name_of(last)} did not pass"
        return None
    parent, size = phases[0] - 1, run.tags.get(tags.SIZE, "")
    made_before = any(parent in PHASES_OF[one.tags[tags.SESSION]] and one.tags.get(tags.SIZE) == size for one in before)
    if parent and not made_before and not _passed(center.artifacts.training, parent, size, _now()):
        return (
            f"the gate of phase {parent} is closed: no {size} has passed it, and no session before this one trains it; "
            "it will be refused"
        )
    return None


def _now() -> int:
    return int(time.monotonic() / _KNOWN_SECONDS)


@lru_cache(maxsize=32)
def _passed(training: Path, phase: int, size: str, now: int) -> bool:
    """Return whether a checkpoint of a phase and a size passed its gates; read again when `now` is another one.

    The files of the newest training are read first, and no others if it has passed.
    """
    beats = {beat.training_id: beat for beat in heartbeats(training)}
    alike = [beat for beat in beats.values() if (beat.phase, beat.size) == (phase, size)]
    newest_first = sorted(alike, key=lambda beat: beat.time, reverse=True)
    imported = (path for path in training.glob("[!.]*/") if path.name not in beats)
    rows = map(row_of, chain((training / beat.training_id for beat in newest_first), imported))
    return any(row and (row.phase, row.size) == (phase, size) and row.verdict in ("pass", "warn") for row in rows)
