"""Trainers as other processes see them: heartbeats, and processes that have ended."""

import subprocess
import sys
from pathlib import Path

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
