"""Close runs whose process is gone, and free the slots of a pool that they keep.

A run that is killed with `kill -9` stays STARTED for ever and keeps its slot: its process can no longer end it.
"""

import errno
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import dagster as dg

from hlx_assets import dagster_internals as internals
from hlx_assets.curriculum.session import PARENT, WITHDRAWN
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.processes import ProcessRef, place_key
from hlx_model.runs.stopwatch import Stopwatch

_Type = dg.DagsterEventType
UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
REASON_TAG = "hlx/watchdog"
"""Why the watchdog stopped or closed a run."""
STOPPED_TAG = "hlx/stopped"
"""The tag of a run with the reason for which a training of it was stopped."""
MAX_TAG_LENGTH = 250
GONE = "the process of this run is gone (killed, or the machine went down)"
GRACE = 60.0
"""Seconds for a run to end after a request: its trainer has 40 before it is killed."""
LAUNCH_SECONDS = 1.0
"""Seconds in which the daemon records the code server of a run that it starts."""
WORKER_TAG = "hlx/worker"
"""The beginning of the run's id, and host, pid and identity of the process that executes it."""
UNKNOWN_WORKER = "where its process runs was not recorded: if it has ended, terminate the run in the UI"
_REQUESTED_TAG = "hlx/watchdog_asked"
"""When the watchdog requested the end of a run, in Unix seconds."""
_OF_ONE_RUN = (REASON_TAG, _REQUESTED_TAG, STOPPED_TAG, WITHDRAWN, PARENT)
"""What a re-execution must not inherit. A tag cannot be removed: an empty one counts as none."""


def as_tag(reason: str) -> str:
    """Return a reason as the value of a tag; one that is too long ends with an ellipsis."""
    return reason if len(reason) <= MAX_TAG_LENGTH else f"{reason[: MAX_TAG_LENGTH - 1]}…"


def record_worker(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Record on a run, as a tag, that this process executes it: its host, pid and identity."""
    worker = ProcessRef.of(os.getpid())
    # A re-execution inherits the tags of the earlier run. The run's own id in the tag tells them apart.
    inherited = {tag: "" for tag in _OF_ONE_RUN if run.tags.get(tag)}
    tag = f"{run.run_id[:8]} {worker.host} {worker.pid} {worker.identity or ''}"
    internals.tag_run(instance, run.run_id, {WORKER_TAG: tag, **inherited})


def worker_of(run: dg.DagsterRun) -> ProcessRef | None:
    """Return the process that executes a run; None if none has recorded itself."""
    match run.tags.get(WORKER_TAG, "").split(" "):
        case [run_id, host, pid, identity] if run_id == run.run_id[:8] and pid.isdecimal():
            return ProcessRef(host, int(pid), identity or None)
    return None


def socket_folder() -> str:
    """Return how the folder with the socket of a code server of `make ui` begins: it names the place that sees it."""
    return f"hlx-ui-{place_key()}-"


def is_gone(run: dg.DagsterRun) -> bool:
    """Whether it is certain that the process of a run has ended. Only its own machine can tell.

    A run that starts has named no process yet: it has none if the code server that was to start it has ended. One that
    starts all the same ends at once, because its run has ended.
    """
    if worker := worker_of(run):
        return worker.is_gone
    code = internals.code_server_socket(run) if run.status == dg.DagsterRunStatus.STARTING else None
    return code is not None and _is_dead(code)


def _is_dead(server: Path) -> bool:
    """Whether it is certain that no code server of `make ui` accepts connections at a socket."""
    if place_key() is None or not server.parent.name.startswith(socket_folder()):
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        return probe.connect_ex(str(server)) in (errno.ECONNREFUSED, errno.ENOENT)


def close_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark every run failed whose process has ended, free its slots, and return the ids of the runs."""
    closed = []
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        if not is_gone(run):
            continue
        if worker_of(run) is None:
            # A re-execution has the code server of the earlier run on it until its own one is recorded.
            time.sleep(LAUNCH_SECONDS)
        # The run may have ended properly, or named its process, since it was read.
        if (now := instance.get_run_by_id(run.run_id)) and not now.is_finished and is_gone(now):
            close(instance, now, GONE)
            closed.append(run.run_id)
    _free_slots(instance)
    return closed


def restore_checks(instance: dg.DagsterInstance, run_id: str) -> None:
    """Report the last result again of each check that a run planned, did not evaluate, and whose asset it did not make.

    Dagster would show these checks as failed or skipped, although nothing was found against what they judge.
    """
    planned: set[dg.AssetCheckKey] = set()
    evaluated: set[dg.AssetCheckKey] = set()
    made: set[dg.AssetKey | None] = set()
    types = {_Type.ASSET_CHECK_EVALUATION_PLANNED, _Type.ASSET_CHECK_EVALUATION, _Type.ASSET_MATERIALIZATION}
    for event in internals.event_log(instance, run_id, types):
        match event.event_type:
            case _Type.ASSET_CHECK_EVALUATION_PLANNED:
                planned.add(event.asset_check_planned_data.asset_check_key)
            case _Type.ASSET_CHECK_EVALUATION:
                evaluated.add(event.asset_check_evaluation_data.asset_check_key)
            case _:
                made.add(event.asset_key)
    for check in planned - evaluated:
        if check.asset_key not in made and (last := internals.evaluation_before(instance, check, run_id)):
            instance.report_runless_asset_event(last)


def runs_elsewhere(instance: dg.DagsterInstance) -> list[str]:
    """Return a line for each unfinished run whose process is not on this machine, or is unknown."""
    lines = []
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        worker = worker_of(run)
        if worker is None and run.status != dg.DagsterRunStatus.STARTING:
            lines.append(f"run {run.run_id[:8]}: {UNKNOWN_WORKER}")
        elif worker is not None and not worker.is_local and not worker.is_gone:
            lines.append(f"run {run.run_id[:8]} runs as {worker}")
    return lines


def _free_slots(instance: dg.DagsterInstance) -> None:
    """Free the slots of dead runs that Dagster itself has marked failed, and record the reason on them.

    Dagster frees them a minute later or more, and only says that the run "has been marked as failed from outside".
    """
    for run_id in internals.pool_holders(instance):
        run = instance.get_run_by_id(run_id)
        if run is not None and run.is_finished and is_gone(run):
            if run.status == dg.DagsterRunStatus.FAILURE and not run.tags.get(REASON_TAG):
                internals.tag_run(instance, run_id, {REASON_TAG: GONE})
            internals.free_pool_slots(instance, run_id)


def close(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str) -> None:
    """Mark a run failed that no process can end, and free its slots."""
    internals.tag_run(instance, run.run_id, {REASON_TAG: as_tag(reason)})
    internals.fail_run(instance, run, f"watchdog: {reason}: materialize again to resume")
    restore_checks(instance, run.run_id)
    internals.free_pool_slots(instance, run.run_id)


def stop(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str, beat: Heartbeat, stopwatch: Stopwatch) -> str:
    """Stop a run as the UI's Terminate does: its trainer is interrupted, then terminated, then killed.

    If no process receives the request, or the run has not ended a minute after it, the processes of the run are killed
    and it is closed. That needs a worker on this machine; a run elsewhere receives only the request.

    Returns:
        What was done, for a person; if the run is elsewhere, also its place.
    """
    worker = worker_of(run)
    requested = run.tags.get(_REQUESTED_TAG)
    waited = stopwatch.unchanged(f"stop {run.run_id}", requested or "")
    if not requested:
        tags = {REASON_TAG: as_tag(reason), _REQUESTED_TAG: f"{time.time():.0f}"}
        internals.tag_run(instance, run.run_id, tags)
        internals.note_on_run(instance, run, f"watchdog: {reason}")
        with suppress(Exception):  # the worker's server may be gone although its process is not
            if not is_gone(run) and internals.request_termination(instance, run.run_id):
                return "stop requested"
    elif waited < GRACE and not is_gone(run):
        return "stop requested, not ended yet"
    if worker is None or not (worker.is_local or worker.is_gone):
        where = f"it runs as {worker}" if worker else UNKNOWN_WORKER
        return f"not ended, and cannot be closed from here: {where}: end it there"
    killed = beat.trainer.kill(group=True)
    worker.kill()
    close(instance, run, reason)
    left = "" if killed or beat.trainer.is_gone else f", but not its trainer, {beat.trainer}: end it there"
    return f"killed and closed{left}"


def ends_of(instance: dg.DagsterInstance, beats: Sequence[Heartbeat]) -> dict[str, float]:
    """Return when the runs of some trainings ended, in Unix seconds, by their ids, with one query.

    A run that has not ended, or is not on record, is missing.
    """
    ids = [beat.run_id for beat in beats if beat.run_id is not None]
    records = instance.get_run_records(dg.RunsFilter(run_ids=ids)) if ids else ()
    return {record.dagster_run.run_id: record.end_time for record in records if record.end_time is not None}


def is_orphan(ends: Mapping[str, float], beat: Heartbeat, stopwatch: Stopwatch) -> bool:
    """Whether a trainer that Dagster started still runs although its run, of `ends_of`, has been ended for a minute."""
    # A run that is not on record may be of another database; this instance must not end its trainer.
    end = ends.get(beat.run_id) if beat.run_id is not None else None
    if end is None or not beat.running or not beat.alive:
        return False
    return stopwatch.unchanged(f"end {beat.run_id}", str(end)) > GRACE
