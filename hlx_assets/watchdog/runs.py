"""Close runs whose process is gone, and free the slots that they hold.

Killed with `kill -9`, a run stays STARTED for ever and holds its pool slot: nobody is left to end it.
"""

import os
import signal
import time
from contextlib import suppress

import dagster as dg
import psutil
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher

from hlx_model.training.heartbeat import Heartbeat

UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
REASON_TAG = "hlx/watchdog"
TAG_LENGTH = 250
GONE = "the process of this run is gone (killed, or the machine went down)"
GRACE = 60.0
"""Seconds that a run has to end after it was asked: a trainer has 40 before it is killed."""
_ASKED_TAG = "hlx/watchdog_asked"
_SLACK_SECONDS = 2.0


def worker_of(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """The process that works on a run, and when it said so (Unix seconds), from the run's own events."""
    for record in instance.get_records_for_run(run_id, ascending=False, limit=500).records:
        event = record.event_log_entry.dagster_event
        if event is None or event.step_key is not None or not event.is_engine_event:
            continue
        pid = event.engine_event_data.metadata.get("pid")
        if pid is not None:
            return int(str(pid.value)), record.event_log_entry.timestamp
    return None


def is_gone(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the process that worked on a run is not there.

    False where the run named none yet, and where another launcher put it on another machine, and looks after it itself.
    """
    if not isinstance(instance.run_launcher, DefaultRunLauncher):
        return False
    worker = worker_of(instance, run_id)
    if worker is None:
        return False
    pid, said = worker
    try:
        process = psutil.Process(pid)
        # A process that started later only bears the number of the one that died.
        return process.status() == psutil.STATUS_ZOMBIE or process.create_time() > said + _SLACK_SECONDS
    except psutil.NoSuchProcess:
        return True


def has_worker(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the process that works on a run is known, and there."""
    return worker_of(instance, run_id) is not None and not is_gone(instance, run_id)


def close_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark every run failed whose process is gone, free its slots, and return the runs' ids."""
    closed = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)):
        run = record.dagster_run
        if is_gone(instance, run.run_id):
            close(instance, run, GONE)
            closed.append(run.run_id)
    _free_slots(instance)
    return closed


def _free_slots(instance: dg.DagsterInstance) -> None:
    """Free what is held by runs that Dagster itself found dead, and say so on them.

    Dagster frees it only a minute after, or more, and says that the run "has been marked as failed from outside".
    """
    for run_id in instance.event_log_storage.get_concurrency_run_ids():
        run = instance.get_run_by_id(run_id)
        if run is not None and run.is_finished and is_gone(instance, run_id):
            if run.status == dg.DagsterRunStatus.FAILURE and REASON_TAG not in run.tags:
                instance.add_run_tags(run_id, {REASON_TAG: GONE})
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def close(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str) -> None:
    """End a run that nobody else will end."""
    instance.add_run_tags(run.run_id, {REASON_TAG: reason[:TAG_LENGTH]})
    instance.report_run_failed(run, f"watchdog: {reason}: materialize again to resume")
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def stop(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str, beat: Heartbeat) -> str:
    """Stop a run as the UI's Terminate does: its trainer is interrupted, then terminated, then killed.

    Where nobody answers, or the run has not ended a minute after it was asked, its processes are killed and it is
    closed.
    """
    asked = float(run.tags.get(_ASKED_TAG, 0.0))
    if not asked:
        tags = {REASON_TAG: reason[:TAG_LENGTH], _ASKED_TAG: f"{time.time():.0f}"}
        instance.add_run_tags(run.run_id, tags)
        instance.report_engine_event(f"watchdog: {reason}", run)
        # Raises where the worker's server is gone although its process is not.
        with suppress(Exception):
            if not is_gone(instance, run.run_id) and instance.run_coordinator.cancel_run(run.run_id):
                return "asked to stop"
    elif time.time() - asked < GRACE and not is_gone(instance, run.run_id):
        return "asked to stop, not yet ended"
    kill(beat)
    if (worker := worker_of(instance, run.run_id)) and not is_gone(instance, run.run_id):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(worker[0], signal.SIGKILL)
    close(instance, run, reason)
    return "killed and closed"


def kill(beat: Heartbeat) -> None:
    """Kill a trainer's whole process group."""
    if beat.alive:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(beat.pid, signal.SIGKILL)


def without_owner(instance: dg.DagsterInstance, beat: Heartbeat) -> bool:
    """Whether a trainer that Dagster started is at work although its run ended a minute ago, or is not there."""
    if beat.run_id is None or not beat.running or not beat.alive:
        return False
    record = instance.get_run_record_by_id(beat.run_id)
    return record is None or (record.end_time is not None and time.time() - record.end_time > GRACE)
