"""Fitness: which rates a finished checkpoint must reach, by profile and by gate.

Health, whether something is broken, is required during training too; its limits are in `thresholds.py`. A corpus that
holds out too few values to show generalization can only be learned by heart. Then the gates require that it was:
`BY_HEART` has limits of its own for some of them, and the specs say what they measure.

    Requirements("quick", {"exact_match_to_hlx": 0.3}).fitness(by_heart=False)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hlx_model.profiles import profile as profile_of
from hlx_model.verdicts import Fitness, Limit

MIN_HELD_OUT_VALUES = 36
"""With fewer test values generalization cannot be measured: so small a corpus does not teach it. With 29 (1200
entries) exact match is 0.01 after 3.5M tokens, though 0.93 of the training pairs are reproduced; with 44 (2000 entries)
0.13."""
MIN_HELD_OUT_SENTENCES = 80
"""The same of a corpus of sentences, which has no values. With 40 (800 entries) the test loss is 2.65 after the
tokens that `quick` trains, above the bigram baseline of 2.45; with 83 (1700 entries, 37 values) it is 1.13."""

BY_HEART_ALONE = f"learned by heart, not shown to generalize (fewer than {MIN_HELD_OUT_VALUES} values are in test)"
"""Why a gate on generalization requires nothing of a corpus that can only be learned by heart, and warns."""


def _limit(required: float, good: float) -> Limit:
    return Limit(required=required, good=good)


_QUICK = {
    # Healthy trainings 0.98 to 0.99; 0.76 after 250k tokens, 0.47 after 60k.
    "words": _limit(0.50, 0.80),
    # In the worst of the formats. Healthy trainings 0.83 to 0.96; nothing after 120k tokens.
    "completions_parse": _limit(0.50, 0.80),
    # In the worst of the formats. Healthy trainings 0.92 to 0.97.
    "parse_rate": _limit(0.50, 0.80),
    # English→HLX, of new sentences in evaluation documents. `quick`, 21 trainings: 0.57 to 0.67. A composed corpus
    # whose phrasings are too few gives 0.23.
    "evaluation": _limit(0.35, 0.50),
    # `quick`, 21 trainings: 0.65 to 0.73; 0.00 with another entry's lines under 67% of the sentences.
    "exact_match_to_hlx": _limit(0.50, 0.75),
    # `quick`, 21 trainings: 0.51 to 0.61.
    "exact_match_to_english": _limit(0.35, 0.60),
    # Healthy trainings 0.57 at half their budget, at least as many as of test pairs.
    "training_pairs": _limit(0.10, 0.50),
    # Healthy trainings answer 0.91 with a line that parses, the broken models on record none.
    "standard_prompts": _limit(0.50, 0.75),
}
LIMITS: Mapping[str, Mapping[str, Limit]] = {
    "quick": _QUICK,
    "production": _QUICK | {
        "evaluation": _limit(0.80, 0.80),
        "exact_match_to_hlx": _limit(0.80, 0.80),
        "exact_match_to_english": _limit(0.70, 0.70),
    },
}  # fmt: skip
"""By profile and gate."""
BY_HEART: Mapping[str, Limit] = {
    "words": _limit(0.80, 0.80),
    "completions_parse": _limit(0.80, 0.80),
    "training_pairs": _limit(0.90, 0.90),
}
"""By gate, in every profile, of a corpus that can only be learned by heart: on what it teaches."""


@dataclass(frozen=True)
class Requirements:
    """What a report requires; `ValueError` names what is not valid."""

    profile: str | None = None
    """Whose limits apply; None is that of `HLX_PROFILE`."""
    changed: Mapping[str, float] = field(default_factory=dict)
    """Rates to require instead, by gate. One below the profile's makes the verdict `warn` at best."""

    def __post_init__(self) -> None:
        for gate, rate in self.changed.items():
            if gate not in _QUICK:
                raise ValueError(f"no rate of {gate!r} can be required: choose one of {', '.join(_QUICK)}")
            if not 0 <= rate <= 1:
                raise ValueError(f"the rate that {gate} requires is {rate}: it must be from 0 to 1")
        profile_of(self.profile)

    def fitness(self, *, by_heart: bool) -> Fitness:
        """Return the limits of each gate, for a corpus that can or cannot only be learned by heart."""
        name = profile_of(self.profile).name
        changed = {
            gate: limit if (rate := self.changed.get(gate)) is None else _limit(rate, max(rate, limit.good))
            for gate, limit in _defaults(name, by_heart=by_heart).items()
        }
        return Fitness(profile=name, by_heart=by_heart, limits=changed)


def _defaults(profile: str, *, by_heart: bool) -> Mapping[str, Limit]:
    return {**LIMITS[profile], **(BY_HEART if by_heart else {})}


def lowered(fitness: Fitness) -> list[tuple[str, float, float]]:
    """Return the gates that require less than the profile: name, required rate, and that of the profile."""
    defaults = _defaults(fitness.profile, by_heart=fitness.by_heart)
    pairs = [(gate, limit.required, defaults[gate].required) for gate, limit in fitness.limits.items()]
    return [(gate, now, default) for gate, now, default in pairs if now < default]


def stated(gate: str) -> str:
    """Return the limits of a gate in every profile, for its documentation: "≥ 50% (good ≥ 75%); production ≥ 80%"."""
    first, *others = LIMITS.items()
    text = _text(first[1][gate])
    return "".join([text, *(f"; {name} {_text(at[gate])}" for name, at in others if at[gate] != first[1][gate])])


def stated_by_heart(gate: str) -> str:
    """Return the limit of a gate for a corpus that can only be learned by heart, for its documentation."""
    return _text(BY_HEART[gate])


def _text(limit: Limit) -> str:
    good = f" (good ≥ {limit.good:.0%})" if limit.good > limit.required else ""
    return f"≥ {limit.required:.0%}{good}"
