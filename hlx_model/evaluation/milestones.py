"""The gates during training: what a healthy training already shows at epochs 1, 5, 10, …, and nothing more.

A milestone evaluates the model as the checkpoint of that epoch contains it. The results are recorded, and Dagster shows
them as the check `gate_at_epoch_N` during training. Between the milestones, the gates may be evaluated every N epochs
(`gate_every`); the run's log shows these. A gate that fails ends the training.
"""

from collections.abc import Sequence

from hlx_model.evaluation.gates import MILESTONE_GATES
from hlx_model.evaluation.target import EpochMeasurements
from hlx_model.verdicts import GateResult, Milestone, worst

MILESTONES = (1, 5, 10, 20, 50, 100, 150, 200)
SAMPLE = 256
"""Texts that a milestone measures on, of the held-out and of the training text each."""


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


def recorded_milestone_gate(milestones: Sequence[Milestone], epoch: int, epochs: int) -> GateResult:
    """Return what was recorded at a milestone as one gate; nothing is measured again.

    A milestone that the training did not reach was not due and passes.
    """
    name = gate_name(epoch)
    found = [milestone for milestone in milestones if milestone.epoch == epoch]
    if not found:
        return GateResult(name, "pass", f"not due: the training ended before epoch {epoch} of its {epochs}")
    gates = found[-1].gates
    outcome = worst(gates)
    return GateResult(name, outcome, "; ".join(gate.reason for gate in gates if gate.outcome == outcome))


def gate_name(epoch: int) -> str:
    """Return the name of a milestone's check."""
    return f"gate_at_epoch_{epoch}"
