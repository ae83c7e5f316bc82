"""Dagster's real processes on a home: used through GraphQL, as the UI does, and all ended after a test."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from hlx_assets.ui import free_port
from hlx_model.runs.heartbeat import Heartbeat
from tests.support.dagster_home import REPOSITORY, Home
from tests.support.waiting import PATIENCE, wait_for

LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
TERMINATE = "mutation($r: String!) { terminateRun(runId: $r) { __typename } }"
RUN = "query($r: ID!) { runOrError(runId: $r) { ... on Run { status tags { key value } } } }"
FAILURES = """query($r: ID!) { logsForRun(runId: $r) { ... on EventConnection { events {
  __typename ... on ExecutionStepFailureEvent { stepKey error { message } failureMetadata { description } } } } } }"""
RUNS = "{ runsOrError { ... on Runs { results { runId tags { key } } } } }"
LOCATIONS = "{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } } }"
TICKS = """query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) {
  ... on Sensor { sensorState { ticks(limit: 200) { timestamp skipReason } } } } }"""
REPOSITORY_OF_HLX = {"repositoryLocationName": "hlx", "repositoryName": "__repository__"}


class Ui:
    """A webserver on a loopback port."""

    timeout = 30.0
    """Seconds for an answer."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=self.timeout) as response:
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
        """Materialize one asset, as its button does; how the run ended and why."""
        return self.launch("__ASSET_JOB", {asset: config}, assetSelection=[{"path": [asset]}], **selection)

    def launch(self, job: str, config: dict[str, dict[str, Any]], **selection: Any) -> tuple[str, str]:
        """Launch a run as the launchpad does, with its selection; how it ended and why."""
        return self.ended(self.start(job, config, **selection))

    def start(self, job: str, config: dict[str, dict[str, Any]], **selection: Any) -> str:
        """Launch a run as the launchpad does, with its selection; its id."""
        selector = {**REPOSITORY_OF_HLX, "jobName": job, **selection}
        ops = {asset: {"config": values} for asset, values in config.items()}
        parameters = {"selector": selector, "runConfigData": {"ops": ops}, "mode": "default"}
        launched = self.ask(LAUNCH, p=parameters)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def run_with_tag(self, tag: str) -> tuple[str, str]:
        """How the first run with this tag ended, and why."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for run in self.ask(RUNS)["runsOrError"]["results"]:
                if tag in {found["key"] for found in run["tags"]}:
                    return self.ended(run["runId"])
            assert time.monotonic() < deadline, tag
            time.sleep(1)

    def newest_run(self) -> str:
        """The id of the run that was started last."""
        return str(self.ask(RUNS)["runsOrError"]["results"][0]["runId"])

    def ended(self, run_id: str) -> tuple[str, str]:
        """How a run ended, and the failures of its steps."""
        deadline = time.monotonic() + PATIENCE
        while (status := self.status(run_id)) not in ("SUCCESS", "FAILURE", "CANCELED"):
            assert time.monotonic() < deadline, status
            time.sleep(0.5)
        events = self.ask(FAILURES, r=run_id)["logsForRun"]["events"]
        return status, json.dumps([e for e in events if e["__typename"] == "ExecutionStepFailureEvent"])

    def status(self, run_id: str) -> str:
        """The status of a run."""
        return str(self.ask(RUN, r=run_id)["runOrError"]["status"])

    def tags(self, run_id: str) -> dict[str, str]:
        """The tags of a run."""
        return {tag["key"]: tag["value"] for tag in self.ask(RUN, r=run_id)["runOrError"]["tags"]}

    def terminate(self, run_id: str) -> None:
        """Press *Terminate*. If the run's code server has ended, Dagster answers 500 and ends the run in a minute."""
        with suppress(urllib.error.HTTPError):
            self.ask(TERMINATE, r=run_id)

    def ticks(self, sensor: str) -> dict[float, str]:
        """The ticks of a sensor: time (Unix seconds) and message."""
        found = self.ask(TICKS, s={**REPOSITORY_OF_HLX, "sensorName": sensor})["sensorOrError"]
        return {tick["timestamp"]: tick["skipReason"] or "" for tick in found["sensorState"]["ticks"]}


def processes_of(home: Home, *words: str) -> list[psutil.Process]:
    """The processes of a home, whoever started them, with these words in their command."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            there = process.status() != psutil.STATUS_ZOMBIE and set(words) <= set(process.cmdline())
            if there and process.environ().get("DAGSTER_HOME") == str(home.path):
                found.append(process)
    return found


def kill_all(home: Home) -> None:
    """Send SIGKILL to all processes of a home at once."""
    while found := processes_of(home):
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=1)


@contextmanager
def _running(home: Home, program: list[str], environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    with (home.path / "dagster.log").open("ab") as log:
        process = subprocess.Popen(
            program,
            cwd=home.path,
            env={**os.environ, "PYTHONWARNINGS": "ignore", **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(home: Home, ui: Ui, *processes: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE
    while not ui.ready():
        well = all(process.poll() is None for process in processes) and time.monotonic() < deadline
        assert well, (home.path / "dagster.log").read_text()
        time.sleep(0.5)


@contextmanager
def make_ui(home: Home, environment: Mapping[str, str] = {}) -> Iterator[Ui]:
    """Run the program of `make ui` on a home; at the end it and all that it started are killed."""
    port = free_port(0)  # tests in another process may use 3000
    program = [sys.executable, "-m", "hlx_assets.ui", "-p", str(port)]
    try:
        with _running(home, program, {"HLX_CENTER_PORT": str(free_port(0)), **environment}) as process:
            ui = Ui(port)
            _wait_until_ready(home, ui, process)
            yield ui
    finally:
        kill_all(home)


@contextmanager
def daemon_and_webserver(
    home: Home, environment: Mapping[str, str] = {}, *, workspace: Path = REPOSITORY / "workspace.yaml"
) -> Iterator[Ui]:
    """Run the daemon and the webserver on a home, each by itself, as a service manager does."""
    port = free_port(0)
    programs = (
        [sys.executable, "-m", "hlx_assets.webserver", "-p", str(port), "-w", str(workspace)],
        [sys.executable, "-m", "dagster._daemon", "run", "-w", str(workspace)],
    )
    try:
        with ExitStack() as stack:
            processes = [stack.enter_context(_running(home, program, environment)) for program in programs]
            ui = Ui(port)
            _wait_until_ready(home, ui, *processes)
            yield ui
    finally:
        kill_all(home)


@contextmanager
def webserver(home: Home, *, workspace: Path = REPOSITORY / "workspace.yaml") -> Iterator[Ui]:
    """Run the webserver on a home, with its own code server; no daemon."""
    port = free_port(0)
    program = [sys.executable, "-m", "hlx_assets.webserver", "-p", str(port), "-w", str(workspace)]
    try:
        with _running(home, program, {}) as process:
            ui = Ui(port)
            _wait_until_ready(home, ui, process)
            yield ui
    finally:
        kill_all(home)


LONG = {"epochs": 100_000, "batch_size": 2}


def corpora(home: Home) -> Home:
    """A home in which phase 1 can be trained."""
    assert home.materialize("corpus_document", "corpus_examples", "english_corpus").success
    return home


def start_phase1(ui: Ui, **config: Any) -> str:
    """Materialize phase 1 as its button does, with a training of hours; the run's id."""
    return ui.start(
        "__ASSET_JOB", {"phase1_checkpoint": {**LONG, **config}}, assetSelection=[{"path": ["phase1_checkpoint"]}]
    )


def beat_of(home: Home, run_id: str) -> Heartbeat | None:
    """The heartbeat of a run's training."""
    beats = (Heartbeat.read(path.parent) for path in home.path.glob("artifacts/training/*/heartbeat.json"))
    return next((beat for beat in beats if beat is not None and beat.run_id == run_id), None)


def running_training(home: Home, run_id: str) -> Heartbeat:
    """The heartbeat of a run's training, as soon as it has made steps and a checkpoint to resume from."""
    found: list[Heartbeat] = []

    def working() -> bool:
        beat = beat_of(home, run_id)
        if beat is None or beat.step < 10:
            return False
        found.append(beat)
        return any(home.path.glob(f"artifacts/training/{beat.training_id}/checkpoints/*_LAST_*"))

    wait_for(working, "for the training to run")
    return found[-1]


def resumed(home: Home) -> int:
    """How often a training has resumed."""
    logs = home.path.glob("artifacts/training/*/training.log")
    return sum(path.read_text().count("resuming from phase1_LAST") for path in logs)


def slots_held(home: Home) -> list[str]:
    """The runs that have the slot of the pool `training`."""
    with home.instance() as instance:
        info = instance.event_log_storage.get_concurrency_info("training")
        return [slot.run_id for slot in info.claimed_slots]
