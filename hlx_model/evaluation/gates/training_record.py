"""What the record of a training says: whether it was completed, and what it was made from."""

from collections.abc import Sequence

from hlx_model.evaluation.spec import GateSpec
from hlx_model.verdicts import GateResult

_NOT_RECORDED = "not recorded: how its training ended, and on which rows; it may have learned what is held out here"


def training_completed(
    kind: str, epoch: int | None, epochs: int | None, stopped: str | None, *, best_of_completed: bool = False
) -> GateResult:
    """Fail for a STOPPED checkpoint, with its reason; warn for one from the middle of a training, or without record."""
    name = "training_completed"
    if epoch is None:
        return GateResult(name, "warn", _NOT_RECORDED)
    if stopped:
        return GateResult(name, "fail", f"stopped at epoch {epoch} of {epochs}: {stopped}", epoch)
    if best_of_completed:
        reason = f"completed its last epoch, {epochs}; the best was epoch {epoch}"
        return GateResult(name, "pass", reason, epochs, epochs)
    if kind != "FINAL":
        reason = f"intermediate checkpoint: {kind}, epoch {epoch} of {epochs}, required FINAL"
        return GateResult(name, "warn", reason, epoch)
    return GateResult(name, "pass", f"completed its last epoch, {epochs}", epoch, epochs)


def lineage(ungated: Sequence[str] | None) -> GateResult:
    """Warn for good if a checkpoint was made from one whose gate was closed (`--ungated`), or without record."""
    if ungated is None:
        return GateResult("lineage", "warn", "not recorded: the file does not contain what it was made from")
    if ungated:
        names = ", ".join(ungated)
        return GateResult("lineage", "warn", f"trained from {names} although the gate was closed (--ungated)")
    return GateResult("lineage", "pass", "every checkpoint that it was made from passed its gates")


TRAINING_COMPLETED = GateSpec(
    "training_completed", description="The training reached its last epoch; nothing stopped it.",
    requirement="not stopped by a gate or an abort condition; an intermediate checkpoint warns, but the best one of a "
    "completed training passes", needs=("record",), position=10,
    check=lambda m: training_completed(
        m.record.kind, m.record.epoch, m.record.epochs, m.record.stopped, best_of_completed=m.record.best_of_completed
    ),
)  # fmt: skip
LINEAGE = GateSpec(
    "lineage", description="Every checkpoint that it was made from passed its gates.",
    requirement="no parent with a closed gate; `--ungated` warns for good",
    needs=("record",), check=lambda m: lineage(m.record.ungated), position=20,
)  # fmt: skip
