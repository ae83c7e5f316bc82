"""Where a training stands: all that one which goes on needs beside weights and moments."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """Kept as `state.json` in every checkpoint. There is no random state in it: nothing is drawn in a step.

    The order of the data follows from the seed and the epoch.
    """

    epoch: int = 1
    """The epoch that comes next, or stands in its middle."""
    batch: int = 0
    """Batches of this epoch that are done."""
    step: int = 0
    begun: int = 1
    """The last epoch that was begun."""
    epoch_loss: float = 0.0
    """Sum of the training loss over this epoch's tokens so far, in nats."""
    epoch_tokens: int = 0
    window_loss: float = 0.0
    """The same since the last record within this epoch."""
    window_tokens: int = 0
    epoch_losses: list[float] = field(default_factory=list)
    began: float = 0.0
    """Held-out loss in nats before anything was learned of this phase, of fresh weights or the parent's."""
    best_loss: float | None = None
    best_epoch: int | None = None
    milestones: list[dict[str, Any]] = field(default_factory=list)
    aborts: dict[str, Any] = field(default_factory=dict)
    """What the abort conditions remember."""
    scaler: dict[str, float] = field(default_factory=dict)
    """The scale of fp16 gradients."""

    def count(self, loss: float, tokens: int) -> None:
        """One step more, with this mean loss over so many tokens."""
        self.step, self.batch = self.step + 1, self.batch + 1
        self.epoch_loss, self.epoch_tokens = self.epoch_loss + loss * tokens, self.epoch_tokens + tokens
        self.window_loss, self.window_tokens = self.window_loss + loss * tokens, self.window_tokens + tokens

    def end_epoch(self) -> float:
        """One epoch more; its mean training loss in nats."""
        mean = self.epoch_loss / self.epoch_tokens
        self.epoch_losses.append(mean)
        self.epoch, self.batch, self.epoch_loss, self.epoch_tokens = self.epoch + 1, 0, 0.0, 0
        self.window_loss, self.window_tokens = 0.0, 0
        return mean
