"""10,000 runs in the history and 200 live heartbeats: how long do the sensors, the Center and Dagster's pages take?

    make bench ARGS=load
    python -m benchmarks.load 200 5         # so many runs and heartbeats

A home with 100 runs and 2 heartbeats is measured too. The runs are copies of one real session of phase 1, each with its
events and the files of its training (`tests/support/many_runs.py`). The sensors are evaluated in the code server, as
the daemon does it. Between two ticks each live training writes its heartbeat, as trainers do. The exit code is 1 if
a tick of the watchdog takes more than 5 seconds. 10,000 runs need 19 GB in the folder of temporary files.
"""

import logging
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from dagster._daemon.types import DaemonHeartbeat
from rich.console import Console
from rich.table import Table

from hlx_assets.ui import free_port
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.processes import ProcessRef
from tests.support.center import add_session
from tests.support.dagster_home import Home, opened
from tests.support.live_center import Api, make_center
from tests.support.live_dagster import REPOSITORY_OF_HLX, Ui, webserver
from tests.support.many_runs import Template, add_live, make_many, make_template

RUNS, HEARTBEATS = 10_000, 200
FEW_RUNS, FEW_HEARTBEATS = 100, 2
ROUNDS, PATIENCE = 5, 60.0
"""Rounds after the first time; no further one begins after so many seconds."""
MAX_TICK = 5.0
"""Seconds that a tick of the watchdog may take."""
TIMEOUT = 120.0
"""Seconds after which an answer is not waited for: it counts as infinite."""
WATCHDOG = "training_watchdog"
SENSORS = (WATCHDOG, "training_supervisor", "corpus_documents_changed")
_TICK = """mutation($s: SensorSelector!, $c: String) { sensorDryRun(selectorData: $s, cursor: $c) {
  __typename ... on DryRunInstigationTick { evaluationResult { cursor skipReason error { message } } } } }"""
_KEYS = "{ assetNodes { assetKey { path } } }"
_RUN_FEED = """query($l: Int!) { runsFeedOrError(limit: $l, view: RUNS) { ... on RunsFeedConnection {
  cursor hasMore results { id runStatus creationTime startTime endTime jobName tags { key value }
    ... on Run { assetSelection { path } assetCheckSelection { name assetKey { path } } } } } } }"""
_COUNTS = """{ queued: runsFeedCountOrError(filter: {statuses: [QUEUED]}, view: RUNS) { ... on RunsFeedCount { count } }
  running: runsFeedCountOrError(filter: {statuses: [STARTED, STARTING]}, view: RUNS) { ... on RunsFeedCount { count } }
  all: runsFeedCountOrError(view: RUNS) { ... on RunsFeedCount { count } } }"""
_TIMELINE = """query($since: Float!) { runsOrError(limit: 500,
  filter: {statuses: [SUCCESS, FAILURE, CANCELED], updatedAfter: $since}) {
  ... on Runs { results { id runId status jobName startTime endTime tags { key value } } } } }"""
_GRAPH = """query($k: [AssetKeyInput!]!) {
  assetNodes(assetKeys: $k, loadMaterializations: true) { id assetKey { path }
    assetMaterializations(limit: 1) { timestamp runId } assetObservations(limit: 1) { timestamp runId }
    assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status runId } } } } }
  assetsLatestInfo(assetKeys: $k) { assetKey { path } unstartedRunIds inProgressRunIds latestRun { id status } } }"""
_HEALTH = """query($k: [AssetKeyInput!]!) { assetsOrError(assetKeys: $k) { ... on AssetConnection { nodes { key { path }
  latestMaterializationTimestamp assetHealth { assetHealth materializationStatus assetChecksStatus } } } } }"""
_ASSET = """query($k: AssetKeyInput!) { assetOrError(assetKey: $k) { ... on Asset {
  assetMaterializations(limit: 100) { timestamp runId metadataEntries { label } }
  assetObservations(limit: 100) { timestamp runId metadataEntries { label } } } } }"""
_RUN = """query($r: ID!) { runOrError(runId: $r) { ... on Run { status tags { key value } stats { __typename } } }
  logsForRun(runId: $r) { ... on EventConnection { cursor hasMore events { __typename } } } }"""


class Times(NamedTuple):
    """Seconds that something took: the first time, and the median of those after it."""

    first: float
    median: float
    """Of at most `ROUNDS`."""
    worst: float


class Measured(NamedTuple):
    """What was measured in one home."""

    runs: int
    heartbeats: int
    times: dict[str, Times]
    size: float
    """Bytes of Dagster's databases."""
    made: float
    """Seconds to make the home."""
    center: int
    """Bytes of memory of the Center at the end."""


def main(runs: int = RUNS, heartbeats: int = HEARTBEATS) -> None:
    """Print the table; exit with 1 if a tick of the watchdog takes too long.

    Args:
        runs: in the history.
        heartbeats: of trainings that run.
    """
    logging.disable(logging.INFO)
    console = Console(soft_wrap=True, highlight=False)
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        template = make_template(Path(folder) / "template")
        small = measured(template, Path(folder) / "small", FEW_RUNS, FEW_HEARTBEATS)
        large = measured(template, Path(folder) / "large", runs, heartbeats)
    report(console, template, small, large)
    worst = large.times[_tick_name(WATCHDOG)].worst
    if worst > MAX_TICK:
        sys.exit(f"error: a tick of the watchdog took {worst:.1f} s, required ≤ {MAX_TICK:.0f}")


def report(console: Console, template: Template, small: Measured, large: Measured) -> None:
    """Print what was measured."""
    table = Table("seconds", title=f"the first time, and the median of {ROUNDS} later ones")
    for home in (small, large):
        table.add_column(f"{home.runs:,} runs, {home.heartbeats} live: first", justify="right")
        table.add_column("later", justify="right")
    for name, few in small.times.items():
        many = large.times[name]
        table.add_row(name, *(f"{value:.2f}" for value in (few.first, few.median, many.first, many.median)))
    console.print(table)
    console.print(
        f"{template.events} events a run, without the lines of its log; {large.size / large.runs / 1e6:.2f} MB a run "
        f"in SQLite, {large.size / 1e9:.1f} GB in all, made in {large.made:.0f} s; "
        f"the Center had {large.center / 1e6:.0f} MB of memory at the end"
    )


def measured(template: Template, path: Path, runs: int, heartbeats: int) -> Measured:
    """Make a home of copies of a session, and measure it; the home is removed."""
    began = time.perf_counter()
    make_many(template, path, runs)
    made = time.perf_counter() - began
    found = of_home(template, path, runs, heartbeats)
    shutil.rmtree(path)
    return found._replace(made=made)


def of_home(template: Template, path: Path, runs: int, heartbeats: int) -> Measured:
    """Measure a home that has so many ended sessions; live ones are added."""
    with opened(path) as home, _trainer() as trainer:
        beats = add_live(template, home, heartbeats, trainer)
        with home.instance() as instance:
            for corpus in ("English", "HLX", "Translation"):
                add_session(instance, corpus=corpus)
        api = Api(free_port(0))
        with webserver(home) as ui, make_center(home, api) as center:
            ui.timeout = TIMEOUT
            times = dict(_times(home, ui, api, beats))
            memory = psutil.Process(center.pid).memory_info().rss
        size = sum(file.stat().st_size for file in (path / "history").rglob("*.db*"))
    return Measured(runs, heartbeats, times, size, 0.0, memory)


@contextmanager
def _trainer() -> Iterator[ProcessRef]:
    """Yield a process that takes the place of all trainers: the watchdog may kill it."""
    command = [sys.executable, "-c", "input()"]
    # Without DAGSTER_HOME: the processes of the home are killed at its end.
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, env={}) as process:
        yield ProcessRef.of(process.pid)
        assert process.poll() is None, "the watchdog has killed a trainer that was well"
        process.kill()


def _times(home: Home, ui: Ui, api: Api, beats: Sequence[Heartbeat]) -> Iterator[tuple[str, Times]]:
    for sensor in SENSORS:
        yield _tick_name(sensor), _ticks(home, ui, sensor, beats)
    live, ended = beats[0].run_id, api.get("/api/training/history?limit=1")[0]["session"]["id"]
    for path in (
        "/center", "/center/parts/queue", "/center/parts/history", "/center/parts/checkpoints",
        f"/center/sessions/{live}", f"/center/sessions/{ended}",
        "/api/training/queue", "/api/training/history?limit=50", "/api/training/history?limit=500",
        f"/api/training/status/{ended}", "/api/checkpoints", "/api/health",
    ):  # fmt: skip
        name = path.replace(str(live), "LIVE").replace(ended, "ENDED")
        yield f"Center {name}", timed(partial(_get, api.url + path), lambda: _work(home, beats))
    keys = [node["assetKey"] for node in ui.ask(_KEYS)["assetNodes"]]
    own = [{"path": key["path"]} for key in keys]
    queries: dict[str, tuple[str, dict[str, Any]]] = {
        "runs": (_RUN_FEED, {"l": 30}),
        "numbers of runs": (_COUNTS, {}),
        "timeline of a day": (_TIMELINE, {"since": time.time() - 86_400}),
        "a run": (_RUN, {"r": ended}),
        "asset graph": (_GRAPH, {"k": own}),
        "health of assets": (_HEALTH, {"k": own}),
        "events of an asset": (_ASSET, {"k": {"path": ["phase1_checkpoint"]}}),
    }
    for name, (query, variables) in queries.items():
        yield f"Dagster: {name}", timed(partial(ui.ask, query, **variables))


def _tick_name(sensor: str) -> str:
    return f"tick of {sensor}"


def _ticks(home: Home, ui: Ui, sensor: str, beats: Sequence[Heartbeat]) -> Times:
    """Time the ticks of a sensor; each gets the cursor that the one before has left."""
    cursor: list[str | None] = [None]

    def tick() -> None:
        selector = {**REPOSITORY_OF_HLX, "sensorName": sensor}
        result = ui.ask(_TICK, s=selector, c=cursor[0])["sensorDryRun"]["evaluationResult"]
        assert result["error"] is None, result
        cursor[0] = result["cursor"]

    return timed(tick, lambda: _work(home, beats))


def _work(home: Home, beats: Sequence[Heartbeat]) -> None:
    """Let the trainers make a step, and the daemon look at the queue."""
    for beat in beats:
        beat.step += 1
        beat.write(home.path / "artifacts" / "training" / beat.training_id)
    with home.instance() as instance:
        now = time.time()
        instance.add_daemon_heartbeat(DaemonHeartbeat(now, "QUEUED_RUN_COORDINATOR", "a-daemon", []))


def timed(what: Callable[[], object], before: Callable[[], object] = lambda: None) -> Times:
    """Return how long something takes, the first time and later; `before` is done before each time."""
    found = list[float]()
    while len(found) < 2 or (len(found) < 1 + ROUNDS and sum(found) < PATIENCE):
        before()
        began = time.perf_counter()
        try:
            what()
            found.append(time.perf_counter() - began)
        except TimeoutError:
            return Times(math.inf, math.inf, math.inf)
    return Times(found[0], statistics.median(found[1:]), max(found))


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        content: bytes = response.read()
    return content


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
