"""What one who watches sees of the trainings at hand, read from their directories."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError

from hlx_model import checkpoint as checkpoints
from hlx_model.artifacts import read_json
from hlx_model.environment import seconds
from hlx_model.metrics import read_metrics
from hlx_model.quality.gate import Gate
from hlx_model.quality.milestones import checkpoint_gates
from hlx_model.sizes import SIZES
from hlx_model.training.heartbeat import Heartbeat
from hlx_model.watchdog.judgement import Limits, Seen

_BYTES_A_PARAMETER = 12
"""A checkpoint to resume from holds each weight and its two moments."""


@dataclass(frozen=True)
class Training:
    """A training at hand."""

    directory: Path
    seen: Seen


def limits() -> Limits:
    """The limits; `HLX_STALL_SECONDS` may say others than five minutes. `ValueError` where it is no number above 0."""
    return Limits(stall_seconds=seconds("HLX_STALL_SECONDS", Limits.stall_seconds))


def trainings(root: Path) -> Iterator[Training]:
    """The trainings under `root` that have a heartbeat, the newest first."""
    found = [d for d in root.iterdir() if (d / "heartbeat.json").exists()] if root.is_dir() else []
    looked = (Training(directory, seen) for directory in found if (seen := look(directory)))
    yield from sorted(looked, key=lambda training: training.seen.beat.time, reverse=True)


def look(directory: Path) -> Seen | None:
    """What is seen of the training in a directory; None where it has no heartbeat that can be read.

    Of a training that has ended nothing but its heartbeat: there may be hundreds.
    """
    beat = Heartbeat.read(directory)
    if beat is None:
        return None
    if not beat.running:
        return Seen(beat)
    try:
        curve = read_metrics(directory)
    except (OSError, ValueError):
        curve = []
    milestones = directory / "milestones.json"
    return Seen(
        beat,
        curve,
        milestones=read_json(milestones) if milestones.exists() else [],
        checkpoint=_newest_checkpoint(directory / "checkpoints", beat.size),
        alive=beat.alive,
        disk_free=shutil.disk_usage(directory).free,
        next_checkpoint=_BYTES_A_PARAMETER * SIZES[beat.size].parameters if beat.size in SIZES else None,
    )


def _newest_checkpoint(parent: Path, size: str) -> list[Gate]:
    """Its gates; none where there is no checkpoint, or it is just being replaced by a newer one."""
    found = checkpoints.checkpoints(parent)
    if not found or size not in SIZES:
        return []
    try:
        return checkpoint_gates(found[-1], size)
    except (OSError, SafetensorError):
        return []
