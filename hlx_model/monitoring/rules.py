"""The watchdog's judgement of a training: a pure function of what was recorded and of when one looks.

What a trainer finds wrong itself (abort conditions, gates) it acts upon at once. The watchdog finds the same from the
record, for a trainer that does not; and what no trainer can say of itself: that it stalls, or is gone.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from hlx_model.environment import STALL_SECONDS
from hlx_model.monitoring.aborts import AbortLimits, abort_reason, diverged
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.verdicts import GateResult

Name = Literal[
    "gone", "stalled", "not_finite", "diverged", "collapsed", "rising", "wrong_size", "gate", "disk", "gpu_memory"
]


@dataclass(frozen=True)
class Limits:
    """When a training is in trouble."""

    stall_seconds: float = STALL_SECONDS
    """Without a step: the guide's five minutes ("No progress for 5+ minutes")."""
    stall_paces: float = 5.0
    """Where steps are slower: so many times the longest that it has been without one so far."""
    begin_stalls: float = 3.0
    """Before the first step, which has no pace yet and may compile: so many times as long."""
    settle_seconds: float = 60.0
    """What a trainer recorded just now it may be acting upon: it writes a checkpoint first."""
    gpu_memory: float = 0.97
    """Share of the GPU's memory that a training held at most so far."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with a training."""

    name: Name
    reason: str
    """One line for a person: what was seen, and what to do."""
    lost: bool = True
    """It must be stopped; else a person must look."""


@dataclass(frozen=True)
class Snapshot:
    """What one who looks at a training sees."""

    beat: Heartbeat
    curve: Sequence[Mapping[str, Any]] = ()
    """Rows of `metrics.parquet`."""
    milestones: Sequence[Mapping[str, Any]] = ()
    checkpoint: Sequence[GateResult] = ()
    """Whether its newest checkpoint is of the size asked for; empty where there is none yet."""
    alive: bool = True
    """Its process is there."""
    disk_free: int | None = None
    """Bytes."""
    next_checkpoint: int | None = None
    """Bytes that its next checkpoint takes at most."""


def check(snapshot: Snapshot, now: float, limits: Limits | None = None) -> Problem | None:
    """What is wrong with a training at `now` (Unix seconds), the worst first; None where it is well or has ended."""
    limits = limits or Limits()
    if not snapshot.beat.running:
        return None
    return next(
        (found for rule in (_gone, _stalled, _lost, _low_disk_or_gpu_memory) if (found := rule(snapshot, now, limits))),
        None,
    )


def _gone(snapshot: Snapshot, now: float, limits: Limits) -> Problem | None:
    if snapshot.alive:
        return None
    return Problem("gone", f"process {snapshot.beat.pid} is gone: materialize again, or repeat the command, to resume")


def _stalled(snapshot: Snapshot, now: float, limits: Limits) -> Problem | None:
    beat = snapshot.beat
    silent, most = now - beat.time, max(limits.stall_seconds, limits.stall_paces * beat.pace)
    if beat.step == 0:
        most = max(most, limits.begin_stalls * limits.stall_seconds)
    if silent <= most:
        return None
    pace = f" (its longest so far was {beat.pace:.0f})" if beat.pace >= 1 else ""
    return Problem(
        "stalled",
        f"no progress for {silent:.0f} seconds{pace}: look at the machine (GPU, disk, memory), then resume",
    )


def _lost(snapshot: Snapshot, now: float, limits: Limits) -> Problem | None:
    beat, settled = snapshot.beat, now - snapshot.beat.time > limits.settle_seconds
    failed = [gate for gate in snapshot.checkpoint if gate.outcome == "fail"]
    if failed:
        return Problem(
            "wrong_size", f"its checkpoint is not of the size asked for: {failed[0].reason}: look at the settings"
        )
    for milestone in snapshot.milestones:
        if milestone["outcome"] == "fail" and (settled or milestone["epoch"] < beat.epoch):
            gate = next(gate for gate in milestone["gates"] if gate["outcome"] == "fail")
            reason = f"gate {gate['name']} failed at epoch {milestone['epoch']}: {gate['reason']}"
            return Problem("gate", reason)
    if found := check_curve([row for row in snapshot.curve if settled or row["step"] < beat.step]):
        return found
    if settled:
        return _not_finite({"train_loss": beat.train_loss, "held_out_loss": beat.held_out_loss}, beat.epoch)
    return None


def _low_disk_or_gpu_memory(snapshot: Snapshot, now: float, limits: Limits) -> Problem | None:
    beat = snapshot.beat
    if (
        snapshot.disk_free is not None
        and snapshot.next_checkpoint is not None
        and snapshot.disk_free < snapshot.next_checkpoint
    ):
        return Problem(
            "disk",
            f"{_gigabytes(snapshot.disk_free)} are free, and the next checkpoint takes "
            f"{_gigabytes(snapshot.next_checkpoint)}: make room, then resume",
        )
    if (
        beat.gpu_memory_bytes
        and beat.gpu_memory_total
        and (share := beat.gpu_memory_bytes / beat.gpu_memory_total) > limits.gpu_memory
    ):
        return Problem(
            "gpu_memory",
            f"it has held {share:.0%} of the GPU's {_gigabytes(beat.gpu_memory_total)}: should it end for lack of it, "
            "go on with a smaller batch_size, accumulation or gradient_checkpointing",
            lost=False,
        )
    return None


def check_curve(rows: Iterable[Mapping[str, Any]], limits: AbortLimits | None = None) -> Problem | None:
    """What a recorded curve says is wrong: the guide's abort conditions, on its rows in order."""
    limits, began = limits or AbortLimits(), None
    epochs: list[float] = []
    first_epoch = 1
    for row in rows:
        if found := _not_finite(row, row["epoch"]):
            return found
        loss = float(row["train_loss"])
        if began is None:
            began, first_epoch = loss, row["epoch"]
            # A phase may begin above what has diverged later: English learned by heart begins HLX so.
            limits = replace(limits, diverged=max(limits.diverged, began))
        if reason := diverged(loss, limits):
            return Problem("diverged", f"{reason} (epoch {row['epoch']})")
        if row["held_out_loss"] is not None:
            epochs.append(loss)
            if reason := abort_reason(epochs, limits, first_epoch=first_epoch):
                return Problem("collapsed" if "collapsed" in reason else "rising", f"{reason} (epoch {row['epoch']})")
    return None


def _not_finite(figures: Mapping[str, Any], epoch: int) -> Problem | None:
    for name in ("train_loss", "held_out_loss"):
        value = figures[name]
        if value is not None and not math.isfinite(value):
            return Problem("not_finite", f"{name} is {value} (epoch {epoch}): use a lower learning rate")
    return None


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
