"""The directory of one training: who may work in it, how it ended, and what is cleared away."""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hlx_model.checkpoints.manifest import CheckpointError, Manifest, read_manifest
from hlx_model.checkpoints.seal import list_checkpoints, remove_checkpoint, verify_own
from hlx_model.layout import MANIFEST
from hlx_model.runs.heartbeat import Heartbeat

log = logging.getLogger(__name__)


class AlreadyRunning(RuntimeError):
    """Another process is at work on the same training."""


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended: its checkpoint, and why it was stopped where it was."""

    checkpoint: Path
    manifest: Manifest
    found: bool
    """Whether it had ended before and was only found."""

    @classmethod
    def of(cls, checkpoint: Path, *, found: bool) -> "TrainingResult":
        """The outcome that a checkpoint is."""
        return cls(checkpoint, read_manifest(checkpoint), found)


@contextmanager
def training_lock(directory: Path) -> Iterator[None]:
    """Hold the training's lock, which the kernel frees when the process is gone, however it went."""
    with (directory / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunning(
                f"{directory}: process {lock.read().strip()} is at work on this training: wait for it"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def ended_training(directory: Path, training_id: str) -> Path | None:
    """The FINAL or STOPPED checkpoint of a training, where it verifies and is this training's own.

    What a trainer that was killed right after it had written that did not come to is done now.
    """
    for path in reversed(list_checkpoints(directory / "checkpoints")):
        if "_FINAL_" in path.name or "_STOPPED_" in path.name:
            try:
                manifest = verify_own(path, training_id)
            except CheckpointError as error:
                log.warning("%s", error)
            else:
                _finish(directory, manifest)
                return path
    return None


def _finish(directory: Path, ended: Manifest) -> None:
    remove_temporaries(directory)
    for path in list_checkpoints(directory / "checkpoints"):
        if "_LAST_" in path.name:
            remove_checkpoint(path)
    beat = Heartbeat.read(directory)
    if beat is not None and beat.running:
        beat.status, beat.reason = "completed", ended.stopped
        if ended.stopped is not None:
            beat.status = "quality_failed" if ended.stopped.startswith("gate ") else "aborted"
        beat.write(directory)


def remove_temporaries(directory: Path) -> None:
    """Remove what a trainer that was killed has left half written or half removed in a training's directory."""
    for pattern in (".*.json.*", ".*.parquet.*"):
        for path in directory.glob(pattern):
            path.unlink(missing_ok=True)
    kept = directory / "checkpoints"
    half_removed = [path for path in kept.glob("phase*") if not (path / MANIFEST).exists()]
    for path in [*kept.glob(".phase*"), *half_removed]:
        shutil.rmtree(path, ignore_errors=True)


def was_stopped(directory: Path) -> bool:
    """Return whether a gate or an abort condition ended the training in `directory`."""
    return any("_STOPPED_" in path.name for path in list_checkpoints(directory / "checkpoints"))
