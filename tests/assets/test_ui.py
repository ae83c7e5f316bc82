"""The gate as a user of the UI meets it: a real `dagster dev`, runs launched through GraphQL."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hlx_assets.ui import command, free_port
from tests.assets.conftest import SETTINGS, Home

PATIENCE = 180.0
LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUN = "query($r: ID!) { runOrError(runId: $r) { ... on Run { status } } }"
FAILURES = """query($r: ID!) { logsForRun(runId: $r) { ... on EventConnection { events {
  __typename ... on ExecutionStepFailureEvent { stepKey error { message } failureMetadata { description } } } } } }"""
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

    def materialize(self, asset: str, config: dict[str, Any]) -> tuple[str, str]:
        """Materialize one asset alone, as its button does; how the run ended and why."""
        selector = {
            "repositoryLocationName": "hlx",
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": [asset]}],
        }
        parameters = {"selector": selector, "runConfigData": {"ops": {asset: {"config": config}}}, "mode": "default"}
        launched = self.ask(LAUNCH, p=parameters)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id = launched["run"]["runId"]
        deadline = time.monotonic() + PATIENCE
        while (status := self.ask(RUN, r=run_id)["runOrError"]["status"]) not in ("SUCCESS", "FAILURE", "CANCELED"):
            assert time.monotonic() < deadline, status
            time.sleep(0.5)
        events = self.ask(FAILURES, r=run_id)["logsForRun"]["events"]
        return status, json.dumps([e for e in events if e["__typename"] == "ExecutionStepFailureEvent"])


@contextmanager
def dagster_dev(home: Home) -> Iterator[Ui]:
    port = free_port()
    with (home.path / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            command(port),
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


def test_a_phase_that_was_stopped_from_the_launchpad_closes_the_next_phase_in_the_ui(home: Home) -> None:
    with dagster_dev(home) as ui:
        status, why = ui.materialize("phase2_checkpoint", SETTINGS["phase2_checkpoint"])
        assert status == "SUCCESS", why
        status, why = ui.materialize("phase1_checkpoint", {**SETTINGS["phase1_checkpoint"], "lr": 10.0})
        assert status == "SUCCESS", why
        status, why = ui.materialize("phase2_checkpoint", SETTINGS["phase2_checkpoint"])
        assert status == "FAILURE"
        assert "the gate of phase1_STOPPED_epoch" in why and "is closed (its training was stopped: " in why
