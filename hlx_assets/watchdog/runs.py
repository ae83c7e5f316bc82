"""Close runs whose process is gone, and free the slots that they hold.

Killed with `kill -9`, a run stays STARTED for ever and holds its pool slot: nobody is left to end it.
"""

import os
import time
from contextlib import suppress

import dagster as dg

from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.processes import ProcessRef

UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
REASON_TAG = "hlx/watchdog"
TAG_LENGTH = 250
GONE = "the process of this run is gone (killed, or the machine went down)"
GRACE = 60.0
"""Seconds that a run has to end after it was asked: a trainer has 40 before it is killed."""
WORKER_TAG = "hlx/worker"
"""The beginning of the run's id, and host, pid and identity of the process that works on it."""
UNKNOWN_WORKER = "where its process runs was not recorded: if it has ended, terminate the run in the UI"
_REQUESTED_TAG = "hlx/watchdog_asked"


def record_worker(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Record on a run, as a tag, that this process works on it: on which host, and which process it is."""
    worker = ProcessRef.of(os.getpid())
    # A run that is executed again inherits the tags of the run before it. The run's own id tells them apart.
    inherited = {tag: "" for tag in (REASON_TAG, _REQUESTED_TAG) if run.tags.get(tag)}
    tag = f"{run.run_id[:8]} {worker.host} {worker.pid} {worker.identity or ''}"
    instance.add_run_tags(run.run_id, {WORKER_TAG: tag, **inherited})


def worker_of(run: dg.DagsterRun) -> ProcessRef | None:
    """Return the process that works on a run; None if none has recorded itself."""
    match run.tags.get(WORKER_TAG, "").split(" "):
        case [run_id, host, pid, identity] if run_id == run.run_id[:8] and pid.isdecimal():
            return ProcessRef(host, int(pid), identity or None)
    return None


def is_gone(run: dg.DagsterRun) -> bool:
    """Whether it is certain that the process that worked on a run has ended. Only its own machine can tell."""
    worker = worker_of(run)
    return worker is not None and worker.is_gone


def has_worker(run: dg.DagsterRun) -> bool:
    """Whether the process that works on a run is known, and runs here."""
    worker = worker_of(run)
    return worker is not None and worker.is_running


def close_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark every run failed whose process has ended, free its slots, and return the runs' ids."""
    closed = []
    for run in _unfinished(instance):
        # Its process may have ended it properly in between.
        if is_gone(run) and (now := instance.get_run_by_id(run.run_id)) and not now.is_finished:
            close(instance, run, GONE)
            closed.append(run.run_id)
    _free_slots(instance)
    return closed


def runs_elsewhere(instance: dg.DagsterInstance) -> list[str]:
    """Return a line for each unfinished run whose process cannot be looked at from here: where it runs."""
    lines = []
    for run in _unfinished(instance):
        worker = worker_of(run)
        if worker is None and run.status != dg.DagsterRunStatus.STARTING:
            lines.append(f"run {run.run_id[:8]}: {UNKNOWN_WORKER}")
        elif worker is not None and not worker.is_local and not worker.is_gone:
            lines.append(f"run {run.run_id[:8]} runs as {worker}")
    return lines


def _unfinished(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    return [record.dagster_run for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED))]


def _free_slots(instance: dg.DagsterInstance) -> None:
    """Free what is held by runs that Dagster itself found dead, and say so on them.

    Dagster frees it only a minute after, or more, and says that the run "has been marked as failed from outside".
    """
    for run_id in instance.event_log_storage.get_concurrency_run_ids():
        run = instance.get_run_by_id(run_id)
        if run is not None and run.is_finished and is_gone(run):
            if run.status == dg.DagsterRunStatus.FAILURE and not run.tags.get(REASON_TAG):
                instance.add_run_tags(run_id, {REASON_TAG: GONE})
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def close(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str) -> None:
    """End a run that nobody else will end."""
    instance.add_run_tags(run.run_id, {REASON_TAG: reason[:TAG_LENGTH]})
    instance.report_run_failed(run, f"watchdog: {reason}: materialize again to resume")
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def stop(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str, beat: Heartbeat) -> str:
    """Stop a run as the UI's Terminate does: its trainer is interrupted, then terminated, then killed.

    If nobody answers, or the run has not ended a minute after the request, its processes are killed and it is closed.
    That needs a worker of this machine; a run elsewhere is only asked, and the returned line says where it runs.

    Returns:
        What was done, for a person.
    """
    worker = worker_of(run)
    requested = float(run.tags.get(_REQUESTED_TAG) or 0.0)
    if not requested:
        tags = {REASON_TAG: reason[:TAG_LENGTH], _REQUESTED_TAG: f"{time.time():.0f}"}
        instance.add_run_tags(run.run_id, tags)
        instance.report_engine_event(f"watchdog: {reason}", run)
        # Raises if the worker's server is gone although its process is not.
        with suppress(Exception):
            if not is_gone(run) and instance.run_coordinator.cancel_run(run.run_id):
                return "asked to stop"
    elif time.time() - requested < GRACE and not is_gone(run):
        return "asked to stop, not yet ended"
    if worker is None or not (worker.is_local or worker.is_gone):
        where = f"it runs as {worker}" if worker else UNKNOWN_WORKER
        return f"not ended, and not closed from here: {where}: end it there"
    killed = beat.trainer.kill(group=True)
    worker.kill()
    close(instance, run, reason)
    left = "" if killed or beat.trainer.is_gone else f", but not {beat.trainer}, which trains: end it there"
    return f"killed and closed{left}"


def without_owner(instance: dg.DagsterInstance, beat: Heartbeat) -> bool:
    """Whether a trainer that Dagster started runs although its run ended a minute ago."""
    if beat.run_id is None or not beat.running or not beat.alive:
        return False
    # A run that is not on record may be one of another database: its trainer is not this instance's to end.
    record = instance.get_run_record_by_id(beat.run_id)
    return record is not None and record.end_time is not None and time.time() - record.end_time > GRACE
