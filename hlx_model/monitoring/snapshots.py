"""Take snapshots of the trainings in a folder, for the watchdog's rules."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError

from hlx_model.checkpoints.seal import list_checkpoints
from hlx_model.environment import Environment
from hlx_model.evaluation.gates.checkpoint_size import checkpoint_gates
from hlx_model.files import read_json
from hlx_model.layout import CHECKPOINTS, HEARTBEAT, MILESTONE_RESULTS
from hlx_model.model.sizes import SIZES
from hlx_model.monitoring.rules import Limits, Snapshot
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.metrics import MetricsRow, read_metrics
from hlx_model.verdicts import GateResult, Milestone

_BYTES_PER_PARAMETER = 12
"""A checkpoint to resume from contains each weight and its two moments, in fp32."""


class WatchedTraining(NamedTuple):
    """A training's directory and its snapshot."""

    directory: Path
    snapshot: Snapshot


def limits() -> Limits:
    """Return the limits, with `HLX_STALL_SECONDS`; `ValueError` if that is not valid."""
    return Limits(stall_seconds=Environment.read("HLX_STALL_SECONDS").stall_seconds)


def trainings(root: Path) -> Iterator[WatchedTraining]:
    """Yield the trainings in the folder `root` that have a heartbeat, the newest heartbeat first."""
    directories = [d for d in root.iterdir() if (d / HEARTBEAT).exists()] if root.is_dir() else []
    found = (WatchedTraining(d, snapshot) for d in directories if (snapshot := take_snapshot(d)))
    yield from sorted(found, key=lambda training: training.snapshot.beat.time, reverse=True)


def take_snapshot(directory: Path) -> Snapshot | None:
    """Return a snapshot of the training in a directory; None if it has no readable heartbeat.

    Of a training that has ended it contains the heartbeat only: there may be hundreds of them.
    """
    beat = Heartbeat.read(directory)
    if beat is None:
        return None
    if not beat.running:
        return Snapshot(beat)
    curve: list[MetricsRow] = []
    with suppress(OSError, ValueError):
        curve = read_metrics(directory)
    milestones = directory / MILESTONE_RESULTS
    return Snapshot(
        beat,
        curve,
        milestones=[Milestone.from_json(one) for one in read_json(milestones)] if milestones.exists() else [],
        checkpoint=_newest_checkpoint(directory / CHECKPOINTS, beat.size),
        alive=beat.alive,
        disk_free=shutil.disk_usage(directory).free,
        next_checkpoint=_BYTES_PER_PARAMETER * SIZES[beat.size].parameters if beat.size in SIZES else None,
    )


def _newest_checkpoint(parent: Path, size: str) -> list[GateResult]:
    """Return the gates on the newest checkpoint's size; none if there is none, or a newer one is just replacing it."""
    found = list_checkpoints(parent)
    with suppress(OSError, SafetensorError):
        return list(checkpoint_gates(found[-1], size)) if found and size in SIZES else []
    return []
