"""The settings that determine a training together with its inputs, and the id made from all of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hlx_model.files import digest_of
from hlx_model.model.sizes import POSITIONS, architecture
from hlx_model.model.tokenizer import VOCABULARY_SHA256
from hlx_model.phases import require_phase

CODE_VERSION = "4"
"""Raised by hand if the same inputs would give another result."""


@dataclass(frozen=True)
class Settings:
    """The settings of one training; `ValueError` names the field, its value and what is allowed."""

    phase: int
    size: str
    epochs: int
    batch_size: int
    """A batch has at most batch_size × seq_length tokens."""
    seq_length: int
    """The most tokens of one example, including `<BOS>` and `<EOS>`."""
    learning_rate: float
    """The peak, reached after the warm-up."""
    seed: int = 0
    replay: float = 0.0
    """For each earlier phase: tokens replayed from its corpus in each epoch, as a share of the epoch's tokens."""
    mixed_precision: bool = False
    """Matrix products in bf16 if the device has it, on an older GPU in fp16 with scaled gradients."""
    optimizer: str = "adamw"
    """`adamw` for all weights, or `muon` for the matrices of the layers and AdamW for the rest."""
    warmup: float = 0.03
    """Share of the steps in which the learning rate rises to its peak; then a cosine lowers it to zero."""
    weight_decay: float = 0.01
    clip: float = 1.0
    """Largest gradient norm; a larger gradient is scaled down to it."""
    prompt_weight: float = 1.0
    """Final weight of a prompt's token in the objective; an answer's token has weight 1. Part of a prompt is random and
    cannot be predicted: at first it teaches the language, later it is only noise."""

    english_weight: float = 1.0
    """Weight of a token of an answer in English. A value has many right sentences, so that much of such an answer is
    chance and cannot be predicted."""
    document_weight: float = 0.0
    """Least share of the tokens that is from the user's documents beside composed entries; 0 without both."""

    def __post_init__(self) -> None:
        architecture(self.size)
        require_phase(self.phase)
        self._require("epochs", self.epochs >= 1, "at least 1")
        self._require("batch_size", self.batch_size >= 1, "at least 1")
        self._require("seq_length", 3 <= self.seq_length <= POSITIONS, f"3 to {POSITIONS}, the model's positions")
        self._require("seed", 0 <= self.seed < 2**63, "0 up to 2^63")
        self._require("learning_rate", math.isfinite(self.learning_rate) and self.learning_rate > 0, "above 0")
        self._require("optimizer", self.optimizer in ("adamw", "muon"), "adamw or muon")
        self._require("replay", 0 <= self.replay <= 0.5, "0 to 0.5")
        self._require("warmup", 0 <= self.warmup < 1, "0 up to 1")
        self._require("weight_decay", 0 <= self.weight_decay < 1, "0 up to 1")
        self._require("clip", self.clip > 0, "above 0")
        self._require("document_weight", 0 <= self.document_weight <= 0.9, "0 to 0.9")
        self._require("prompt_weight", 0 <= self.prompt_weight <= 1, "0 to 1")
        self._require("english_weight", 0 < self.english_weight <= 1, "above 0, at most 1")

    def _require(self, name: str, valid: bool, allowed: str) -> None:
        if not valid:
            raise ValueError(f"{name} is {getattr(self, name)}: it must be {allowed}")

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON. A weight that changes nothing has no key: a training without it keeps its id."""
        neutral = {"document_weight": 0.0, "english_weight": 1.0}
        return {name: value for name, value in asdict(self).items() if value != neutral.get(name)}


def training_id(
    settings: Mapping[str, Any],
    data_versions: Mapping[str, str],
    parent_weights: str | None,
    ungated: Sequence[str] = (),
    attempt: int = 1,
) -> str:
    """Return the id of a training: 16 hexadecimal digits of a hash of all that determines its result.

    The same inputs give the same directory, so that a crashed training is resumed, and one that has ended is found. A
    training that starts from a checkpoint whose gate was closed (`ungated`) has an id of its own. So has every later
    attempt at a training that was stopped.

    Args:
        settings: as JSON.
        data_versions: of the corpora, by asset.
        parent_weights: SHA-256 of the parent's weights; None without a parent.
        ungated: the ancestors that are used although their gate is closed.
        attempt: 1 for the first.
    """
    inputs: dict[str, object] = {
        "settings": dict(settings), "corpora": dict(data_versions), "parent": parent_weights,
        "vocabulary": VOCABULARY_SHA256, "code": CODE_VERSION,
    }  # fmt: skip
    if ungated:
        inputs["ungated"] = list(ungated)
    if attempt > 1:
        inputs["attempt"] = attempt
    return digest_of(inputs)[:16]
