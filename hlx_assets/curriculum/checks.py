"""Checks of a checkpoint before its report is made: is it intact, and what did its gates find in training?"""

from collections.abc import Iterator
from pathlib import Path

from hlx_assets.common import gate_checks
from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.checkpoints.progress import read_state
from hlx_model.evaluation.gates import COMPLETED, GATES
from hlx_model.evaluation.gates.training_record import training_completed
from hlx_model.evaluation.integrity import INTEGRITY, integrity_gates
from hlx_model.evaluation.milestones import GATES_IN_TRAINING, recorded_milestones_gate
from hlx_model.phases import PHASES
from hlx_model.runs.passing import final_beside
from hlx_model.verdicts import GateResult

MILESTONES = "The gates at the milestones, as recorded during training; a failure ended it there."


def examine(checkpoint: Path) -> Iterator[GateResult]:
    """Yield what each check finds; all fail if the checkpoint does not verify."""
    integrity = integrity_gates(checkpoint)
    yield from integrity
    if integrity[0].outcome == "fail":
        reason = integrity[0].reason
        yield from (GateResult(name, "fail", reason) for name in RECORDED)
        return
    manifest = read_manifest(checkpoint)
    final = final_beside(checkpoint, manifest)
    yield training_completed(
        manifest.kind, manifest.epoch, manifest.epochs, manifest.stopped, best_of_completed=final is not None
    )
    # A BEST checkpoint was written before the later milestones, and before those of its own epoch.
    yield recorded_milestones_gate(read_state(final or checkpoint).milestones)


# A stop, or a failed milestone, does not block the report: a bad model gets one too, and its gates block.
RECORDED = {COMPLETED: GATES[COMPLETED].documentation, GATES_IN_TRAINING: MILESTONES}

names = [phase.checkpoint_asset for phase in PHASES.values()]
checks = [gate_checks(f"{name}_integrity", name, examine, INTEGRITY, RECORDED) for name in names]
