"""How a run that has ended came out: what failed in it, its verdict, and whether a session that follows it may train.

Everything is read from the run's tags and its event log.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import dagster as dg

from hlx_assets.common import failure_reason
from hlx_assets.curriculum.session import AFTER, RESUMES, SESSION, WITHDRAWN
from hlx_assets.dagster_internals import event_log
from hlx_assets.watchdog.runs import GONE, REASON_TAG
from hlx_model.evaluation.gates import COMPLETED
from hlx_model.evaluation.milestones import GATES_IN_TRAINING
from hlx_model.layout import EVALUATION, EVALUATION_DOCUMENT

STOPPED, NOT_STOPPED = "stopped", "no"
"""The metadata of a checkpoint with the reason of the stop, and its value if the training completed."""
STATUS = "status"
"""The metadata of a checkpoint that says how its training ended: `completed`, `quality_failed` or `aborted`."""

_Type = dg.DagsterEventType
RELEVANT = {
    _Type.ASSET_CHECK_EVALUATION, _Type.STEP_FAILURE, _Type.STEP_START, _Type.STEP_SUCCESS, _Type.RUN_FAILURE,
    _Type.ASSET_MATERIALIZATION,
}  # fmt: skip
"""The events that tell how a run came out."""
Outcome = Literal["passed", "quality_failed", "aborted", "canceled", "withdrawn", "failed"]


class RunVerdict(NamedTuple):
    """How a run came out."""

    outcome: Outcome
    """`quality_failed`: by a gate. `aborted`: by an abort rule or the watchdog. `failed`: also if its process is gone.
    """
    reason: str | None
    """One line: the gate with its figure, the abort in words, why a step failed; None if it passed."""


class Failed(NamedTuple):
    """What failed in a run: a training that was stopped, a gate or a step."""

    subject: str
    """The asset or the step."""
    problem: str
    """One line."""
    outcome: Outcome
    training_id: str | None = None


def stop_reason(event: dg.DagsterEvent) -> str | None:
    """Return why a training was stopped, of the materialization of its checkpoint; None for any other event."""
    stopped = _metadata(event, STOPPED)
    return None if stopped == NOT_STOPPED else stopped


def training_of_event(event: dg.DagsterEvent) -> str | None:
    """Return the id of the training whose checkpoint was materialized; None for any other event."""
    return _metadata(event, "training_id")


def _metadata(event: dg.DagsterEvent, name: str) -> str | None:
    if event.event_type != _Type.ASSET_MATERIALIZATION:
        return None
    found = event.step_materialization_data.materialization.metadata.get(name)
    return None if found is None else str(found.value)


def failures(events: Sequence[dg.DagsterEvent]) -> Iterator[Failed]:
    """Yield what failed in a run, in the order of its events."""
    stopped = {event.asset_key for event in events if stop_reason(event)}
    for event in events:
        if reason := stop_reason(event):
            outcome: Outcome = "quality_failed" if _metadata(event, STATUS) == "quality_failed" else "aborted"
            problem = f"its training was stopped: {reason}"
            yield Failed(_subject(event.asset_key), problem, outcome, training_of_event(event))
        elif event.event_type == _Type.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            # The materialization of a stopped training reports what these checks repeat.
            repeats = check.check_name == COMPLETED or (
                check.check_name == GATES_IN_TRAINING and check.asset_key in stopped
            )
            if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR and not repeats:
                problem = f"gate {check.check_name}: {check.description}"
                yield Failed(_subject(check.asset_key), problem, "quality_failed")
        elif event.event_type == _Type.STEP_FAILURE and (reason := failure_reason(event)):
            yield Failed(event.step_key or "", reason, "failed")


def _subject(key: dg.AssetKey | None) -> str:
    return key.to_user_string() if key else ""


def end_reason(run: dg.DagsterRun, events: Sequence[dg.DagsterEvent]) -> str:
    """Return why a run ended that none of its steps explains: who or what ended it, in one line."""
    if reason := run.tags.get(WITHDRAWN) or run.tags.get(REASON_TAG):
        return reason
    if run.status == dg.DagsterRunStatus.CANCELED:
        return "somebody cancelled the run"
    said = [event.message for event in events if event.event_type == _Type.RUN_FAILURE and event.message]
    return f"the run ended: {' '.join(said[-1].split()).rstrip('.') if said else 'its log does not say why'}"


def verdict_of_run(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RunVerdict:
    """Return how a run that has ended came out. Gates of evaluation documents, which stop nothing, do not count."""
    if withdrawn := run.tags.get(WITHDRAWN):
        return RunVerdict("withdrawn", withdrawn)
    events = event_log(instance, run.run_id, RELEVANT)
    success = run.status == dg.DagsterRunStatus.SUCCESS
    if not success and (reason := run.tags.get(REASON_TAG)):
        return RunVerdict("failed" if reason == GONE else "aborted", end_reason(run, events))
    if run.status == dg.DagsterRunStatus.CANCELED:
        return RunVerdict("canceled", end_reason(run, events))
    for failed in failures(events):
        if failed.subject not in (EVALUATION_DOCUMENT, EVALUATION) or failed.outcome == "failed":
            return RunVerdict(failed.outcome, f"{failed.subject}: {failed.problem}")
    return RunVerdict("passed", None) if success else RunVerdict("failed", end_reason(run, events))


def latest_resumption(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun | None:
    """Return what stands for a run that was resumed: of it and all that resume it, the newest that succeeded.

    If none succeeded it is the newest; None if the run is not on record.
    """
    record = instance.get_run_record_by_id(run_id)
    found = [record] if record else []
    for one in found:  # it grows: a resumption may have been resumed
        resuming = instance.get_run_records(dg.RunsFilter(tags={RESUMES: one.dagster_run.run_id}))
        known = {other.dagster_run.run_id for other in found}
        found += [other for other in resuming if other.dagster_run.run_id not in known]
    runs = [one.dagster_run for one in sorted(found, key=lambda one: one.create_timestamp)]
    succeeded = [run for run in runs if run.status == dg.DagsterRunStatus.SUCCESS]
    return next(reversed(succeeded or runs), None)


def withdrawal(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Return why a run may not train, in one line: the one before it in its chain did not pass; None if it may."""
    after = run.tags.get(AFTER)
    if not after:
        return None
    before = latest_resumption(instance, after)
    if before is None:
        return f"withdrawn: run {after[:8]} did not pass: it is not on record"
    name = f"{before.tags.get(SESSION) or before.job_name} (run {before.run_id[:8]})"
    if not before.is_finished:
        return f"withdrawn: {name} did not pass: it has not ended"
    verdict = verdict_of_run(instance, before)
    if verdict.outcome == "withdrawn":  # its line names the one that failed
        return verdict.reason
    return f"withdrawn: {name} did not pass: {verdict.reason}" if verdict.reason else None
