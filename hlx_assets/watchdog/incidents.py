"""The alerts that follow from runs that have ended: failed gates, failures, cancels, recoveries."""

import datetime
import operator
from collections.abc import Iterator, Sequence
from dataclasses import replace

import dagster as dg

from hlx_assets.common import failure_reason
from hlx_assets.dagster_internals import event_log
from hlx_assets.executor import stop_reason
from hlx_assets.io_manager import NEVER_MADE
from hlx_assets.watchdog.alerts import Alert
from hlx_assets.watchdog.runs import REASON_TAG
from hlx_model.evaluation.gates import COMPLETED
from hlx_model.phases import PHASES

ENDED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS]
_Type = dg.DagsterEventType
_RELEVANT = {
    _Type.ASSET_CHECK_EVALUATION, _Type.STEP_FAILURE, _Type.STEP_START, _Type.STEP_SUCCESS, _Type.RUN_FAILURE,
    _Type.ASSET_MATERIALIZATION,
}  # fmt: skip


def incidents(instance: dg.DagsterInstance, since: float) -> Iterator[tuple[float, Alert]]:
    """Yield the alerts of the runs that have ended since a time, in the order of their ends.

    Args:
        instance: of the runs.
        since: Unix seconds.

    Yields:
        The end of the run (Unix seconds) and an alert: for each failure, for a cancel, for each asset that came out.
    """
    after = datetime.datetime.fromtimestamp(since, datetime.UTC)
    records = instance.get_run_records(dg.RunsFilter(statuses=ENDED, updated_after=after))
    ended = [(record.end_time, record.dagster_run) for record in records if record.end_time and record.end_time > since]
    for time, run in sorted(ended, key=operator.itemgetter(0)):
        yield from ((time, alert) for alert in _alerts_of_run(instance, run))


def _alerts_of_run(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[Alert]:
    events = event_log(instance, run.run_id, _RELEVANT)
    failed: dict[str, Alert] = {}
    for event in events:
        if alert := _failure_alert(event, run.run_id):
            failed.setdefault(alert.subject, alert)
    for phase in PHASES.values():
        if phase.checkpoint_asset in failed:  # the report on a stopped training fails for the same reason
            failed.pop(phase.report_asset, None)
    stopped, status = run.tags.get(REASON_TAG), run.status
    if status == dg.DagsterRunStatus.SUCCESS:
        yield from failed.values()
        recovered = {alert.subject: alert for event in events if (alert := _success_alert(event, run.run_id))}
        yield from (alert for subject, alert in recovered.items() if subject not in failed)
    elif status == dg.DagsterRunStatus.FAILURE and failed and not stopped:
        # If an input was never materialized, the person who started the run sees it there.
        yield from (alert for alert in failed.values() if NEVER_MADE not in (alert.problem or ""))
    else:
        # An interrupted step fails with an error that says nothing of the reason.
        cancelled = status == dg.DagsterRunStatus.CANCELED and not stopped
        reason = stopped or f"the run ended: {_failure_message(events)}"
        if cancelled:
            reason = "somebody cancelled the run"
        again = "" if "resume" in reason else ": materialize again to resume"
        # The step that was in progress; a run that waited for another one had none.
        ended = {event.step_key for event in events if event.event_type in (_Type.STEP_SUCCESS, _Type.STEP_FAILURE)}
        begun = [event.step_key for event in events if event.event_type == _Type.STEP_START]
        last = begun[-1] if begun else None
        subject = last if last and (last not in ended or run.status != dg.DagsterRunStatus.FAILURE) else run.job_name
        yield Alert(subject, f"{reason}{again}", run.run_id, cancelled=cancelled)


def _failure_alert(event: dg.DagsterEvent, run_id: str) -> Alert | None:
    """Return the alert of a failed gate, a failed step or a stopped training; None for any other event."""
    if materialized := _success_alert(event, run_id):
        if stopped := stop_reason(event):
            return replace(materialized, problem=f"its training was stopped: {stopped}")
    elif event.event_type == _Type.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        # The materialization of a stopped training reports what the check `training_completed` repeats.
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR and check.check_name != COMPLETED:
            return Alert(check.asset_key.to_user_string(), f"gate {check.check_name}: {check.description}", run_id)
    elif event.event_type == _Type.STEP_FAILURE and (reason := failure_reason(event)):
        return Alert(event.step_key or "", reason, run_id)
    return None


def _success_alert(event: dg.DagsterEvent, run_id: str) -> Alert | None:
    """Return the alert of an asset that was materialized; None for any other event."""
    if event.event_type != _Type.ASSET_MATERIALIZATION or event.asset_key is None:
        return None
    training = event.step_materialization_data.materialization.metadata.get("training_id")
    return Alert(event.asset_key.to_user_string(), None, run_id, str(training.value) if training else None)


def _failure_message(events: Sequence[dg.DagsterEvent]) -> str:
    """Return Dagster's message on a run that failed although none of its steps did."""
    found = [event.message for event in events if event.event_type == _Type.RUN_FAILURE and event.message]
    return " ".join(found[-1].split()).rstrip(".") if found else "its log does not say why"
