"""What a report is about: weights, what they are asked, and what their training left on record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hlx_model.evaluation.verdict import GATES_VERSION, Verdict
from hlx_model.verdicts import GateResult, worst


@dataclass(frozen=True)
class EvaluationTarget:
    """A checkpoint as the gates need to know it. The defaults say that nothing is on record."""

    name: str
    """`<training id>/<checkpoint>`, or the name of the users' file."""
    phase: int
    size: str
    weights_sha256: str
    corpora: Mapping[str, str]
    """Data versions by asset: what it is judged on."""
    recorded: tuple[GateResult, ...]
    """The gates that its record alone answers, `training_completed` first."""
    reported_loss: float | None = None
    """The trainer's own mean loss of the last epoch, in nats; None where none is on record."""
    earlier_losses: Mapping[str, float] = field(default_factory=dict)
    """Held-out loss by asset as the reports on the phases before give it, in nats."""
    replay: float = 0.0
    kind: str = "FOREIGN"
    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    stopped: str | None = None
    milestones: Sequence[Mapping[str, Any]] = ()
    curve: Sequence[Mapping[str, Any]] = ()

    def verdict(self, gates: Sequence[GateResult]) -> Verdict:
        """The verdict that follows from the gates' outcomes."""
        return Verdict(worst(gates), tuple(gates), self.name, self.weights_sha256, dict(self.corpora), GATES_VERSION)

    def to_json(self) -> dict[str, Any]:
        """What the report says of it beside the verdict."""
        return {
            "phase": self.phase,
            "size": self.size,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "step": self.step,
            "kind": self.kind,
            "stopped": self.stopped,
        }
