"""Several processes train together: real ones, started by torchrun."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hlx_model.checkpoints.seal import list_checkpoints
from hlx_model.runs.metrics import read_metrics
from hlx_model.training.distributed import Ranks
from tests.support.processes import beat_in

ROOT = Path(__file__).parents[2]
TRAINER = ("-m", "hlx_model.training", "--phase", "1", "--no-fp16", "--device", "cpu")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def start(training: Path, document: Path, *more: object, ranks: bool) -> "subprocess.Popen[str]":
    command = [
        sys.executable, *(TORCHRUN if ranks else ()), *TRAINER,
        "--corpus", document, "--checkpoint-dir", training, *more,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HLX_SAVE_SECONDS": "0"}
    return subprocess.Popen(
        list(map(str, command)), cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def losses(training: Path) -> list[float]:
    """Return the losses that a training recorded, in order."""
    (directory,) = training.iterdir()
    return [value for row in read_metrics(directory) for value in (row["train_loss"], row["held_out_loss"]) if value]


def test_two_processes_come_to_the_losses_of_one(small_document: Path, tmp_path: Path) -> None:
    options = ("--epochs", 2, "--batch-size", 1, "--lr", 1e-4)
    trainers = [start(tmp_path / name / "training", small_document, *options, ranks=ranks)
                for name, ranks in (("one", False), ("two", True))]  # fmt: skip
    for trainer in trainers:
        _, said = trainer.communicate(timeout=120)
        assert trainer.returncode == 0, said
    one, two = (losses(tmp_path / name / "training") for name in ("one", "two"))
    assert len(one) > 6
    assert two == pytest.approx(one, abs=1e-5)
    ids = [next((tmp_path / name / "training").iterdir()) for name in ("one", "two")]
    assert ids[0].name == ids[1].name  # the same training, however many compute it
    assert [p.name for p in list_checkpoints(ids[0] / "checkpoints")] == [
        p.name for p in list_checkpoints(ids[1] / "checkpoints")
    ]


def test_one_process_resumes_what_several_started(small_document: Path, tmp_path: Path) -> None:
    """Interrupted at once in all ranks, as a terminal does it."""
    training = tmp_path / "training"
    options = ("--epochs", 20, "--batch-size", 1)
    several = start(training, small_document, *options, ranks=True)
    while several.poll() is None and not list(training.glob("*/checkpoints/*_LAST_*/manifest.json")):
        time.sleep(0.05)
    several.send_signal(signal.SIGTERM)  # torchrun passes it on
    several.communicate(timeout=60)
    (directory,) = training.iterdir()
    beat = beat_in(directory)
    assert beat.status == "interrupted"
    one = start(training, small_document, *options, ranks=False)
    _, said = one.communicate(timeout=120)
    assert one.returncode == 0, said
    assert f"resuming from phase1_LAST_step{beat.step}" in said


def test_ranks_do_not_outlive_a_torchrun_that_is_killed(small_document: Path, tmp_path: Path) -> None:
    training = tmp_path / "training"
    several = start(training, small_document, "--epochs", 200, "--batch-size", 1, ranks=True)
    while several.poll() is None and not list(training.glob("*/checkpoints/*_LAST_*/manifest.json")):
        time.sleep(0.05)
    several.kill()
    (directory,) = training.iterdir()
    deadline = time.monotonic() + 10
    with (directory / "lock").open() as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                assert time.monotonic() < deadline, "a rank still holds the lock"
                time.sleep(0.1)
    several.communicate(timeout=30)  # the pipes close when the last rank is gone


def test_a_process_alone_agrees_with_itself() -> None:
    alone = Ranks("cpu")
    assert alone.is_rank_zero and alone.broadcast_object({"a": [1, None]}) == {"a": [1, None]}
    assert alone.any(True) and not alone.any(False)
