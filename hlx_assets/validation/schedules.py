"""Re-validation: the three reports made again, by night, on the checkpoints that are there."""

import os

import dagster as dg

from hlx_assets.validation.assets import assets

revalidation = dg.define_asset_job(
    "revalidation",
    selection=dg.AssetSelection.assets(*assets),
    description="Judge the checkpoints of the three phases again, with their gates; trains nothing.",
)

nightly_revalidation = dg.ScheduleDefinition(
    name="nightly_revalidation",
    job=revalidation,
    cron_schedule=os.environ.get("HLX_REVALIDATION_CRON", "0 3 * * *"),
    description="Every night at three (`HLX_REVALIDATION_CRON`); switch it on in the UI.",
)
