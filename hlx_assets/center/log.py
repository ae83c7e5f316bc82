"""A session's log for a person, from the log of its run: one line for each thing that happened, without stack traces.

    session_log(center, run_id, None)             # the last lines
    session_log(center, run_id, answer.cursor)    # what has come since

What Dagster's UI plots and counts is left out: observations, inputs and outputs of steps, plans.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from hlx_assets import dagster_internals as internals
from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.models import LogLine, SessionLog
from hlx_assets.common import failure_reason
from hlx_assets.console import TOLD_BETTER
from hlx_assets.curriculum.outcome import stop_reason
from hlx_assets.io_manager import CHECKPOINTS, REPORTS
from hlx_model.evaluation.milestones import GATES_IN_TRAINING
from hlx_model.shown import one_line

MOST_RECORDS = 5_000
"""Records that one call reads at most: an observation a second makes a log of days long."""
_PAGE = 500
_LENGTH = 500
_MAX_ID = 2**63 - 1
_Type = dg.DagsterEventType
_OF_RUNS = {
    _Type.RUN_ENQUEUED: "queued", _Type.RUN_STARTING: "its process starts", _Type.RUN_START: "started",
    _Type.RUN_SUCCESS: "ended", _Type.RUN_CANCELING: "it is to end: a trainer writes a checkpoint first",
    _Type.RUN_CANCELED: "canceled",
}  # fmt: skip
_LONG_STEPS = {*CHECKPOINTS, *REPORTS}
"""Steps that take so long that their beginning is worth a line."""
_NOISE = (*TOLD_BETTER, "[pipes] ")


def session_log(center: Center, run_id: str, cursor: str | None, limit: int = 200) -> SessionLog:
    """Return lines of a session's log, oldest first.

    Args:
        center: of the home.
        run_id: the session's.
        cursor: of the answer before: the lines after it; None: the last ones.
        limit: how many lines at most.

    Raises:
        CenterError: 404: there is no such run; 422: the cursor is none.
    """
    if center.instance.get_run_by_id(run_id) is None:
        raise CenterError(404, f"there is no session {run_id[:50]!r}: GET /api/training/queue lists them")
    if cursor is None:
        return _last(center.instance, run_id, limit)
    if not (cursor.isascii() and cursor.isdecimal()) or int(cursor) > _MAX_ID:
        raise CenterError(422, "cursor is not one of this log: send the `cursor` of an answer before, or none")
    return _after(center.instance, run_id, int(cursor), limit)


def _last(instance: dg.DagsterInstance, run_id: str, limit: int) -> SessionLog:
    lines, newest = list[LogLine](), 0
    for record, entry in _records(instance, run_id, None, newest_first=True):
        newest = max(newest, record)
        if line := _line(entry):
            lines.append(line)
        if len(lines) == limit:
            break
    return SessionLog(lines=lines[::-1], cursor=str(newest), more=False)


def _after(instance: dg.DagsterInstance, run_id: str, cursor: int, limit: int) -> SessionLog:
    lines, read = list[LogLine](), 0
    for record, entry in _records(instance, run_id, cursor):
        if len(lines) == limit:
            return SessionLog(lines=lines, cursor=str(cursor), more=True)
        cursor, read = record, read + 1
        if line := _line(entry):
            lines.append(line)
    return SessionLog(lines=lines, cursor=str(cursor), more=read == MOST_RECORDS)


def _records(
    instance: dg.DagsterInstance, run_id: str, cursor: int | None, *, newest_first: bool = False
) -> Iterator[tuple[int, dg.EventLogEntry]]:  # fmt: skip
    for _ in range(MOST_RECORDS // _PAGE):
        page = internals.log_records(instance, run_id, cursor, _PAGE, newest_first=newest_first)
        yield from page
        if len(page) < _PAGE:
            return
        cursor = page[-1][0]


def _line(entry: dg.EventLogEntry) -> LogLine | None:
    """Return what a person reads of a record; None if that is nothing."""
    for level, text in _of_event(entry.dagster_event) if entry.dagster_event else _of_message(entry):
        said = logging.getLevelName(level).lower()
        when = datetime.fromtimestamp(entry.timestamp, UTC)
        return LogLine(time=when, level=said, step=entry.step_key, text=one_line(text, _LENGTH))
    return None


def _of_message(entry: dg.EventLogEntry) -> Iterator[tuple[int, str]]:
    message, level = entry.user_message, entry.level
    if isinstance(level, int) and level >= logging.INFO and not message.startswith(_NOISE):
        yield level, message.split("\n", 1)[0]


def _of_event(event: dg.DagsterEvent) -> Iterator[tuple[int, str]]:
    """Yield level and text of an event, if it has some."""
    if event.event_type in _OF_RUNS:
        yield logging.INFO, _OF_RUNS[event.event_type]
    elif event.event_type == _Type.RUN_FAILURE:
        yield logging.ERROR, _failure(event)
    elif event.event_type == _Type.STEP_START and event.step_key in _LONG_STEPS:
        yield logging.INFO, "begins"
    elif event.event_type == _Type.STEP_SKIPPED:
        yield logging.WARNING, "not run: an asset that it needs did not pass"
    elif event.is_step_failure and (reason := failure_reason(event)):
        yield logging.ERROR, reason
    elif event.event_type == _Type.ASSET_MATERIALIZATION:
        stopped = stop_reason(event)
        yield (logging.ERROR, f"the training was stopped: {stopped}") if stopped else (logging.INFO, "materialized")
    elif event.event_type == _Type.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        # The trainer's own lines say it at each milestone.
        if check.check_name != GATES_IN_TRAINING:
            failed = check.severity == dg.AssetCheckSeverity.ERROR
            level, outcome = (logging.ERROR, "failed") if failed else (logging.WARNING, "warns")
            level, outcome = (logging.INFO, "passed") if check.passed else (level, outcome)
            yield level, f"check {check.check_name} {outcome}: {check.description or ''}".rstrip(": ")
    elif event.event_type == _Type.ENGINE_EVENT and (event.message or "").startswith("watchdog: "):
        yield logging.WARNING, event.message or ""


def _failure(event: dg.DagsterEvent) -> str:
    """Return why a run failed, if that is more than that a step did."""
    error = event.job_failure_data.error
    text = (error.cause or error).message.split(": ", 1)[-1] if error else event.message or ""
    return "failed" if not text or "Steps failed" in text else f"failed: {text}"
