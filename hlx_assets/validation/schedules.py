"""Re-validation: every night the reports on the existing checkpoints are made again, beside a running training."""

import dagster as dg

from hlx_assets.settings import DagsterEnvironment
from hlx_assets.validation.assets import assets
from hlx_model.phases import PHASES

NICE = 10
"""A running training comes first."""


def revalidation_schedule(environment: DagsterEnvironment) -> dg.ScheduleDefinition:
    """Return the schedule `nightly_revalidation` with its job `revalidation`; the environment sets time and device."""
    config = {"device": environment.revalidation_device, "nice": NICE}
    job = dg.define_asset_job(
        "revalidation",
        dg.AssetSelection.assets(*assets),
        {"ops": {asset.op.name: {"config": config} for asset in assets}},
        description="Judge the checkpoints of the three phases again, with their gates; trains nothing. "
        "If you start it by hand, select the phases that were trained; the schedule does.",
    )

    @dg.schedule(
        job=job,
        cron_schedule=environment.revalidation_cron,
        execution_timezone=environment.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every night at three (`HLX_REVALIDATION_CRON`, `HLX_TIMEZONE`); a gate that fails closes again.",
    )
    def nightly_revalidation(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Request the reports on the checkpoints that exist."""
        made = context.instance.get_latest_materialization_event
        phases = [phase for phase in PHASES.values() if made(dg.AssetKey(phase.checkpoint_asset))]
        existing = [dg.AssetKey(phase.report_asset) for phase in phases]
        return dg.RunRequest(asset_selection=existing) if existing else dg.SkipReason("there is no checkpoint yet")

    return nightly_revalidation
