"""Gates in the UI: a real `make ui`, with runs launched through GraphQL, and the Training Center beside it."""

import http.client
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from hlx_assets import ui as program
from hlx_assets.center import packages
from tests.support.dagster_home import SETTINGS, Home
from tests.support.live_dagster import (
    LAUNCH,
    REPOSITORY_OF_HLX,
    Ui,
    daemon_and_webserver,
    make_ui,
    processes_of,
)
from tests.support.waiting import wait_for

BACKFILL = "mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) { __typename } }"


WEBSOCKET = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "graphql-ws", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip
WIPE = quote('mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["corpus_document"]}}]) { __typename } }')
JSON = {"Content-Type": "application/json"}
QUERY = '{"query": "{ version }"}'
FOREIGN: dict[str, tuple[str, str, str | None, dict[str, str]]] = {
    "a mutation in an address": ("GET", f"/graphql?query={WIPE}", None, {}),
    "a mutation in an address, by HEAD": ("HEAD", f"/graphql?query={WIPE}", None, {}),
    "text": ("POST", "/graphql", QUERY, {"Content-Type": "text/plain"}),
    "text of another page": (
        "POST",
        "/graphql",
        QUERY,
        {"Content-Type": "text/plain", "Origin": "http://evil.example"},
    ),
    "text that is JSON to Dagster": ("POST", "/graphql", QUERY, {"Content-Type": "text/plain; application/json"}),
    "a form": ("POST", f"/graphql?query={WIPE}", "a=1", {"Content-Type": "application/x-www-form-urlencoded"}),
    "no body, of another page": ("POST", f"/graphql?query={WIPE}", None, {"Origin": "http://evil.example"}),
    "another host": ("GET", "/graphql?query=%7Bversion%7D", None, {"Host": "evil.example:3000"}),
    "a page without an origin": ("POST", "/graphql", QUERY, {**JSON, "Origin": "null"}),
    "a page of another port": ("POST", "/graphql", QUERY, {**JSON, "Origin": "http://127.0.0.1:1"}),
    "a page of the same site": ("POST", "/graphql", QUERY, {**JSON, "Sec-Fetch-Site": "same-site"}),
    "a report by hand": ("POST", "/report_asset_check/x?check_name=y&passed=true", None, {"Origin": "null"}),
    "a WebSocket of another page": ("GET", "/graphql", None, {**WEBSOCKET, "Origin": "http://evil.example"}),
}


def send(ui: Ui, method: str, path: str, body: str | None = None, headers: Mapping[str, str] = {}) -> int:
    """Send one request to the webserver; the status of its answer."""
    connection = http.client.HTTPConnection(urlsplit(ui.url).netloc, timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


def refuses_what_other_pages_send(ui: Ui) -> None:
    for what, (method, path, body, headers) in FOREIGN.items():
        assert send(ui, method, path, body, headers) == 403, what
    own = {"Origin": ui.url.removesuffix("/graphql"), "Sec-Fetch-Site": "same-origin"}
    assert send(ui, "POST", "/graphql", QUERY, {**JSON, **own}) == 200
    assert send(ui, "GET", "/graphql?query=%7Bversion%7D", None, {"Sec-Fetch-Site": "cross-site"}) == 200
    assert send(ui, "GET", "/graphql", None, {**WEBSOCKET, **own}) == 101


def refuses_configuration_of_gates(ui: Ui) -> None:
    selector = {**REPOSITORY_OF_HLX, "jobName": "__ASSET_JOB", "assetSelection": [{"path": ["phase1_checkpoint"]}]}
    config: dict[str, Any] = {"resources": {"io_manager": {"config": {"gates": {}, "judged": {}}}}}
    launched = ui.ask(LAUNCH, p={"selector": selector, "runConfigData": config, "mode": "default"})["launchRun"]
    assert launched["__typename"] == "RunConfigValidationInvalid"


def runs_beside_the_training_center(home: Home, ui: Ui) -> None:
    def said() -> str:
        return (home.path / "dagster.log").read_text()

    wait_for(lambda: "the Training Center: http://127.0.0.1:" in said(), "for the Training Center")
    wait_for(lambda: "/center?token=" in said(), "for the link that logs in")
    (center,) = processes_of(home, "hlx_assets.center")
    # It uses the code server of `make ui`, and knows the webserver's address.
    assert not center.children() and f"--ui-url={ui.url.removesuffix('/graphql')}" in center.cmdline()
    center.kill()
    ended = "the Training Center was ended by SIGKILL; the rest continues, and `make center` starts it again\n"
    wait_for(lambda: said().count(ended) == 1, "for the end of the Training Center")
    assert ui.ready()


@pytest.mark.system
def test_a_stopped_phase_closes_the_next_one_however_it_is_started(home: Home) -> None:
    lost = {**SETTINGS["phase1_checkpoint"], "lr": 10.0}
    settings = SETTINGS["phase2_checkpoint"]
    with make_ui(home) as ui:
        refuses_what_other_pages_send(ui)
        refuses_configuration_of_gates(ui)
        runs_beside_the_training_center(home, ui)

        status, why = ui.materialize("phase2_checkpoint", settings)
        assert status == "SUCCESS", why
        # The stopped training is materialized, and its run is no success.
        status, _ = ui.materialize("phase1_checkpoint", lost)
        assert status == "FAILURE" and "_STOPPED_" in home.latest("phase1_checkpoint").name
        closed = "the gate of phase1_STOPPED_epoch"

        status, why = ui.materialize("phase2_checkpoint", settings)  # the asset alone
        assert status == "FAILURE" and closed in why and "is closed (its training was stopped: " in why

        status, why = ui.materialize("phase2_checkpoint", settings, assetCheckSelection=[])  # no checks
        assert status == "FAILURE" and closed in why

        document = {"corpus_document": {"corpus": str(home.path / "small.md")}}
        status, why = ui.launch("curriculum", {**SETTINGS, **document, "phase1_checkpoint": lost})  # the whole job
        assert status == "FAILURE" and "training_completed" in why and "phase2_checkpoint" not in why

        backfill = {"assetSelection": [{"path": ["phase2_checkpoint"]}], "allPartitions": True}
        started = ui.ask(BACKFILL, p=backfill)["launchPartitionBackfill"]
        assert started["__typename"] == "LaunchBackfillSuccess"
        status, why = ui.run_with_tag("dagster/backfill")
        assert status == "FAILURE" and closed in why and "training_completed" in why


def test_make_ui_starts_without_a_training_center_that_cannot_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(host: str = "127.0.0.1", ui_port: int = 3000) -> str:
        parts: program.Parts = {}
        program._start_center(parts, "--workspace=none", host, ui_port)
        assert parts == {}
        line = capsys.readouterr().err
        assert line.startswith("the Training Center is not started: ") and line.count("\n") == 1
        return line

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("HLX_CENTER_PORT", str(port))
        assert f"port {port} is in use: free it, or set HLX_CENTER_PORT" in said()
    # The webserver has that port, and may not listen yet.
    assert f"port {port} is that of the UI: set HLX_CENTER_PORT" in said(ui_port=port)
    assert "cannot listen on 203.0.113.1" in said("203.0.113.1")
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    assert "-e '.[assets,center]'" in said()


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
def test_a_schedule_and_an_automation_condition_respect_a_closed_gate(home: Home) -> None:
    run = home.materialize("phase1_checkpoint", phase1_checkpoint={**SETTINGS["phase1_checkpoint"], "lr": 10.0})
    assert run.success
    (home.path / "automated.py").write_text(AUTOMATED)
    workspace = home.path / "workspace.yaml"
    workspace.write_text("load_from: [{python_file: {relative_path: automated.py, location_name: hlx}}]")
    with daemon_and_webserver(home, workspace=workspace) as ui:
        for tag in ("dagster/schedule_name", "dagster/sensor_name"):
            status, why = ui.run_with_tag(tag)
            assert status == "FAILURE" and "the gate of phase1_STOPPED_epoch" in why
