"""The watchdog sensor: at each tick it checks every run and every training, stops what is lost and sends alerts."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import dagster as dg

from hlx_assets.io_manager import artifacts_at_home
from hlx_assets.watchdog import runs
from hlx_assets.watchdog.alerts import Alert, Cursor, Notifier
from hlx_assets.watchdog.incidents import incidents
from hlx_model.monitoring.rules import check
from hlx_model.monitoring.snapshots import WatchedTraining, limits, scan
from hlx_model.phases import PHASES
from hlx_model.runs.liveness import leave_tick
from hlx_model.runs.stopwatch import Stopwatch

PERSON = "needs a person"


def watchdog_sensor(interval: int) -> dg.SensorDefinition:
    """Return the sensor `training_watchdog`, which ticks every `interval` seconds."""

    @dg.sensor(
        minimum_interval_seconds=interval,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Stops trainings that are lost (stalled, diverged, of the wrong size, past a failed gate, without "
        "disk space) and closes runs whose process is gone. Sends alerts of that, and of failures, cancels and "
        "recoveries (`HLX_ALERTS`).",
    )
    def training_watchdog(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        """Check everything once; the reason of a stop is on the run (tag `hlx/watchdog`) and in its log."""
        artifacts = artifacts_at_home()
        folder = artifacts.training
        leave_tick(folder, interval)
        cursor = Cursor.load(context.cursor, context.log)
        notifier = Notifier(cursor.sent, context.log, artifacts.root)
        stopwatch = Stopwatch(cursor.counts, interval)

        def save(since: float) -> None:
            # After each alert: if the tick is ended in the middle, what was sent is not sent again.
            context.update_cursor(Cursor(sent=notifier.sent, since=since, counts=stopwatch.counts).dump())

        lines = [f"{run_id[:8]}: closed, its process is gone" for run_id in runs.close_dead_runs(context.instance)]
        found = scan(folder)
        lines += found.unreadable
        running = [training for training in found.watched if training.snapshot.beat.running]
        for line, alert in _problems(context.instance, running, stopwatch):
            lines.append(line)
            notifier.notify(alert)
            save(cursor.since)
        save(cursor.since)
        for line in lines:
            context.log.warning(line)
        training_of = {training.snapshot.beat.run_id: training.snapshot.beat.training_id for training in found.watched}
        for ended, alert in incidents(context.instance, since=cursor.since):
            notifier.notify(replace(alert, training_id=alert.training_id or training_of.get(alert.run_id)))
            save(since=ended)
        well = f"running trainings: {len(running)}, all well" if running else "no training is running"
        return dg.SkipReason("; ".join([*(lines or [well]), *runs.runs_elsewhere(context.instance)]))

    return training_watchdog


def _problems(
    instance: dg.DagsterInstance, running: Sequence[WatchedTraining], stopwatch: Stopwatch
) -> Iterator[tuple[str, Alert]]:
    """Stop each training that is lost; yield a line on each that has a problem, and its alert."""
    # All before the first is stopped, which takes its time: the counts are saved after each.
    beats = [training.snapshot.beat for training in running]
    silent = [stopwatch.unchanged(beat.training_id, beat.state) for beat in beats]
    ends = runs.ends_of(instance, beats)
    for training, seconds in zip(running, silent, strict=True):
        beat = training.snapshot.beat
        asset = PHASES[beat.phase].checkpoint_asset if beat.phase in PHASES else f"phase {beat.phase}"
        # Its problem is filled in below.
        alert = Alert(asset, None, beat.run_id, beat.training_id)
        if runs.is_orphan(ends, beat, stopwatch):
            done = "killed" if beat.trainer.kill(group=True) else "end it there"
            reason = f"{beat.trainer} was still training although its run had ended: {done}"
            yield f"{beat.training_id}: {reason}", replace(alert, problem=reason)
            continue
        problem = check(training.snapshot, seconds, limits())
        if problem is None:
            continue
        run = instance.get_run_by_id(beat.run_id) if beat.run_id else None
        if run is None or run.is_finished:
            if problem.name == "gone":
                # The end of its run, if it had one, is an incident by itself and has the better reason.
                beat.close(training.directory, (run.tags.get(runs.REASON_TAG) if run else None) or problem.reason)
            if run is None:  # started at a terminal, where a person can stop it
                reason = problem.reason if beat.trainer.is_local else f"{problem.reason}, {beat.trainer}"
                alert = replace(alert, subject=f"hlx train --phase {beat.phase}", problem=reason)
                yield f"{beat.training_id}: {reason} ({PERSON})", alert
            continue
        worker = runs.worker_of(run)
        if problem.name == "gone" and seconds < runs.GRACE and worker and worker.is_running:
            continue  # the worker ends the run in a moment, and knows how its trainer died
        # While a run is being stopped, its first reason stays.
        reason = run.tags.get(runs.REASON_TAG) or problem.reason
        done = runs.stop(instance, run, reason, beat, stopwatch) if problem.lost else PERSON
        yield f"{run.run_id[:8]}: {reason} ({done})", replace(alert, problem=runs.as_tag(reason))
