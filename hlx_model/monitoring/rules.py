"""The watchdog's rules: what is wrong with a training, from a snapshot of what it recorded and how long it is silent.

A trainer stops by itself if a loss rule or a gate requires it. The watchdog finds the same from the record, in case the
trainer does not, and finds what no trainer can report: that it stalls, or that its process is gone.

To add a rule: a function of `Facts` that returns the reason, and a row in `RULES`. A rule on losses alone goes into
`losses.py`, and is the trainer's too. A fact that is not in `Snapshot` is read in `snapshots.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hlx_model.environment import STALL_SECONDS
from hlx_model.monitoring.losses import Losses, LossLimits, Problem, check_losses, recorded, simulate
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.verdicts import GateResult, Milestone


@dataclass(frozen=True)
class Limits:
    """The watchdog's limits, beside those on losses."""

    stall_seconds: float = STALL_SECONDS
    """Without a step: five minutes, as in the reference schedule."""
    stall_paces: float = 5.0
    """If steps are slower: so many times the longest time without a step so far."""
    max_pace: float = 600.0
    """Seconds: a longer time without a step was no step, but a pause of the process."""
    first_step_stalls: float = 3.0
    """Before the first step, which has no pace yet and may compile: so many times as long."""
    settle_seconds: float = 60.0
    """The trainer has so long to act on what it has just recorded: it writes a checkpoint first."""
    max_gpu_memory: float = 0.97
    """Largest share of the GPU's memory that a training may have used."""
    losses: LossLimits = field(default_factory=LossLimits)


@dataclass(frozen=True)
class Snapshot:
    """What a training's directory and process show at one moment."""

    beat: Heartbeat
    curve: Sequence[Mapping[str, Any]] = ()
    """Rows of `metrics.parquet`."""
    milestones: Sequence[Milestone] = ()
    checkpoint: Sequence[GateResult] = ()
    """Whether its newest checkpoint is of the training's size; empty if it has none yet."""
    alive: bool = True
    """Whether its process exists, or may exist on another machine."""
    disk_free: int | None = None
    """Bytes."""
    next_checkpoint: int | None = None
    """Bytes that its next checkpoint needs at most."""


class Facts(NamedTuple):
    """What a rule judges."""

    snapshot: Snapshot
    beat: Heartbeat
    """The snapshot's."""
    silent: float
    """Seconds without a new heartbeat."""
    limits: Limits

    @property
    def settled(self) -> bool:
        """Whether the trainer has had the time to act on all that it recorded."""
        return self.silent > self.limits.settle_seconds


def _gone(facts: Facts) -> str | None:
    gone = f"process {facts.beat.pid} is gone: materialize again, or repeat the command, to resume"
    return None if facts.snapshot.alive else gone


def _stalled(facts: Facts) -> str | None:
    beat, limits = facts.beat, facts.limits
    pace = min(beat.pace, limits.max_pace)
    allowed = max(limits.stall_seconds, limits.stall_paces * pace)
    if beat.step == 0:
        allowed = max(allowed, limits.first_step_stalls * limits.stall_seconds)
    if facts.silent <= allowed:
        return None
    waited = f"{facts.silent:.0f} seconds (allowed {allowed:.0f}"
    waited += f", longest so far {pace:.0f})" if pace >= 1 else ")"
    return f"no progress for {waited}: check the machine (GPU, disk, memory), then resume"


def _wrong_size(facts: Facts) -> str | None:
    failed = next((gate for gate in facts.snapshot.checkpoint if gate.outcome == "fail"), None)
    return f"its checkpoint is not of the training's size: {failed.reason}: check the settings" if failed else None


def _gate(facts: Facts) -> str | None:
    for milestone in facts.snapshot.milestones:
        if milestone.failed and (facts.settled or milestone.epoch < facts.beat.epoch):
            gate = milestone.failed[0]
            return f"gate {gate.name} failed at epoch {milestone.epoch}: {gate.reason}"
    return None


def _losses(facts: Facts) -> Problem | None:
    beat, limits = facts.beat, facts.limits.losses
    if alarm := simulate([row for row in facts.snapshot.curve if facts.settled or row["step"] < beat.step], limits):
        return alarm.problem
    now = Losses(f"epoch {beat.epoch}", beat.train_loss, beat.held_out_loss)
    return check_losses(now, limits) if facts.settled else None


def _disk(facts: Facts) -> str | None:
    free, needed = facts.snapshot.disk_free, facts.snapshot.next_checkpoint
    if free is None or needed is None or free >= needed:
        return None
    return (
        f"{_gigabytes(free)} free on the disk, the next checkpoint needs {_gigabytes(needed)}: make room, then resume"
    )


def _gpu_memory(facts: Facts) -> str | None:
    used, total, limit = facts.beat.gpu_memory_bytes, facts.beat.gpu_memory_total, facts.limits.max_gpu_memory
    if not used or not total or used / total <= limit:
        return None
    advice = "if it runs out of memory, resume with a smaller batch_size, accumulation or gradient_checkpointing"
    return f"it has used {used / total:.0%} of the GPU's {_gigabytes(total)}, required ≤ {limit:.0%}: {advice}"


def _loss_warnings(facts: Facts) -> Problem | None:
    last = None
    for _, losses in recorded(facts.snapshot.curve):
        last = last if losses.held_out is None else losses
    return check_losses(last, facts.limits.losses, lost=False) if last else None


class Rule(NamedTuple):
    """One rule of the watchdog."""

    name: str
    find: Callable[[Facts], str | Problem | None]
    """Returns the reason, or a problem with a name of its own; None if the rule is kept."""
    lost: bool = True
    """Whether a training that breaks it must be stopped."""


RULES = (
    Rule("gone", _gone),
    Rule("stalled", _stalled),
    Rule("wrong_size", _wrong_size),
    Rule("gate", _gate),
    Rule("losses", _losses),
    Rule("disk", _disk),
    Rule("gpu_memory", _gpu_memory, lost=False),
    Rule("loss_warnings", _loss_warnings, lost=False),
)
"""In the order in which they are checked: the first that speaks counts."""


def check(snapshot: Snapshot, silent: float, limits: Limits | None = None) -> Problem | None:
    """Return what is wrong with a training; None if nothing is, or if it has ended.

    Args:
        snapshot: of the training.
        silent: seconds without a new heartbeat.
        limits: None: the usual ones.
    """
    if not snapshot.beat.running:
        return None
    facts = Facts(snapshot, snapshot.beat, silent, limits or Limits())
    for rule in RULES:
        if found := rule.find(facts):
            return found if isinstance(found, Problem) else Problem(rule.name, found, rule.lost)
    return None


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
