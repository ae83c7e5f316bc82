"""What determines a training besides its inputs, validated once, and the id made from all of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hlx_model.files import digest_of
from hlx_model.model.sizes import POSITIONS, architecture
from hlx_model.model.tokenizer import VOCABULARY_SHA256

CODE_VERSION = "2"
"""Raised by hand when the same inputs would give another result."""


@dataclass(frozen=True)
class Settings:
    """The settings of one training; `ValueError` names the field, its value and what is allowed."""

    phase: int
    size: str
    epochs: int
    batch_size: int
    """With `seq_length`, bounds a batch by batch_size × seq_length tokens."""
    seq_length: int
    """The most tokens of one example, `<BOS>` and `<EOS>` counted."""
    learning_rate: float
    """The peak, reached after the warm-up."""
    seed: int = 0
    replay: float = 0.0
    """Share of each epoch's tokens taken again from each earlier phase's corpus."""
    mixed_precision: bool = False
    """Matrix products in bf16 where the device has it, on an older GPU in fp16 with scaled gradients."""
    optimizer: str = "adamw"
    """`adamw` for all weights, or `muon` for the matrices of the layers and AdamW for the rest."""
    warmup: float = 0.03
    """Share of the steps in which the learning rate climbs to its peak; a cosine takes it down to zero."""
    weight_decay: float = 0.01
    clip: float = 1.0
    """Largest gradient norm."""
    prompt_weight: float = 1.0
    """What a token of a prompt weighs at last in what is learned, where one of an answer weighs 1. What is given is
    partly chance, which nobody can predict: at first it teaches the language, later it is only noise."""

    def __post_init__(self) -> None:
        architecture(self.size)
        self._require("phase", self.phase in (1, 2, 3), "1, 2 or 3")
        self._require("epochs", self.epochs >= 1, "at least 1")
        self._require("batch_size", self.batch_size >= 1, "at least 1")
        self._require("seq_length", 3 <= self.seq_length <= POSITIONS, f"3 to {POSITIONS}, the model's positions")
        self._require("learning_rate", math.isfinite(self.learning_rate) and self.learning_rate > 0, "above 0")
        self._require("optimizer", self.optimizer in ("adamw", "muon"), "adamw or muon")
        self._require("replay", 0 <= self.replay <= 0.5, "0 to 0.5")
        self._require("warmup", 0 <= self.warmup < 1, "0 up to 1")
        self._require("weight_decay", 0 <= self.weight_decay < 1, "0 up to 1")
        self._require("clip", self.clip > 0, "above 0")
        self._require("prompt_weight", 0 <= self.prompt_weight <= 1, "0 to 1")

    def _require(self, name: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise ValueError(f"{name} is {getattr(self, name)}: it must be {allowed}")

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def training_id(
    settings: Mapping[str, Any],
    data_versions: Mapping[str, str],
    parent_weights: str | None,
    ungated: Sequence[str] = (),
    attempt: int = 1,
) -> str:
    """The name of a training: 16 hexadecimal digits of the hash of all that determines its result.

    The same inputs meet the same directory, so that a training that crashed is resumed and one that
    ended is found. What is made from a checkpoint that had not passed (`ungated`) is a training of its own. So is
    every later `attempt` at a training that was stopped.
    """
    return digest_of(
        {
            "settings": dict(settings),
            "corpora": dict(data_versions),
            "parent": parent_weights,
            "vocabulary": VOCABULARY_SHA256,
            "code": CODE_VERSION,
            **({"ungated": list(ungated)} if ungated else {}),
            **({"attempt": attempt} if attempt > 1 else {}),
        }
    )[:16]
