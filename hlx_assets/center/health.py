"""Whether what a session needs works: the daemon, the watchdog, the disk, the queue's limit; and the last alerts."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

from hlx_assets import dagster_internals as internals
from hlx_assets.center.context import Center
from hlx_assets.center.models import AlertLine, Health
from hlx_assets.center.places import daemon_is_alive
from hlx_assets.curriculum.session import SESSION
from hlx_assets.watchdog.alert_record import RecordedAlert, recorded_alerts
from hlx_model import __version__
from hlx_model.model.device import device_of
from hlx_model.monitoring.snapshots import checkpoint_bytes
from hlx_model.runs.heartbeat import running_here
from hlx_model.runs.liveness import asleep
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.forecast import machine
from hlx_model.training.memory import GIB, gib

WATCHDOG = "training_watchdog"
ALERTS = 20
"""Alerts that are shown."""
MIN_FREE = 2 * GIB
"""Bytes of free disk below which a new session is in danger: a checkpoint of 100m to resume from has 1.1 GiB."""


def health(center: Center) -> Health:
    """Return what works and what does not, with what to do."""
    training = center.artifacts.training
    daemon, sleeping = daemon_is_alive(center.instance), asleep(training)
    switched_off = WATCHDOG in internals.stopped_sensors(center.instance)
    free = shutil.disk_usage(center.home).free
    needed = max([MIN_FREE, *(checkpoint_bytes(beat.size) or 0 for beat in running_here(training))])

    def problems() -> Iterator[str]:
        if not daemon:
            yield "no daemon is alive, so that no session starts: `make ui` runs it"
        if switched_off:
            yield f"the sensor {WATCHDOG} is switched off: switch it on in Dagster's UI, under Automation"
        elif sleeping:
            yield sleeping
        if free < needed:
            yield f"{gib(free)} free under {center.home}, and the next checkpoint may need {gib(needed)}: `hlx clean`"
        if internals.tag_limit(center.instance, SESSION) is None:
            yield (
                f"{center.home / 'dagster.yaml'} has no limit on the tag {SESSION}, so that all sessions run at the "
                "same time: add `tag_concurrency_limits` as in dagster_home/dagster.yaml"
            )

    found = list(problems())
    return Health(
        status="degraded" if found else "ok",
        problems=found,
        daemon=daemon,
        watchdog=not (sleeping or switched_off),
        device=machine(ExecutionConfig(device_of()), mixed=True),
        disk_free_bytes=free,
        version=__version__,
        alerts=[_line(alert) for alert in recorded_alerts(center.artifacts.root, ALERTS)],
    )


def _line(alert: RecordedAlert) -> AlertLine:
    return AlertLine(
        time=datetime.fromtimestamp(alert.time, UTC), subject=alert.subject, problem=alert.problem,
        run_id=alert.run_id, training_id=alert.training_id,
    )  # fmt: skip
