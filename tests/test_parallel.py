"""Work on slices in several processes: results as with one, and no process left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hlx_model.parallel import MOST, ProcessEndedError, Processes, processors
from tests.support.processes import pool_of
from tests.support.waiting import wait_for

AT_WORK = """
import signal
from itertools import count
from hlx_model.parallel import Processes
from tests.test_parallel import late

# What a script starts in the background ignores SIGINT, and Dagster lets SIGTERM do what SIGINT does.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
with Processes(2, few=0) as processes:
    for found in processes.map(late, count()):
        pass
"""


def pid_of(number: int) -> tuple[int, int]:
    return number, os.getpid()


def late(number: int) -> int:
    time.sleep(0.02 * (number % 3 == 0))
    return number


def fails_at_seven(number: int) -> int:
    if number == 7:
        raise ValueError(f"seven, in {os.getpid()}")
    return number


class _OwnError(Exception):
    """Cannot be pickled."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")

    def __reduce__(self) -> str:
        raise TypeError("not this one")


def fails_in_its_own_way(number: int) -> int:
    raise _OwnError(number, 2)


def dies_at_seven(number: int) -> int:
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_results_come_in_the_order_of_the_slices() -> None:
    with Processes(3, few=0) as processes:
        assert list(processes.map(late, range(50))) == list(range(50))
        found = list(processes.map(pid_of, range(50)))
    assert [number for number, _ in found] == list(range(50))
    assert os.getpid() not in {pid for _, pid in found}
    assert not pool_of()


@pytest.mark.parametrize(("number", "slices"), [(1, 50), (3, 5), (3, 0)])
def test_one_processor_or_few_slices_need_no_other_process(number: int, slices: int) -> None:
    with Processes(number, few=5) as processes:
        assert list(processes.map(pid_of, range(slices))) == [(n, os.getpid()) for n in range(slices)]
        assert processes._pool is None


def test_few_slices_are_in_memory_at_once() -> None:
    taken = 0

    def slices() -> Iterator[int]:
        nonlocal taken
        for number in range(1, 101):
            taken = number
            yield number

    with Processes(2, few=3) as processes:
        for number in processes.map(late, slices()):
            assert taken - number <= 4
    assert taken == 100


def test_an_error_of_a_slice_is_raised_after_the_results_before_it() -> None:
    found: list[int] = []
    with pytest.raises(ValueError, match="seven, in") as raised, Processes(2, few=0) as processes:
        found += processes.map(fails_at_seven, range(5))
        for number in processes.map(fails_at_seven, range(5, 50)):
            found.append(number)
    assert found == list(range(7))
    assert str(os.getpid()) not in str(raised.value)
    assert "fails_at_seven" in str(raised.value.__cause__)
    assert not pool_of()


def test_an_error_that_cannot_be_pickled_is_an_error() -> None:
    with pytest.raises(TypeError, match="not this one"), Processes(2, few=0) as processes:
        list(processes.map(fails_in_its_own_way, range(5)))


def test_a_killed_process_is_one_clear_error() -> None:
    found = []
    with (
        pytest.raises(ProcessEndedError, match="was killed, perhaps because memory ran out"),
        Processes(2, few=0) as processes,
    ):
        for number in processes.map(dies_at_seven, range(50)):
            found.append(number)
    assert found == list(range(len(found))) and 7 not in found
    assert not pool_of()


def test_a_reader_that_stops_early_leaves_no_process_behind() -> None:
    with Processes(2, few=0) as processes:
        assert next(processes.map(pid_of, range(50)))[0] == 0
    assert not pool_of()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_interrupted_or_killed_leaves_none_behind(sent: signal.Signals) -> None:
    root = Path(__file__).parents[1]
    started = subprocess.Popen([sys.executable, "-c", AT_WORK], cwd=root, stderr=subprocess.DEVNULL)
    parent = psutil.Process(started.pid)
    wait_for(lambda: len(pool_of(parent)) == 2 or started.poll() is not None, "for the processes")
    workers = pool_of(parent)
    started.send_signal(sent)
    assert started.wait() != 0
    assert len(workers) == 2
    wait_for(lambda: not any(worker.is_running() for worker in workers), "for the end of the processes")


def test_there_is_a_process_for_each_processor_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5, 7})
    assert processors() == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    assert processors() == MOST
