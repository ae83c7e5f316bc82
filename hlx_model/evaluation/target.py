"""What the gates know of a checkpoint besides its measurements, and of a model in training at the end of an epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hlx_model.evaluation.prediction import Prediction
from hlx_model.reporting.models import BestEpoch, CurvePoint
from hlx_model.verdicts import Milestone


class Losses(NamedTuple):
    """Next-token losses in nats."""

    held_out: float
    training: float


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
    earlier_losses: Mapping[str, Losses] = field(default_factory=dict)
    """By asset, in the reports on the phases before."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Those of its training; empty if they are not recorded."""
    kind: str = "FOREIGN"
    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    stopped: str | None = None
    best_of_completed: bool = False
    """Whether it is the BEST checkpoint of a training that completed."""
    best: BestEpoch | None = None
    """The best epoch of the training up to it; None if that is not recorded."""
    pass_on: Literal["best"] | None = None
    """`best` if its training passes it on as its best; else None."""
    composed: frozenset[str] = frozenset()
    """The names of the composed documents among those that it was trained on."""
    milestones: Sequence[Milestone] = ()
    curve: Sequence[CurvePoint] = ()
    """The records of the training up to its step."""
    evaluation_expected: bool = False
    """Whether it must be evaluated on an evaluation document."""

    @property
    def replay(self) -> float:
        """The share of tokens that its training took again from each earlier phase."""
        return float(self.settings.get("replay", 0.0))


@dataclass(frozen=True)
class EpochMeasurements:
    """A model in training at the end of an epoch. Losses are in nats."""

    epoch: int
    """The epoch that has ended."""
    epochs: int
    """The epochs of the whole training."""
    step: int
    """Optimizer steps taken."""
    held_out: Prediction
    training: Prediction
    """On training text."""
    reported_loss: float
    """The trainer's own mean loss of the epoch."""
    best_loss: float
    """The best validation loss so far, this epoch's included."""
    initial_loss: float
    """The validation loss of the weights that the training began with."""
    unigram: float
    """The loss that counting symbols reaches on the validation text."""
    train_tokens: int
    """Tokens in the whole training text."""
    size: str
    """The size that the model must have."""
    checkpoint: Path | None = None
    """What the epoch left on disk; None if nothing was saved."""
