"""Take snapshots of the trainings in a folder, for the watchdog's rules."""

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError

from hlx_model.checkpoints.seal import list_checkpoints
from hlx_model.environment import Environment
from hlx_model.evaluation.gates.checkpoint_size import checkpoint_gates
from hlx_model.files import read_json, skipping
from hlx_model.layout import CHECKPOINTS, HEARTBEAT, MILESTONE_RESULTS
from hlx_model.model.sizes import SIZES
from hlx_model.monitoring.rules import Limits, Snapshot
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.metrics import read_metrics
from hlx_model.verdicts import GateResult, Milestone

log = logging.getLogger(__name__)

_MISSING = (FileNotFoundError, NotADirectoryError)
"""What is no training, or has no heartbeat yet."""
_BYTES_PER_PARAMETER = 12
"""A checkpoint to resume from contains each weight and its two moments, in fp32."""


class WatchedTraining(NamedTuple):
    """A training's directory and its snapshot."""

    directory: Path
    snapshot: Snapshot


def limits() -> Limits:
    """Return the limits, with `HLX_STALL_SECONDS`; `ValueError` if that is not valid."""
    return Limits(stall_seconds=Environment.read("HLX_STALL_SECONDS").stall_seconds)


class Scan(NamedTuple):
    """What a folder of trainings shows at one moment."""

    watched: list[WatchedTraining]
    """The trainings that have a heartbeat, the newest heartbeat first."""
    unreadable: list[str]
    """A line on each file or folder that cannot be read: what it would show is not watched."""


def scan(root: Path) -> Scan:
    """Take a snapshot of each training in the folder `root`. What is damaged is named, and the others are watched."""
    found = Scan([], [])
    with skipping(root, found.unreadable.append):
        for directory in sorted(root.iterdir(), key=lambda path: path.name) if root.is_dir() else ():
            with skipping(directory / HEARTBEAT, found.unreadable.append), suppress(*_MISSING):
                found.watched.append(WatchedTraining(directory, take_snapshot(directory, found.unreadable.append)))
    found.watched.sort(key=lambda training: training.snapshot.beat.time, reverse=True)
    return found


def take_snapshot(directory: Path, note: Callable[[str], object]) -> Snapshot:
    """Return a snapshot of the training in a directory.

    Of a training that has ended it contains the heartbeat only: there may be hundreds of them.

    Args:
        directory: of the training.
        note: gets one line on each other file that cannot be read.

    Raises:
        ValueError: the heartbeat is damaged.
        OSError: it cannot be read.
    """
    beat = Heartbeat.load(directory)
    if not beat.running:
        return Snapshot(beat)
    return Snapshot(
        beat,
        read_metrics(directory, note),
        read_milestones(directory, note),
        checkpoint=_newest_checkpoint(directory / CHECKPOINTS, beat.size),
        alive=beat.alive,
        disk_free=shutil.disk_usage(directory).free,
        next_checkpoint=checkpoint_bytes(beat.size),
    )


def checkpoint_bytes(size: str) -> int | None:
    """Return the bytes of a checkpoint to resume from; None if there is no such size."""
    return _BYTES_PER_PARAMETER * SIZES[size].parameters if size in SIZES else None


def read_milestones(directory: Path, note: Callable[[str], object] = log.warning) -> list[Milestone]:
    """Return what a training's directory records of its milestones, in their order; none if it cannot be read.

    Args:
        directory: of the training.
        note: gets one line on a file that cannot be read.
    """
    with skipping(directory / MILESTONE_RESULTS, note):
        if (directory / MILESTONE_RESULTS).exists():
            return [Milestone.from_json(one) for one in read_json(directory / MILESTONE_RESULTS)]
    return []


def _newest_checkpoint(parent: Path, size: str) -> list[GateResult]:
    """Return the gates on the newest checkpoint's size; none if there is none, or a newer one is just replacing it."""
    found = list_checkpoints(parent)
    with suppress(OSError, SafetensorError):
        return list(checkpoint_gates(found[-1], size)) if found and size in SIZES else []
    return []
