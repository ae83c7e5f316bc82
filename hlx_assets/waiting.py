"""What a run waits for: a slot, or another run that trains. It states for what, sleeps, and one signal ends it."""

import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from hlx_assets import dagster_internals as internals
from hlx_assets.common import TRAINING_POOL
from hlx_assets.io_manager import CHECKPOINTS, artifacts_at_home
from hlx_assets.watchdog.runs import UNFINISHED, worker_of
from hlx_model.files import lock
from hlx_model.runs.heartbeat import heartbeats
from hlx_model.training.forecast import duration

POLL_SECONDS = 2.0
REMIND_SECONDS = 300.0
"""Seconds after which a wait is stated again, with the time that is left then."""
LOCK = ".curriculum.lock"
"""In a home: locked by the `make curriculum` that works there."""

Show = Callable[[str], object]


def training_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Return the runs that have not ended and train, or may still do so."""
    runs = instance.get_runs(dg.RunsFilter(statuses=[*UNFINISHED, dg.DagsterRunStatus.QUEUED]))
    return [run for run in runs if _trains(run)]


def _trains(run: dg.DagsterRun) -> bool:
    selected = {key.to_user_string() for key in run.asset_selection or ()}
    return bool(selected & CHECKPOINTS) or (run.asset_selection is None and run.job_name == "curriculum")


def wait_for_trainings(instance: dg.DagsterInstance, show: Show) -> None:
    """Wait until one more run may train; `show` gets a line on what is waited for.

    A run that no process executes yet may stay so for ever, if no daemon runs: it is not waited for.
    """
    waited, most = _Stated(show), internals.pool_limit(instance, TRAINING_POOL) or sys.maxsize
    with interruptible() as sleep:
        while len(runs := [run.run_id for run in training_runs(instance) if worker_of(run)]) >= most:
            waited.state(described(instance, runs))
            sleep(POLL_SECONDS)


def wait_for_slot(context: Any, pool: str, step: str) -> None:
    """Wait until a step may have the slot of a pool.

    Args:
        context: the run's plan, with its instance and its log.
        pool: the pool.
        step: the key of the step.

    Raises:
        DagsterExecutionInterruptedError: a signal ended the run.
    """
    instance, waited = context.instance, _Stated(context.log.info)
    while not internals.may_claim(instance, pool, context.run_id, step):
        waited.state(described(instance, list(internals.pool_slots(instance, pool))))
        internals.sleep(POLL_SECONDS)


@contextmanager
def alone(home: Path, instance: dg.DagsterInstance, show: Show) -> Iterator[None]:
    """Be the only `make curriculum` of a home while the block runs; `show` gets a line if another one is there."""
    with (home / LOCK).open("a+") as file:
        waited = _Stated(show)
        with interruptible() as sleep:
            while not _locked(file.fileno(), home):
                file.seek(0)
                other = f"another `make curriculum`, process {file.read().strip() or 'unknown'}"
                runs = [run.run_id for run in training_runs(instance) if worker_of(run)]
                waited.state(f"{described(instance, runs)}, of {other}" if runs else f"waiting for {other}")
                sleep(POLL_SECONDS)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def is_taken(home: Path) -> bool:
    """Return whether a `make curriculum` works in a home."""
    if not (home / LOCK).exists():
        return False
    with (home / LOCK).open("a+") as file:
        return not _locked(file.fileno(), home)


def _locked(descriptor: int, home: Path) -> bool:
    try:
        lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, home)
    except BlockingIOError:
        return False
    return True


@contextmanager
def interruptible(
    error: type[BaseException] = KeyboardInterrupt, signals: Sequence[signal.Signals] = (signal.SIGINT,)
) -> Iterator[Callable[[float], None]]:
    """Yield a function that sleeps so many seconds; a signal ends it, or the next sleep, with an error.

    At any other moment a signal may arrive inside a callback of the database: Python prints a stack trace and loses it.

    Args:
        error: what the sleep raises.
        signals: those that end it.
    """
    received = threading.Event()

    def sleep(seconds: float) -> None:
        if received.wait(seconds):
            received.clear()
            raise error

    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for signum in signals:
                before = signal.signal(signum, lambda signum, frame: received.set())
                stack.callback(signal.signal, signum, before)
        yield sleep


class _Stated:
    """States a wait when it begins or changes, and every few minutes."""

    def __init__(self, show: Show) -> None:
        self._show, self._what, self._next = show, "", 0.0

    def state(self, line: str) -> None:
        what = line.split(" (")[0]
        if what != self._what or time.monotonic() > self._next:
            self._what, self._next = what, time.monotonic() + REMIND_SECONDS
            self._show(line)


def trains_elsewhere(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """Return a run that has a slot of trainings; None if a slot is free, or this run has one."""
    holders = internals.pool_slots(instance, TRAINING_POOL)
    most = internals.pool_limit(instance, TRAINING_POOL)
    return next(iter(holders), None) if run_id not in holders and most is not None and len(holders) >= most else None


def described(instance: dg.DagsterInstance, runs: list[str]) -> str:
    """Return what is waited for: the first of some runs, its step, and the time that is left of its training."""
    if not runs:
        return "waiting for a run that is ending"
    step = internals.pool_slots(instance, TRAINING_POOL).get(runs[0], "not training yet")
    beats = heartbeats(artifacts_at_home().training)
    left = next((beat.eta_seconds for beat in beats if beat.running and beat.run_id == runs[0]), None)
    to_go = "" if left is None else f", {duration(left)} to go"
    more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
    return f"waiting for run {runs[0][:8]}{more} ({step}{to_go})"
