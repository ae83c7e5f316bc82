"""What is said of a training to one who watches."""

import math
import subprocess
import sys

import pytest

from hlx_model.training.heartbeat import Heartbeat
from hlx_model.training.watchdog import STALL_SECONDS, diagnose, process_alive


@pytest.fixture
def beat() -> Heartbeat:
    """Of a training that this process runs."""
    return Heartbeat("0123", 1, "tiny", 10, status="training", train_loss=2.0)


@pytest.fixture(scope="module")
def dead_pid() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_training_that_moves_is_well(beat: Heartbeat) -> None:
    assert diagnose(beat) is None
    assert diagnose(beat, beat.time + STALL_SECONDS) is None


def test_five_minutes_without_progress_are_too_long(beat: Heartbeat) -> None:
    assert diagnose(beat, beat.time + 301) == (
        "no progress for 301 seconds: look at the machine (GPU, disk, memory), then resume"
    )
    assert diagnose(beat, beat.time + 11, stall_seconds=10) is not None


def test_a_trainer_whose_process_is_gone_is_named(beat: Heartbeat, dead_pid: int) -> None:
    beat.pid = dead_pid
    trouble = diagnose(beat)
    assert trouble is not None and trouble.startswith(f"process {dead_pid} is gone") and "resume" in trouble
    assert not process_alive(dead_pid)


def test_another_users_process_is_alive() -> None:
    assert process_alive(1)


@pytest.mark.parametrize("name", ["train_loss", "held_out_loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_named(beat: Heartbeat, name: str, value: float) -> None:
    setattr(beat, name, value)
    assert diagnose(beat) == f"{name} is {value}: use a lower learning rate"


@pytest.mark.parametrize("status", ["completed", "quality_failed", "aborted", "interrupted", "failed"])
def test_of_a_training_that_has_ended_nothing_is_said(beat: Heartbeat, dead_pid: int, status: str) -> None:
    beat.status, beat.pid, beat.train_loss = status, dead_pid, math.nan
    assert diagnose(beat, beat.time + 10_000) is None
