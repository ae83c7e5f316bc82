"""The watchdog sensor: every minute it looks at each run and at each training, stops what is lost and tells of it."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

import dagster as dg

from hlx_assets.io_manager import artifacts_at_home
from hlx_assets.settings import watchdog_seconds
from hlx_assets.watchdog.alerts import Alert, Notifier
from hlx_assets.watchdog.incidents import incidents
from hlx_assets.watchdog.runs import (
    GRACE,
    REASON_TAG,
    TAG_LENGTH,
    close_dead_runs,
    has_worker,
    runs_elsewhere,
    stop,
    without_owner,
)
from hlx_model.monitoring.rules import check
from hlx_model.monitoring.snapshots import WatchedTraining, limits, trainings
from hlx_model.runs.liveness import leave_tick

SECONDS = watchdog_seconds()


@dg.sensor(
    minimum_interval_seconds=SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Stops trainings that are lost (stalled, diverged, of the wrong size, past a failed gate, without room "
    "on the disk), closes runs whose process is gone; tells of that, of failures, cancels, recoveries (`HLX_ALERTS`).",
)
def training_watchdog(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Look once; the reason of a stop is on the run (tag `hlx/watchdog`) and in its log."""
    training = artifacts_at_home().training
    leave_tick(training, SECONDS)
    notifier = Notifier.of(context.cursor, log=context.log)
    said = [f"{run_id[:8]}: closed, its process is gone" for run_id in close_dead_runs(context.instance)]
    found = list(trainings(training))
    at_work = [one for one in found if one.snapshot.beat.running]
    for line, alert in _looked_at(context.instance, at_work):
        said.append(line)
        notifier.tell(alert)
    for line in said:
        context.log.warning(line)
    training_of = {one.snapshot.beat.run_id: one.snapshot.beat.training_id for one in found}
    for ended, alert in incidents(context.instance, since=notifier.since):
        notifier.tell(replace(alert, training_id=alert.training_id or training_of.get(alert.run_id)))
        notifier.since = ended
    context.update_cursor(notifier.cursor())
    well = f"trainings at work: {len(at_work)}, all well" if at_work else "no training is at work"
    return dg.SkipReason("; ".join([*(said or [well]), *runs_elsewhere(context.instance)]))


def _looked_at(instance: dg.DagsterInstance, at_work: Iterable[WatchedTraining]) -> Iterator[tuple[str, Alert]]:
    """What was wrong with each training, and what was done."""
    for found in at_work:
        beat = found.snapshot.beat
        alert = Alert(f"phase{beat.phase}_checkpoint", None, beat.run_id, beat.training_id)
        if without_owner(instance, beat):
            killed = beat.trainer.kill(group=True)
            done = "killed" if killed else "end it there"
            reason = f"{beat.trainer} was still training although its run had ended: {done}"
            yield f"{beat.training_id}: {reason}", replace(alert, trouble=reason)
            continue
        trouble = check(found.snapshot, time.time(), limits())
        if trouble is None:
            continue
        run = instance.get_run_by_id(beat.run_id) if beat.run_id else None
        if run is None or run.is_finished:
            if trouble.name == "gone":
                # The run, where there was one, knows better why, and its end is told of as such.
                beat.close(found.directory, (run.tags.get(REASON_TAG) if run else None) or trouble.reason)
            if run is None:  # started at a terminal: to stop it is for the one who sits there
                where = "" if beat.trainer.is_local else f", {beat.trainer}"
                alert = replace(alert, subject=f"hlx train --phase {beat.phase}", trouble=f"{trouble.reason}{where}")
                yield f"{beat.training_id}: {trouble.reason}{where} (a person must look)", alert
            continue
        if trouble.name == "gone" and time.time() - beat.time < GRACE and has_worker(run):
            continue  # the worker ends the run in a moment, and knows how its trainer died
        # A run that is being stopped is so for what was found first, whatever shows while it ends.
        reason = run.tags.get(REASON_TAG) or trouble.reason
        done = stop(instance, run, reason, beat) if trouble.lost else "a person must look"
        yield f"{run.run_id[:8]}: {reason} ({done})", replace(alert, trouble=reason[:TAG_LENGTH])
