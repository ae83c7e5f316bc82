"""The code location: the whole graph on one page.

Loading it reads the environment once, for the schedule and the interval of the watchdog.
"""

import os
from pathlib import Path

import dagster as dg

import hlx_assets.baselines.assets as baselines
import hlx_assets.corpus.assets as corpus
import hlx_assets.corpus.checks as corpus_checks
import hlx_assets.curriculum.assets as training
import hlx_assets.curriculum.checks as training_checks
import hlx_assets.lineage.assets as lineage
import hlx_assets.teaching.assets as teaching
import hlx_assets.teaching.checks as teaching_checks
import hlx_assets.validation.assets as validation
from hlx_assets.common import GROUPS
from hlx_assets.console import console_logger
from hlx_assets.corpus.sensors import corpus as corpus_job
from hlx_assets.corpus.sensors import corpus_documents_changed
from hlx_assets.curriculum.trainer import TrainerClient
from hlx_assets.executor import in_process_executor
from hlx_assets.home import require_storage
from hlx_assets.io_manager import ArtifactIOManager
from hlx_assets.settings import DagsterEnvironment
from hlx_assets.supervision.sensors import supervise_job, training_supervisor
from hlx_assets.watchdog.sensors import watchdog_sensor

TRAINER = TrainerClient()

_EVERYTHING = "Everything: from the corpus document to the report on phase 3."
curriculum = dg.define_asset_job("curriculum", dg.AssetSelection.groups(*GROUPS), description=_EVERYTHING)


def definitions() -> dg.Definitions:
    """Return the graph with the settings of the environment.

    Raises:
        ValueError: a setting is not valid, or `dagster.yaml` and `HLX_POSTGRES_URL` do not mean the same storage.
    """
    environment = DagsterEnvironment.read()
    if home := os.environ.get("DAGSTER_HOME"):
        require_storage(Path(home))
    nightly = validation.revalidation_schedule(environment)
    return dg.Definitions(
        assets=[
            *corpus.assets,
            *training.assets,
            *validation.assets,
            *lineage.assets,
            *teaching.assets(environment),
            *baselines.assets(environment),
        ],
        asset_checks=[
            *corpus_checks.checks,
            *training_checks.checks,
            *validation.checks,
            *teaching_checks.checks(environment),
        ],
        jobs=[curriculum, corpus_job, nightly.job, supervise_job],
        schedules=[nightly],
        sensors=[watchdog_sensor(environment.watchdog_seconds), corpus_documents_changed, training_supervisor],
        loggers={"console": console_logger},
        executor=in_process_executor,
        # What gates, and what trains, is code. A run can configure neither: both have no configuration at all.
        resources={
            "io_manager": dg.IOManagerDefinition(lambda _: ArtifactIOManager(), config_schema={}),
            "trainer": dg.ResourceDefinition(lambda _: TRAINER, config_schema={}),
        },
    )


defs = definitions()
