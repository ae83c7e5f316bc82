"""Re-validation: every night the checkpoints are evaluated again, beside a training that may be running."""

import dagster as dg

from hlx_assets import settings
from hlx_assets.validation.assets import assets
from hlx_model.phases import PHASES

NICE = 10
"""A training that is running comes first."""

revalidation = dg.define_asset_job(
    "revalidation",
    selection=dg.AssetSelection.assets(*assets),
    config={
        "ops": {asset.op.name: {"config": {"device": settings.revalidation_device(), "nice": NICE}} for asset in assets}
    },
    description="Evaluate the checkpoints of the three phases again, with their gates; trains nothing. "
    "If you start it by hand, select the phases that were trained; the schedule does so.",
)


@dg.schedule(
    name="nightly_revalidation",
    job=revalidation,
    cron_schedule=settings.revalidation_cron(),
    execution_timezone=settings.timezone(),
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night at three (`HLX_REVALIDATION_CRON`, `HLX_TIMEZONE`); a gate that fails is closed again.",
)
def nightly_revalidation(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Request the reports on the checkpoints that exist."""
    existing = [
        asset.key
        for phase, asset in zip(PHASES, assets, strict=True)
        if context.instance.get_latest_materialization_event(dg.AssetKey(f"phase{phase}_checkpoint"))
    ]
    return dg.RunRequest(asset_selection=existing) if existing else dg.SkipReason("there is no checkpoint to evaluate")
