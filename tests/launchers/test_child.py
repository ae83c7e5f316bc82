"""A child and all of its process group are stopped, in three steps or at once."""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hlx_assets.launchers.child import ChildProcess
from hlx_model.runs.processes import ProcessRef
from tests.support.waiting import wait_for


@contextmanager
def started(script: str) -> Iterator[ChildProcess]:
    """A child that runs a script of the shell."""
    with tempfile.TemporaryFile() as errors:
        yield ChildProcess(["sh", "-c", script], {}, errors)


def test_processes_that_a_launcher_leaves_are_stopped_too() -> None:
    script = "trap '' INT; (trap - INT; exec sleep 600) & echo $! >&2"
    with started(script) as child:
        child.process.wait(10)
        left = ProcessRef.of(int(child.errors()[0]))
        assert left.is_running
        child.stop(graces={signal.SIGINT: 1.0, signal.SIGTERM: 5.0, signal.SIGKILL: 10.0})
    deadline = time.monotonic() + 10
    while left.is_running and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left.is_gone


def test_a_second_signal_ends_a_trainer_that_takes_its_time() -> None:
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    for signum in (signal.SIGINT, signal.SIGTERM):
        script = "trap '' INT TERM; echo ready >&2; sleep 600 & wait; wait"
        with started(script) as child:
            wait_for(lambda: child.errors() == ["ready"])
            # The first comes again at once, as from a terminal; the second one later.
            signals = [threading.Timer(seconds, os.kill, (os.getpid(), signum)) for seconds in (0.1, 1.0)]
            for one in signals:
                one.start()
            begun = time.monotonic()
            child.stop(impatient=True, graces={signal.SIGINT: 300.0, signal.SIGTERM: 300.0, signal.SIGKILL: 10.0})
            for one in signals:
                one.cancel()
        assert 0.9 < time.monotonic() - begun < 100
        assert child.poll() == -signal.SIGKILL
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == before
