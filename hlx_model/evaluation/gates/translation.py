"""Whether translations parse, whether they are right, and whether the training pairs are reproduced."""

from collections.abc import Sequence

from hlx_model.corpus import ENGLISH
from hlx_model.evaluation.rate_gate import rate_gate, worst_format_gate
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import T
from hlx_model.reporting.models import Translation
from hlx_model.verdicts import GateResult


def parse_rate(held_out: Sequence[Translation]) -> GateResult:
    """Require that answers in HLX parse, in the target format in which fewest do."""
    parsed = [(a.target, a.parses) for a in held_out if a.source == ENGLISH]
    return worst_format_gate("parse_rate", "English→HLX parse rate", parsed)


def exact_match_to_hlx(held_out: Sequence[Translation]) -> GateResult:
    """Require that English→HLX answers on held-out pairs are right to the letter."""
    exact = [a.exact for a in held_out if a.source == ENGLISH]
    required, good = T.min_exact_match_to_hlx, T.good_exact_match_to_hlx
    return rate_gate("exact_match_to_hlx", "English→HLX exact match", sum(exact), len(exact), required, good)


def exact_match_to_english(held_out: Sequence[Translation]) -> GateResult:
    """Require that HLX→English answers on held-out pairs are a sentence of the same value."""
    exact = [a.exact for a in held_out if a.target == ENGLISH]
    required, good = T.min_exact_match_to_english, T.good_exact_match_to_english
    return rate_gate("exact_match_to_english", "HLX→English exact match", sum(exact), len(exact), required, good)


def training_pairs(training: Sequence[Translation]) -> GateResult:
    """Require that the model reproduces pairs that it was trained on."""
    exact, required, good = sum(a.exact for a in training), T.min_training_pairs, T.good_training_pairs
    return rate_gate("training_pairs", "training pairs reproduced", exact, len(training), required, good)


PARSE_RATE = GateSpec(
    "parse_rate", description="Answers in HLX parse, in each format.",
    requirement=f"parse rate ≥ {T.min_parse_rate:.0%} in the worst of the formats (good ≥ {T.good_parse_rate:.0%})",
    needs=("translations",), check=lambda m: parse_rate(m.translations.held_out), writes=("translations",),
    position=70, warns_if=("short_training", "unlearned"), inconclusive_if_few=True,
)  # fmt: skip
EXACT_MATCH_TO_HLX = GateSpec(
    "exact_match_to_hlx", description="English→HLX answers on held-out pairs are right to the letter.",
    requirement=f"exact match ≥ {T.min_exact_match_to_hlx:.0%} (good ≥ {T.good_exact_match_to_hlx:.0%})",
    needs=("translations",), check=lambda m: exact_match_to_hlx(m.translations.held_out), writes=("translations",),
    position=80, warns_if=("short_training", "few_pairs", "unlearned"), inconclusive_if_few=True,
)  # fmt: skip
EXACT_MATCH_TO_ENGLISH = GateSpec(
    "exact_match_to_english", description="HLX→English answers on held-out pairs are a sentence of the same value.",
    requirement=f"exact match ≥ {T.min_exact_match_to_english:.0%} (good ≥ {T.good_exact_match_to_english:.0%})",
    needs=("translations",), check=lambda m: exact_match_to_english(m.translations.held_out), writes=("translations",),
    position=81, warns_if=("short_training", "few_pairs", "unlearned"), inconclusive_if_few=True,
)  # fmt: skip
TRAINING_PAIRS = GateSpec(
    "training_pairs", description="The model reproduces the pairs that it was trained on.",
    requirement=f"≥ {T.min_training_pairs:.0%} of the training pairs (good ≥ {T.good_training_pairs:.0%})",
    needs=("translations",), check=lambda m: training_pairs(m.translations.training), writes=("translations",),
    position=90, warns_if=("short_training", "unlearned"),
)  # fmt: skip
