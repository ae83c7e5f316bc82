"""Trainers as other processes see them: heartbeats, and processes that have ended; and the processes of a pool."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.processes import ProcessRef


def beat_in(directory: Path) -> Heartbeat:
    """Return the heartbeat of a training's directory, which must have one."""
    beat = Heartbeat.read(directory)
    assert beat is not None
    return beat


def ended_process() -> ProcessRef:
    """Return a process that has ended, as it recorded itself before."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        return ProcessRef.of(process.pid)


def pool_of(parent: psutil.Process | None = None) -> list[psutil.Process]:
    """The processes that work for one (`hlx_model.parallel`); Python's own `resource_tracker` is none of them."""
    found = []
    for process in (parent or psutil.Process()).children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            if "--multiprocessing-fork" in process.cmdline():
                found.append(process)
    return found


@pytest.fixture
def worker() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that takes the place of a trainer."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()
