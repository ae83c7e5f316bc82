"""The gate as a user of the UI meets it: a real `dagster dev`, runs launched through GraphQL."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hlx_assets.ui import command, free_port
from tests.assets.conftest import SETTINGS, Home

PATIENCE = 180.0
LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUN = "query($r: ID!) { runOrError(runId: $r) { ... on Run { status } } }"
FAILURES = """query($r: ID!) { logsForRun(runId: $r) { ... on EventConnection { events {
  __typename ... on ExecutionStepFailureEvent { stepKey error { message } failureMetadata { description } } } } } }"""
BACKFILL = "mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) { __typename } }"
RUNS = "{ runsOrError { ... on Runs { results { runId tags { key } } } } }"
LOCATIONS = "{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } } }"


class Ui:
    """`dagster dev` on a free loopback port."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def ready(self) -> bool:
        try:
            entries = self.ask(LOCATIONS)["workspaceOrError"].get("locationEntries", [])
        except OSError:
            return False
        return any((entry["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation" for entry in entries)

    def materialize(self, asset: str, config: dict[str, Any], **selection: Any) -> tuple[str, str]:
        """Materialize one asset alone, as its button does; how the run ended and why."""
        return self.launch("__ASSET_JOB", {asset: config}, assetSelection=[{"path": [asset]}], **selection)

    def launch(self, job: str, config: dict[str, dict[str, Any]], **selection: Any) -> tuple[str, str]:
        """Launch a run as the launchpad does, with what is selected there; how it ended and why."""
        selector = {
            "repositoryLocationName": "hlx", "repositoryName": "__repository__", "jobName": job, **selection,
        }  # fmt: skip
        ops = {asset: {"config": values} for asset, values in config.items()}
        parameters = {"selector": selector, "runConfigData": {"ops": ops}, "mode": "default"}
        launched = self.ask(LAUNCH, p=parameters)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return self.ended(launched["run"]["runId"])

    def run_with_tag(self, tag: str) -> tuple[str, str]:
        """How the first run ended that something started which leaves this tag."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for run in self.ask(RUNS)["runsOrError"]["results"]:
                if tag in {found["key"] for found in run["tags"]}:
                    return self.ended(run["runId"])
            assert time.monotonic() < deadline, tag
            time.sleep(1)

    def ended(self, run_id: str) -> tuple[str, str]:
        """How a run ended, and the failures of its steps."""
        deadline = time.monotonic() + PATIENCE
        while (status := self.ask(RUN, r=run_id)["runOrError"]["status"]) not in ("SUCCESS", "FAILURE", "CANCELED"):
            assert time.monotonic() < deadline, status
            time.sleep(0.5)
        events = self.ask(FAILURES, r=run_id)["logsForRun"]["events"]
        return status, json.dumps([e for e in events if e["__typename"] == "ExecutionStepFailureEvent"])


@contextmanager
def dagster_dev(home: Home, workspace: Path | None = None) -> Iterator[Ui]:
    """The instance of a home, on the project's workspace or another."""
    port = free_port(0)  # 3000 may be wanted by the tests in another process
    program = command(port)
    if workspace is not None:
        program[program.index("-w") + 1] = str(workspace)
    with (home.path / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            program,
            cwd=home.path,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            ui = Ui(port)
            deadline = time.monotonic() + PATIENCE
            while not ui.ready():
                assert process.poll() is None and time.monotonic() < deadline, (home.path / "dev.log").read_text()
                time.sleep(0.5)
            yield ui
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


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
    with dagster_dev(home, workspace) as ui:
        for tag in ("dagster/schedule_name", "dagster/sensor_name"):
            status, why = ui.run_with_tag(tag)
            assert status == "FAILURE" and "the gate of phase1_STOPPED_epoch" in why
