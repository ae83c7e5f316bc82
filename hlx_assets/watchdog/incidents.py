"""What came of the runs that have ended: failed gates, failures, cancels, recoveries."""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import replace

import dagster as dg

from hlx_assets.common import why_failed
from hlx_assets.curriculum.assets import NOT_STOPPED
from hlx_assets.io_manager import NEVER_MADE
from hlx_assets.watchdog.alerts import Alert
from hlx_assets.watchdog.runs import REASON_TAG
from hlx_model.evaluation.gates import COMPLETED
from hlx_model.profiles import PHASES

ENDED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS]
_TOLD_BY = {
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_START,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
}


def incidents(instance: dg.DagsterInstance, since: float) -> Iterator[tuple[float, Alert]]:
    """In order, and with the time (Unix seconds) of it, what came of each run that has ended since.

    An alert for each one that has failed or was cancelled, and for each asset that came out well.
    """
    after = datetime.datetime.fromtimestamp(since, datetime.UTC)
    records = instance.get_run_records(dg.RunsFilter(statuses=ENDED, updated_after=after))
    ended = [(record.end_time, record.dagster_run) for record in records if record.end_time is not None]
    for time, run in sorted(ended, key=lambda one: one[0]):
        if time > since:
            for alert in _of(instance, run):
                yield time, alert


def _of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[Alert]:
    logged = instance.all_logs(run.run_id, of_type=_TOLD_BY)
    events = [entry.dagster_event for entry in logged if entry.dagster_event is not None]
    failed: dict[str, Alert] = {}
    for event in events:
        if alert := _failed(event, run.run_id):
            failed.setdefault(alert.subject, alert)
    for phase in PHASES:
        if f"phase{phase}_checkpoint" in failed:  # the report on what was stopped fails for that
            failed.pop(f"phase{phase}_validation_report", None)
    stopped, status = run.tags.get(REASON_TAG), run.status
    if status == dg.DagsterRunStatus.SUCCESS:
        # A training that a gate stopped is materialized too, and its run succeeds where it is alone in it.
        yield from failed.values()
        well = {alert.subject: alert for event in events if (alert := _materialized(event, run.run_id))}
        yield from (alert for subject, alert in well.items() if subject not in failed)
    elif status == dg.DagsterRunStatus.FAILURE and failed and not stopped:
        # Who started what cannot be made yet was told so where they started it.
        yield from (alert for alert in failed.values() if NEVER_MADE not in (alert.trouble or ""))
    else:
        # What is interrupted fails by that, whoever did it: the step's own error says nothing.
        cancelled = status == dg.DagsterRunStatus.CANCELED and not stopped
        said = stopped or ("somebody cancelled the run" if cancelled else f"the run ended: {_last_word(events)}")
        again = "" if "resume" in said else ": materialize again to resume"
        yield Alert(_at_work(events) or run.job_name, f"{said}{again}", run.run_id, cancelled=cancelled)


def _failed(event: dg.DagsterEvent, run_id: str) -> Alert | None:
    """A gate or a step that failed, or a training that was stopped."""
    if made := _materialized(event, run_id):
        stopped = event.step_materialization_data.materialization.metadata.get("stopped")
        if stopped is None or stopped.value == NOT_STOPPED:
            return None
        return replace(made, trouble=f"its training was stopped: {stopped.value}")
    if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        if check.passed or check.severity != dg.AssetCheckSeverity.ERROR or check.check_name == COMPLETED:
            return None  # of a training that was stopped, which its checkpoint tells
        return Alert(check.asset_key.to_user_string(), f"gate {check.check_name}: {check.description}", run_id)
    if event.event_type == dg.DagsterEventType.STEP_FAILURE:
        reason = why_failed(event)
        return Alert(event.step_key or "", reason, run_id) if reason else None
    return None


def _materialized(event: dg.DagsterEvent, run_id: str) -> Alert | None:
    """An asset that came out."""
    if event.event_type != dg.DagsterEventType.ASSET_MATERIALIZATION or event.asset_key is None:
        return None
    training = event.step_materialization_data.materialization.metadata.get("training_id")
    return Alert(event.asset_key.to_user_string(), None, run_id, str(training.value) if training else None)


def _last_word(events: Sequence[dg.DagsterEvent]) -> str:
    """What Dagster says of a run that failed and none of its steps."""
    said = [event.message for event in events if event.event_type == dg.DagsterEventType.RUN_FAILURE and event.message]
    return " ".join(said[-1].split()).rstrip(".") if said else "nobody knows why"


def _at_work(events: Sequence[dg.DagsterEvent]) -> str | None:
    """The step that was begun last."""
    begun = [event.step_key for event in events if event.event_type == dg.DagsterEventType.STEP_START]
    return begun[-1] if begun else None
