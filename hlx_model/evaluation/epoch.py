"""What the gates during training are evaluated on: the model at the end of an epoch."""

from dataclasses import dataclass, field
from pathlib import Path

from hlx_model.evaluation.prediction import Prediction
from hlx_model.evaluation.thresholds import Thresholds


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
    """The best held-out loss so far, this epoch's included."""
    initial_loss: float
    """The held-out loss of the weights that the training began with."""
    unigram: float
    """The loss that counting symbols reaches on the held-out text."""
    train_tokens: int
    """Tokens in the whole training text."""
    size: str
    """The size that the model must have."""
    checkpoint: Path | None = None
    """What the epoch left on disk; None if nothing was saved."""
    thresholds: Thresholds = field(default_factory=Thresholds)
