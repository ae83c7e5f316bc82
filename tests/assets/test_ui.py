"""The gate as a user of the UI meets it: a real `dagster dev`, runs launched through GraphQL."""

import pytest

from tests.assets.conftest import SETTINGS, Home
from tests.assets.live import dagster_dev

BACKFILL = "mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) { __typename } }"


def test_a_phase_that_was_stopped_closes_the_next_one_whichever_way_it_is_started(home: Home) -> None:
    lost = {**SETTINGS["phase1_checkpoint"], "lr": 10.0}
    settings = SETTINGS["phase2_checkpoint"]
    with dagster_dev(home) as ui:
        status, why = ui.materialize("phase2_checkpoint", settings)
        assert status == "SUCCESS", why
        status, why = ui.materialize("phase1_checkpoint", lost)
        assert status == "SUCCESS", why
        closed = "the gate of phase1_STOPPED_epoch"

        status, why = ui.materialize("phase2_checkpoint", settings)  # the asset alone
        assert status == "FAILURE" and closed in why and "is closed (its training was stopped: " in why

        status, why = ui.materialize("phase2_checkpoint", settings, assetCheckSelection=[])  # no checks
        assert status == "FAILURE" and closed in why

        document = {"corpus_document": {"corpus": str(home.path / "small.md")}}
        status, why = ui.launch("curriculum", {**SETTINGS, **document, "phase1_checkpoint": lost})  # the whole job
        assert status == "FAILURE" and "training_completed" in why and "phase2_checkpoint" not in why

        asked = {"assetSelection": [{"path": ["phase2_checkpoint"]}], "allPartitions": True}
        started = ui.ask(BACKFILL, p=asked)["launchPartitionBackfill"]
        assert started["__typename"] == "LaunchBackfillSuccess"
        status, why = ui.run_with_tag("dagster/backfill")
        assert status == "FAILURE" and "the gate of phase1_validation_report is closed: training_completed" in why


AUTOMATED = """
import dagster as dg
import hlx_assets.definitions

key = dg.AssetKey("phase2_checkpoint")
RUNNING = dg.DefaultScheduleStatus.RUNNING
alone = dg.define_asset_job("alone", dg.AssetSelection.assets(key))
each_minute = dg.AutomationCondition.cron_tick_passed("* * * * *")
defs = dg.Definitions(
    assets=[
        asset.map_asset_specs(lambda s: s.replace_attributes(automation_condition=each_minute) if s.key == key else s)
        for asset in hlx_assets.definitions.defs.assets
    ],
    asset_checks=hlx_assets.definitions.defs.asset_checks,
    jobs=[alone],
    schedules=[dg.ScheduleDefinition(job=alone, cron_schedule="* * * * *", default_status=RUNNING)],
    sensors=[
        dg.AutomationConditionSensorDefinition(
            "automation", target=dg.AssetSelection.assets(key), default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=5,
        )
    ],
    executor=hlx_assets.definitions.defs.executor,
    resources=hlx_assets.definitions.defs.resources,
)
"""


@pytest.mark.slow
def test_a_closed_gate_holds_for_what_a_schedule_and_an_automation_condition_start(home: Home) -> None:
    run = home.materialize("phase1_checkpoint", phase1_checkpoint={**SETTINGS["phase1_checkpoint"], "lr": 10.0})
    assert run.success
    (home.path / "automated.py").write_text(AUTOMATED)
    workspace = home.path / "workspace.yaml"
    workspace.write_text("load_from: [{python_file: {relative_path: automated.py, location_name: hlx}}]")
    with dagster_dev(home, workspace=workspace) as ui:
        for tag in ("dagster/schedule_name", "dagster/sensor_name"):
            status, why = ui.run_with_tag(tag)
            assert status == "FAILURE" and "the gate of phase1_STOPPED_epoch" in why
