"""A run that starts, and whose code server has ended, is closed at once; one of which that is not certain is not."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from hlx_assets.watchdog import runs
from hlx_assets.watchdog.runs import GONE, REASON_TAG, close_dead_runs, record_worker, socket_folder
from tests.support.dagster_home import Home

TAG = ".dagster/grpc_info"
STARTING = dg.DagsterRunStatus.STARTING


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder like that of the socket of `make ui`."""
    with TemporaryDirectory(prefix=socket_folder()) as path:
        yield Path(path)


def run_of(
    instance: dg.DagsterInstance, server: object, status: dg.DagsterRunStatus = STARTING, **tags: str
) -> dg.DagsterRun:
    """Return a run that a code server was to execute."""
    run = dg.DagsterRun(job_name="curriculum", status=status, tags={TAG: json.dumps(server), **tags})
    instance.add_run(run)
    return run


def address(path: Path) -> dict[str, Any]:
    return {"host": "localhost", "socket": str(path)}


def test_a_run_is_closed_whose_code_server_was_killed(empty_home: Home, folder: Path) -> None:
    with empty_home.instance() as instance:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(folder / "code.sock"))
            server.listen()
            run = run_of(instance, address(folder / "code.sock"))
            assert close_dead_runs(instance) == []
        assert (folder / "code.sock").exists()
        assert close_dead_runs(instance) == [run.run_id]
        found = instance.get_run_by_id(run.run_id)
        assert found is not None and found.status == dg.DagsterRunStatus.FAILURE and found.tags[REASON_TAG] == GONE


def test_a_run_is_closed_whose_code_server_was_removed(empty_home: Home, folder: Path) -> None:
    with empty_home.instance() as instance:
        run = run_of(instance, address(folder / "code.sock"))
        assert close_dead_runs(instance) == [run.run_id]


def test_a_code_server_that_may_live_keeps_its_run(empty_home: Home, folder: Path, tmp_path: Path) -> None:
    elsewhere = socket_folder().replace("hlx-ui-", "hlx-ui-0")
    servers: list[object] = [
        address(tmp_path / elsewhere / "code.sock"),  # make ui of another machine or container
        address(tmp_path / "code.sock"),  # a code server that hlx did not start
        {"host": "code", "port": 4000},
        {"socket": 3}, {"socket": None}, {}, [], None, "text",
    ]  # fmt: skip
    with empty_home.instance() as instance:
        for server in servers:
            run_of(instance, server)
        instance.add_run(dg.DagsterRun(job_name="curriculum", status=STARTING, tags={TAG: "{not JSON"}))
        instance.add_run(dg.DagsterRun(job_name="curriculum", status=STARTING))
        assert close_dead_runs(instance) == []


@pytest.mark.parametrize("name", ["NOT_STARTED", "STARTED", "CANCELING", "SUCCESS"])
def test_only_a_run_that_starts_depends_on_its_code_server(empty_home: Home, folder: Path, name: str) -> None:
    with empty_home.instance() as instance:
        run_of(instance, address(folder / "code.sock"), dg.DagsterRunStatus[name])
        assert close_dead_runs(instance) == []


def test_a_run_whose_process_has_named_itself_does_not_need_its_code_server(empty_home: Home, folder: Path) -> None:
    with empty_home.instance() as instance:
        record_worker(instance, run_of(instance, address(folder / "code.sock")))
        assert close_dead_runs(instance) == []


def test_where_processes_cannot_be_told_apart_nothing_is_closed(
    empty_home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "place_key", lambda: None)
    with TemporaryDirectory(prefix=socket_folder()) as path, empty_home.instance() as instance:
        run_of(instance, address(Path(path) / "code.sock"))
        assert close_dead_runs(instance) == []


def test_a_re_execution_is_not_judged_by_the_code_server_of_the_earlier_run(
    empty_home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with empty_home.instance() as instance, socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "code.sock"))
        server.listen()
        run = run_of(instance, address(folder / "earlier.sock"))

        def launch_meanwhile(seconds: float) -> None:
            instance.add_run_tags(run.run_id, {TAG: json.dumps(address(folder / "code.sock"))})

        monkeypatch.setattr(runs, "time", SimpleNamespace(sleep=launch_meanwhile))
        assert close_dead_runs(instance) == []
