"""Profiles: each sets size, corpus and schedule together, and every field can be overridden.

`quick` is for a first try and for tests: tiny, a composed corpus, minutes on two CPU cores. `production` is the
reference schedule: 100m on a document of one's own, 200 + 200 + 50 epochs, for an 8 GB GPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hlx_model.environment import Environment


@dataclass(frozen=True)
class Schedule:
    """How long one phase trains, and at which learning rate."""

    epochs: int
    """Most epochs."""
    tokens: int | None
    """Train for about so many tokens, in whole epochs; None trains all epochs."""
    learning_rate: float
    """The peak."""

    def epochs_for(self, tokens_per_epoch: int) -> int:
        """Return the epochs to train if one epoch has `tokens_per_epoch` tokens: at least 1."""
        if self.tokens is None:
            return self.epochs
        return max(1, min(self.epochs, round(self.tokens / tokens_per_epoch)))


@dataclass(frozen=True)
class Profile:
    """A size, a corpus and schedules that fit each other and a machine."""

    name: str
    size: str
    entries: int
    """Entries to compose if no corpus document is named."""
    batch_size: int
    replay: float
    """Tokens replayed from each phase before, as a share of the phase's own tokens."""
    optimizer: str
    """`adamw`, or `muon` for the layers' matrices."""
    prompt_weight: float
    """Final weight of a prompt's token in the objective; an answer's token has weight 1."""
    schedules: Mapping[int, Schedule]
    """By phase."""
    english_weight: float = 1.0
    """Weight of a token of an answer in English: with less, English→HLX is learned better and HLX→English worse."""
    document_weight: float = 0.15
    """Least share of the tokens that is from the user's documents if composed entries lie beside them."""
    seed: int = 0
    seq_length: int = 256
    gate_every: int = 0
    """Evaluate the gates every so many epochs during training, beside the milestones; 0: at the milestones alone."""
    mixed_precision: bool = True
    """Matrix products in bf16 if the device has it, on an older GPU in fp16."""


_QUICK = Profile(
    "quick", size="tiny", entries=30_000, batch_size=8, replay=0.01, optimizer="muon", prompt_weight=0.05,
    english_weight=0.5,
    # Phases 1 and 2 get about 4% of the tokens each: with more, phase 3 is worse (docs/LOG.md).
    schedules={
        1: Schedule(200, 600_000, 6e-3),
        2: Schedule(200, 600_000, 6e-3),
        3: Schedule(50, 17_000_000, 6e-3),
    },
)  # fmt: skip
_PRODUCTION = Profile(
    "production", size="100m", entries=20_000, batch_size=4, replay=0.0, optimizer="adamw", prompt_weight=1.0,
    gate_every=10,
    schedules={
        1: Schedule(200, None, 1e-4),
        2: Schedule(200, None, 1e-4),
        3: Schedule(50, None, 5e-5),
    },
)  # fmt: skip
PROFILES = {profile.name: profile for profile in (_QUICK, _PRODUCTION)}


def profile(name: str | None = None) -> Profile:
    """Return the profile of a name, by default that of `HLX_PROFILE`; `ValueError` names those that exist."""
    name = name or Environment.read("HLX_PROFILE").profile
    if name not in PROFILES:
        raise ValueError(f"profile is {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


def options_for(phase: int, settings: Mapping[str, Any]) -> str:
    """Return the options of `hlx train` that give these settings to another training of the phase, each after a space.

    They name the profile, and what differs from it. Without a profile of this optimizer they name all.
    """
    profile = next((one for one in PROFILES.values() if one.optimizer == settings.get("optimizer")), None)
    options = {
        "--profile": (profile and profile.name, None),
        "--lr": (settings.get("learning_rate"), profile and profile.schedules[phase].learning_rate),
        "--batch-size": (settings.get("batch_size"), profile and profile.batch_size),
        "--seq-length": (settings.get("seq_length"), profile and profile.seq_length),
        "--replay": (settings.get("replay"), profile and profile.replay),
    }
    return "".join(f" {name} {value}" for name, (value, default) in options.items() if value not in (None, default))
