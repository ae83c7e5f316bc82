"""The trainer's process group is stopped, also if a launcher started it."""

import subprocess
import time

from hlx_assets.curriculum.trainer import TrainerClient
from hlx_model.runs.processes import ProcessRef


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
