"""The gates during training: what a healthy training already shows at epochs 1, 5, 10, …, and nothing more.

A milestone evaluates the model as the checkpoint of that epoch contains it. The results are recorded, and Dagster shows
them as the check `gates_in_training`, already while it trains. Between these epochs, the gates may be evaluated every N
epochs (`gate_every`). A gate that fails ends the training.
"""

from collections.abc import Sequence
from itertools import groupby

from hlx_model.evaluation.gates import MILESTONE_GATES
from hlx_model.evaluation.target import EpochMeasurements
from hlx_model.verdicts import GateResult, Milestone, worst_outcome

GATES_IN_TRAINING = "gates_in_training"
"""The name of the check that shows them."""
MILESTONES = (1, 5, 10, 20, 50, 100, 150, 200)
SAMPLE = 256
"""Texts that a milestone measures on, of the validation and of the training text each."""


def due(epoch: int, epochs: int, every: int = 0) -> bool:
    """Return whether a training of that many epochs is evaluated at the end of this one.

    Args:
        epoch: the epoch that ends.
        epochs: the last epoch.
        every: evaluate every so many epochs too; 0 at the milestones alone.
    """
    return epoch in MILESTONES or epoch == epochs or (every > 0 and epoch % every == 0)


def milestone_gates(m: EpochMeasurements) -> list[GateResult]:
    """Return the results of every gate that is due at this epoch, in their order; the last epoch has them all."""
    return [
        spec.check(m)
        for spec in MILESTONE_GATES.values()
        if (m.epoch >= spec.first_epoch or m.epoch == m.epochs)
        and (m.checkpoint is not None or not spec.needs_checkpoint)
    ]


def recorded_milestones_gate(milestones: Sequence[Milestone]) -> GateResult:
    """Return what was recorded at the milestones that a training reached as one gate; nothing is measured again.

    Args:
        milestones: those that it reached, in the order of their epochs.
    """
    if not milestones:
        return GateResult(GATES_IN_TRAINING, "warn", "the training ended before its first milestone")
    said = []
    for (outcome, why), alike in groupby(milestones, lambda milestone: (milestone.outcome, _why(milestone))):
        epochs = [str(milestone.epoch) for milestone in alike]
        said.append(f"{outcome} at epoch{'s' if len(epochs) > 1 else ''} {', '.join(epochs)}{why}")
    return GateResult(GATES_IN_TRAINING, worst_outcome(one.outcome for one in milestones), "; ".join(said))


def _why(milestone: Milestone) -> str:
    """Return the reasons of the gates that did not pass."""
    reasons = "; ".join(f"{gate.name}: {gate.reason}" for gate in milestone.gates if gate.outcome != "pass")
    return f" ({reasons})" if reasons else ""
