"""Re-validation: every night the reports on the existing checkpoints are made again, beside a running training."""

import dagster as dg

from hlx_assets.validation.assets import assets
from hlx_model.phases import PHASES

NICE = 10
"""A running training comes first."""


def revalidation_schedule(device: str, cron: str, timezone: str | None) -> dg.ScheduleDefinition:
    """Return the schedule `nightly_revalidation` with its job `revalidation`.

    Args:
        device: on which the checkpoints are judged, `cpu` or `cuda`.
        cron: the schedule.
        timezone: of the schedule; None is UTC.
    """
    job = dg.define_asset_job(
        "revalidation",
        selection=dg.AssetSelection.assets(*assets),
        config={"ops": {asset.op.name: {"config": {"device": device, "nice": NICE}} for asset in assets}},
        description="Judge the checkpoints of the three phases again, with their gates; trains nothing. "
        "If you start it by hand, select the phases that were trained; the schedule does.",
    )

    @dg.schedule(
        job=job,
        cron_schedule=cron,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every night at three (`HLX_REVALIDATION_CRON`, `HLX_TIMEZONE`); a gate that fails closes again.",
    )
    def nightly_revalidation(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Request the reports on the checkpoints that exist."""
        existing = [
            dg.AssetKey(phase.report_asset)
            for phase in PHASES.values()
            if context.instance.get_latest_materialization_event(dg.AssetKey(phase.checkpoint_asset))
        ]
        return dg.RunRequest(asset_selection=existing) if existing else dg.SkipReason("there is no checkpoint yet")

    return nightly_revalidation
