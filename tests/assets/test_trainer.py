"""How the trainer's child process is stopped, whoever launched it."""

import subprocess
import time

from hlx_assets.curriculum.trainer import TrainerClient
from hlx_model.processes import process_alive


def test_what_a_launcher_leaves_behind_is_stopped_with_it() -> None:
    script = "trap '' INT; (trap - INT; exec sleep 600) & echo $!"
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    with process.stdout:
        left = int(process.stdout.readline())
    process.wait(10)
    assert process_alive(left, None)
    client = TrainerClient(interrupt_grace=1.0, terminate_grace=5.0)
    client._stop(process)
    deadline = time.monotonic() + 10
    while process_alive(left, None) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process_alive(left, None)
