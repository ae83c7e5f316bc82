"""The watchdog of many trainings: a tick asks the database no more often than for one."""

import subprocess
from dataclasses import replace

import dagster as dg
import pytest

from hlx_model.runs.processes import ProcessRef
from tests.assets.test_watchdog import beat_of, started_run, tick, write
from tests.support.calls import calls_of
from tests.support.dagster_home import Home
from tests.support.processes import worker

__all__ = ["worker"]


def test_the_database_is_asked_once_for_all_running_trainings(
    empty_home: Home, worker: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [
        calls_of(monkeypatch, dg.DagsterInstance, name, lambda *_, **__: None)
        for name in ("get_run_by_id", "get_run_record_by_id", "get_runs", "get_run_records")
    ]
    numbers, trainer = [], ProcessRef.of(worker.pid)
    with empty_home.instance() as instance:
        for number in range(3):
            beat = beat_of(started_run(instance, trainer), trainer)
            write(empty_home, replace(beat, training_id=f"{number:016x}"))
            before = sum(map(len, asked))
            assert tick(instance) == f"running trainings: {number + 1}, all well"
            numbers.append(sum(map(len, asked)) - before)
    assert len(set(numbers)) == 1, numbers
