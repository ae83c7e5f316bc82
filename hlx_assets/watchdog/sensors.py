"""The watchdog sensor: every minute it looks at each run and at each training's heartbeat."""

import dagster as dg

from hlx_assets.artifacts import artifacts_at_home
from hlx_assets.watchdog.runs import UNFINISHED, close_dead_runs, stop
from hlx_model.training.heartbeat import Heartbeat
from hlx_model.training.watchdog import diagnose


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Stops trainings that stall for five minutes or whose loss is NaN; closes runs whose process is gone.",
)
def training_watchdog(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Look once; the reason of a stop is on the run (tag `hlx/watchdog`) and in its log."""
    instance = context.instance
    said = [f"{run_id[:8]}: closed, its process is gone" for run_id in close_dead_runs(instance)]
    training = artifacts_at_home().training
    beats = [b for d in (training.iterdir() if training.is_dir() else ()) if (b := Heartbeat.read(d)) is not None]
    watched = 0
    for beat in beats:
        if not beat.running or beat.run_id is None:
            continue
        watched += 1
        reason = diagnose(beat)
        run = instance.get_run_by_id(beat.run_id)
        if reason is None or run is None or run.status not in UNFINISHED:
            continue
        said.append(f"{run.run_id[:8]}: {reason} ({stop(instance, run, reason, beat)})")
    for line in said:
        context.log.warning(line)
    return dg.SkipReason("; ".join(said) or f"{watched} trainings at work, all well")
