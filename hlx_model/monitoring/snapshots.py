"""What one who watches sees of the trainings at hand, read from their directories."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError

from hlx_model.checkpoints.seal import list_checkpoints
from hlx_model.environment import seconds
from hlx_model.evaluation.gates.checkpoint_size import checkpoint_gates
from hlx_model.files import read_json
from hlx_model.model.sizes import SIZES
from hlx_model.monitoring.rules import Limits, Snapshot
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.metrics import read_metrics
from hlx_model.verdicts import GateResult

_BYTES_A_PARAMETER = 12
"""A checkpoint to resume from holds each weight and its two moments."""


@dataclass(frozen=True)
class WatchedTraining:
    """A training at hand."""

    directory: Path
    snapshot: Snapshot


def limits() -> Limits:
    """The limits; `HLX_STALL_SECONDS` may say others than five minutes. `ValueError` where it is no number above 0."""
    return Limits(stall_seconds=seconds("HLX_STALL_SECONDS", Limits.stall_seconds))


def trainings(root: Path) -> Iterator[WatchedTraining]:
    """The trainings under `root` that have a heartbeat, the newest first."""
    found = [d for d in root.iterdir() if (d / "heartbeat.json").exists()] if root.is_dir() else []
    looked = (WatchedTraining(directory, seen) for directory in found if (seen := take_snapshot(directory)))
    yield from sorted(looked, key=lambda training: training.snapshot.beat.time, reverse=True)


def take_snapshot(directory: Path) -> Snapshot | None:
    """What is seen of the training in a directory; None where it has no heartbeat that can be read.

    Of a training that has ended nothing but its heartbeat: there may be hundreds.
    """
    beat = Heartbeat.read(directory)
    if beat is None:
        return None
    if not beat.running:
        return Snapshot(beat)
    try:
        curve = read_metrics(directory)
    except (OSError, ValueError):
        curve = []
    milestones = directory / "milestones.json"
    return Snapshot(
        beat,
        curve,
        milestones=read_json(milestones) if milestones.exists() else [],
        checkpoint=_newest_checkpoint(directory / "checkpoints", beat.size),
        alive=beat.alive,
        disk_free=shutil.disk_usage(directory).free,
        next_checkpoint=_BYTES_A_PARAMETER * SIZES[beat.size].parameters if beat.size in SIZES else None,
    )


def _newest_checkpoint(parent: Path, size: str) -> list[GateResult]:
    """Its gates; none where there is no checkpoint, or it is just being replaced by a newer one."""
    found = list_checkpoints(parent)
    if not found or size not in SIZES:
        return []
    try:
        return checkpoint_gates(found[-1], size)
    except (OSError, SafetensorError):
        return []
