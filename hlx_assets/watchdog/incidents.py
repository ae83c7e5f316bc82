"""The alerts that follow from runs that have ended: failed gates, failures, cancels, recoveries."""

import datetime
import operator
from collections.abc import Iterator

import dagster as dg

from hlx_assets.curriculum.outcome import RELEVANT, end_reason, failures, training_of_event
from hlx_assets.curriculum.session import WITHDRAWN
from hlx_assets.dagster_internals import event_log
from hlx_assets.io_manager import NEVER_MADE
from hlx_assets.watchdog.alerts import Alert
from hlx_assets.watchdog.runs import REASON_TAG
from hlx_model.phases import PHASES

ENDED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS]
_Type = dg.DagsterEventType


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
    events = event_log(instance, run.run_id, RELEVANT)
    failed: dict[str, Alert] = {}
    for found in failures(events):
        failed.setdefault(found.subject, Alert(found.subject, found.problem, run.run_id, found.training_id))
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
        reason = end_reason(run, events)
        again = "" if "resume" in reason or run.tags.get(WITHDRAWN) else ": materialize again to resume"
        # The step that was in progress; a run that waited for another one had none.
        ended = {event.step_key for event in events if event.event_type in (_Type.STEP_SUCCESS, _Type.STEP_FAILURE)}
        begun = [event.step_key for event in events if event.event_type == _Type.STEP_START]
        last = begun[-1] if begun else None
        subject = last if last and (last not in ended or run.status != dg.DagsterRunStatus.FAILURE) else run.job_name
        yield Alert(subject, f"{reason}{again}", run.run_id, cancelled=cancelled)


def _success_alert(event: dg.DagsterEvent, run_id: str) -> Alert | None:
    """Return the alert of an asset that was materialized; None for any other event."""
    if event.event_type != _Type.ASSET_MATERIALIZATION or event.asset_key is None:
        return None
    return Alert(event.asset_key.to_user_string(), None, run_id, training_of_event(event))
