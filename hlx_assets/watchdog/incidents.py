"""What came of the runs that have ended: failed gates, failures, cancels, recoveries."""

import datetime
from collections.abc import Iterator, Sequence

import dagster as dg

from hlx_assets.curriculum.assets import NOT_STOPPED
from hlx_assets.watchdog.alerts import Alert
from hlx_assets.watchdog.runs import REASON_TAG

ENDED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS]
_TOLD_BY = {
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_START,
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
    failed = [alert for event in events if (alert := _failed(event, run.run_id))]
    if run.status == dg.DagsterRunStatus.SUCCESS:
        # A training that a gate stopped is materialized too, and its run succeeds where it is alone in it.
        yield from failed[:1]
        well = {asset: None for event in events if (asset := _materialized(event))}
        yield from (
            Alert(asset, None, run.run_id) for asset in well if asset not in {alert.subject for alert in failed}
        )
        return
    if run.status == dg.DagsterRunStatus.FAILURE and failed and REASON_TAG not in run.tags:
        yield failed[0]
        return
    # What is interrupted fails by that, whoever did it: the step's own error says nothing.
    ended = "was cancelled" if run.status == dg.DagsterRunStatus.CANCELED else "ended without a word: see its log"
    yield Alert(_at_work(events) or run.job_name, run.tags.get(REASON_TAG, f"the run {ended}"), run.run_id)


def _failed(event: dg.DagsterEvent, run_id: str) -> Alert | None:
    """A gate or a step that failed, or a training that was stopped; a gate's comes before the step that it failed."""
    if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
        stopped = event.step_materialization_data.materialization.metadata.get("stopped")
        if stopped is None or stopped.value == NOT_STOPPED:
            return None
        return Alert(_materialized(event) or "", f"its training was stopped: {stopped.value}", run_id)
    if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        if check.passed or check.severity != dg.AssetCheckSeverity.ERROR:
            return None
        return Alert(check.asset_key.to_user_string(), f"gate {check.check_name}: {check.description}", run_id)
    if event.event_type == dg.DagsterEventType.STEP_FAILURE:
        failure = event.step_failure_data
        said = failure.user_failure_data.description if failure.user_failure_data else None
        error = failure.error.cause or failure.error if failure.error else None
        reason = said or (error.message if error else "") or "it failed: see the run's log"
        return Alert(event.step_key or "", " ".join(reason.split()), run_id)
    return None


def _materialized(event: dg.DagsterEvent) -> str | None:
    if event.event_type != dg.DagsterEventType.ASSET_MATERIALIZATION or event.asset_key is None:
        return None
    return event.asset_key.to_user_string()


def _at_work(events: Sequence[dg.DagsterEvent]) -> str | None:
    """The step that was begun last."""
    begun = [event.step_key for event in events if event.event_type == dg.DagsterEventType.STEP_START]
    return begun[-1] if begun else None
