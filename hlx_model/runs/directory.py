"""The directory of one training: its lock, how it ended, and what is removed after a kill."""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hlx_model.checkpoints.manifest import CheckpointError, Manifest, read_manifest
from hlx_model.checkpoints.seal import list_checkpoints, remove_checkpoint, verify_checkpoint
from hlx_model.files import lock
from hlx_model.layout import CHECKPOINTS, LOCK, MANIFEST
from hlx_model.runs.heartbeat import Heartbeat

log = logging.getLogger(__name__)


class AlreadyRunning(RuntimeError):
    """Another process runs the same training."""


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended: the checkpoint that it passes on, whose manifest tells why it was stopped, if it was."""

    checkpoint: Path
    manifest: Manifest
    found: bool
    """Whether it had already ended before this call."""

    @classmethod
    def of(cls, checkpoint: Path, *, found: bool) -> "TrainingResult":
        """Return the result that a checkpoint is, the last one of a training or its best."""
        return cls(checkpoint, read_manifest(checkpoint), found)


@contextmanager
def training_lock(directory: Path) -> Iterator[None]:
    """Lock the training while the block runs; the kernel frees the lock if the process is killed.

    Raises:
        AlreadyRunning: another process has the lock.
        OSError: the disk has no locks.
    """
    with (directory / LOCK).open("a+") as file:
        try:
            lock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB, directory / LOCK)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip()
            raise AlreadyRunning(f"{directory}: process {owner} runs this training: wait for it") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def ended_training(directory: Path, training_id: str) -> Path | None:
    """Return the training's own FINAL or STOPPED checkpoint that verifies; None if it has none.

    If a trainer was killed right after it had written it, do now what that trainer could not.
    """
    for path in reversed(list_checkpoints(directory / CHECKPOINTS)):
        if "_FINAL_" in path.name or "_STOPPED_" in path.name:
            try:
                ended = verify_checkpoint(path, training_id=training_id)
            except CheckpointError as error:
                log.warning("%s", error)
            else:
                _finish(directory, ended.manifest)
                return path
    return None


def _finish(directory: Path, ended: Manifest) -> None:
    remove_temporaries(directory)
    for path in list_checkpoints(directory / CHECKPOINTS):
        if "_LAST_" in path.name:
            remove_checkpoint(path)
    beat = Heartbeat.read(directory)
    if beat is not None and beat.running:
        beat.status, beat.reason = ended.end_status, ended.stopped
        beat.write(directory)


def remove_temporaries(directory: Path) -> None:
    """Remove what a killed trainer left half written or half removed in a training's directory."""
    for path in (*directory.glob(".*.json.*"), *directory.glob(".*.parquet.*")):
        path.unlink(missing_ok=True)
    kept = directory / CHECKPOINTS
    half_removed = [path for path in kept.glob("phase*") if not (path / MANIFEST).exists()]
    for path in [*kept.glob(".phase*"), *half_removed]:
        shutil.rmtree(path, ignore_errors=True)


def was_stopped(directory: Path) -> bool:
    """Return whether a gate or an abort rule stopped the training in `directory`."""
    return any("_STOPPED_" in path.name for path in list_checkpoints(directory / CHECKPOINTS))
