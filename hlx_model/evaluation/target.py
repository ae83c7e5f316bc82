"""What a report is about: weights, and what their training recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hlx_model.reporting.models import CurvePoint
from hlx_model.verdicts import Milestone


@dataclass(frozen=True)
class EvaluationTarget:
    """A checkpoint as the gates need to know it. The defaults are those of weights without any record."""

    name: str
    """`<training id>/<checkpoint>`, or the name of a `.pt` file."""
    phase: int
    size: str
    weights_sha256: str
    corpora: Mapping[str, str]
    """Data versions by asset: what it is evaluated on."""
    ungated: tuple[str, ...] | None = None
    """Checkpoints that it was made from although their gate was closed; None if that is not recorded."""
    reported_loss: float | None = None
    """The trainer's own mean loss of the last epoch, in nats; None if that is not recorded."""
    earlier_losses: Mapping[str, float] = field(default_factory=dict)
    """Held-out loss by asset in the reports on the phases before, in nats."""
    replay: float = 0.0
    kind: str = "FOREIGN"
    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    stopped: str | None = None
    milestones: Sequence[Milestone] = ()
    curve: Sequence[CurvePoint] = ()
    """The records of the training up to its step."""
