"""The trainer's process group is stopped, also if a launcher started it."""

import os
import signal
import subprocess
import threading
import time

import dagster as dg
import pytest

from hlx_assets.curriculum.trainer import TrainerClient, _report_milestone
from hlx_model.runs.processes import ProcessRef
from hlx_model.verdicts import GateResult, Milestone


def test_processes_that_a_launcher_leaves_are_stopped_too() -> None:
    script = "trap '' INT; (trap - INT; exec sleep 600) & echo $!"
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    with process.stdout:
        left = ProcessRef.of(int(process.stdout.readline()))
    process.wait(10)
    assert left.is_running
    client = TrainerClient(interrupt_grace=1.0, terminate_grace=5.0)
    client._stop(process)
    deadline = time.monotonic() + 10
    while left.is_running and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left.is_gone


def test_a_second_signal_ends_a_trainer_that_takes_its_time() -> None:
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    for signum in (signal.SIGINT, signal.SIGTERM):
        script = "trap '' INT TERM; echo ready; sleep 600 & wait; wait"
        process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
        assert process.stdout is not None
        with process.stdout:
            assert process.stdout.readline() == b"ready\n"
            # The first comes again at once, as from a terminal; the second one later.
            signals = [threading.Timer(seconds, os.kill, (os.getpid(), signum)) for seconds in (0.1, 1.0)]
            for one in signals:
                one.start()
            begun = time.monotonic()
            TrainerClient(interrupt_grace=300.0, terminate_grace=300.0)._stop(process, impatient=True)
            for one in signals:
                one.cancel()
        assert 0.9 < time.monotonic() - begun < 100
        assert process.wait(10) == -signal.SIGKILL
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_log_names_the_gates_that_did_not_pass(capfd: pytest.CaptureFixture[str]) -> None:
    gates = (GateResult("copy_rate", "pass", "low"), GateResult("unigram", "warn", "too early to tell"))
    # Between two milestones, nothing but the log is written.
    _report_milestone(dg.build_asset_context(), Milestone(epoch=3, outcome="warn", gates=gates))
    logged = capfd.readouterr().err
    assert "gates at epoch 3: warn (unigram)" in logged and "unigram: warn: too early to tell" in logged
