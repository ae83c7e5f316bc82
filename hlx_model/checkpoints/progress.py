"""The progress of a training, in `state.json` of each checkpoint: what resuming needs beside weights and moments.

It contains no random state: a step draws nothing at random, and the order of the data follows from seed and epoch.
"""

from pathlib import Path

from pydantic import ConfigDict, Field

from hlx_model.json_model import JsonModel
from hlx_model.layout import STATE
from hlx_model.verdicts import Milestone


class AbortMemory(JsonModel):
    """What the abort rules remember of the steps before; losses in nats."""

    initial_loss: float | None = Field(default=None, validation_alias="began", serialization_alias="began")
    """Training loss of the first step."""
    losses: tuple[float, ...] = ()
    """Training losses of the last steps, the newest last."""
    spikes: tuple[int, ...] = ()
    """For each of the last steps 1 if it was a spike, else 0."""
    warned: tuple[str, ...] = ()
    """The names of the rules that have warned."""


class Progress(JsonModel):
    """The progress of one training; losses in nats. The trainer changes it as it trains."""

    model_config = ConfigDict(frozen=False)

    epoch: int = 1
    """The epoch that the next step belongs to."""
    batch: int = 0
    """Batches of this epoch that are done."""
    step: int = 0
    current_epoch: int = Field(default=1, validation_alias="begun", serialization_alias="begun")
    """The last epoch that has started."""
    epoch_loss: float = 0.0
    """Sum of the training loss over this epoch's tokens so far."""
    epoch_tokens: int = 0
    window_loss: float = 0.0
    """The same since the last record within this epoch."""
    window_tokens: int = 0
    epoch_losses: list[float] = Field(default_factory=list)
    """Mean training loss of each epoch that has ended."""
    initial_held_out_loss: float = Field(default=0.0, validation_alias="began", serialization_alias="began")
    """Validation loss before the first step, of fresh weights or the parent's."""
    best_loss: float | None = None
    """Lowest validation loss at the end of an epoch."""
    best_epoch: int | None = None
    milestones: list[Milestone] = Field(default_factory=list)
    aborts: AbortMemory = AbortMemory()
    scaler: dict[str, int | float] = Field(default_factory=dict)
    """The scale of fp16 gradients."""

    def count(self, loss: float, tokens: int) -> None:
        """Count one step with this mean loss over so many tokens."""
        self.step, self.batch = self.step + 1, self.batch + 1
        self.epoch_loss, self.epoch_tokens = self.epoch_loss + loss * tokens, self.epoch_tokens + tokens
        self.window_loss, self.window_tokens = self.window_loss + loss * tokens, self.window_tokens + tokens

    def end_epoch(self) -> float:
        """End the epoch and return its mean training loss."""
        mean = self.epoch_loss / self.epoch_tokens
        self.epoch_losses.append(mean)
        self.epoch, self.batch, self.epoch_loss, self.epoch_tokens = self.epoch + 1, 0, 0.0, 0
        self.window_loss, self.window_tokens = 0.0, 0
        return mean


def read_state(checkpoint: Path) -> Progress:
    """Read `state.json` of a checkpoint.

    Raises:
        ValueError: the file is damaged; names the file and the field.
        OSError: it cannot be read.
    """
    return Progress.read(checkpoint / STATE)
