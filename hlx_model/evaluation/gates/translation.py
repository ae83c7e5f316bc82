"""Whether translations parse, whether they are right, and whether the training pairs are reproduced."""

from collections.abc import Sequence

from hlx_model.corpus import ENGLISH
from hlx_model.evaluation.rate_gate import rate_gate, worst_format_gate
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.evaluation.translation import Answer
from hlx_model.language import Format
from hlx_model.verdicts import GateResult


def parse_rate(held_out: Sequence[Answer], t: Thresholds) -> GateResult:
    """Require that answers in HLX parse, in the target format in which fewest do."""
    parsed = {
        str(format): [a.parses for a in held_out if (a.source, a.target) == (ENGLISH, format)] for format in Format
    }
    return worst_format_gate(
        "parse_rate", "English→HLX parse rate", parsed, t.min_parse_rate, t.good_parse_rate
    )  # fmt: skip


def exact_match_to_hlx(held_out: Sequence[Answer], t: Thresholds) -> GateResult:
    """Require that English→HLX answers on held-out pairs are right to the letter."""
    exact = [a.exact for a in held_out if a.source == ENGLISH]
    return rate_gate(
        "exact_match_to_hlx", "English→HLX exact match", sum(exact), len(exact),
        t.min_exact_match_to_hlx, t.good_exact_match_to_hlx,
    )  # fmt: skip


def exact_match_to_english(held_out: Sequence[Answer], t: Thresholds) -> GateResult:
    """Require that HLX→English answers on held-out pairs are a sentence of the same value."""
    exact = [a.exact for a in held_out if a.target == ENGLISH]
    return rate_gate(
        "exact_match_to_english", "HLX→English exact match", sum(exact), len(exact),
        t.min_exact_match_to_english, t.good_exact_match_to_english,
    )  # fmt: skip


def training_pairs(training: Sequence[Answer], t: Thresholds) -> GateResult:
    """Require that the model reproduces pairs that it was trained on."""
    exact = [a.exact for a in training]
    return rate_gate(
        "training_pairs", "training pairs reproduced", sum(exact), len(exact),
        t.min_training_pairs, t.good_training_pairs,
    )  # fmt: skip


PARSE_RATE = GateSpec(
    "parse_rate",
    description="Answers in HLX parse, in each format.",
    requirement="parse rate ≥ {t.min_parse_rate:.0%} in the worst of the formats (good ≥ {t.good_parse_rate:.0%})",
    needs=("translations",), check=lambda m: parse_rate(m.translations.held_out, m.thresholds),
    writes=("translations",), position=70, warns_if=("short_training", "unlearned"), inconclusive_if_few=True,
)  # fmt: skip
EXACT_MATCH_TO_HLX = GateSpec(
    "exact_match_to_hlx",
    description="English→HLX answers on held-out pairs are right to the letter.",
    requirement="exact match ≥ {t.min_exact_match_to_hlx:.0%} (good ≥ {t.good_exact_match_to_hlx:.0%})",
    needs=("translations",), check=lambda m: exact_match_to_hlx(m.translations.held_out, m.thresholds),
    writes=("translations",), position=80, warns_if=("short_training", "few_pairs", "unlearned"),
    inconclusive_if_few=True,
)  # fmt: skip
EXACT_MATCH_TO_ENGLISH = GateSpec(
    "exact_match_to_english",
    description="HLX→English answers on held-out pairs are a sentence of the same value.",
    requirement="exact match ≥ {t.min_exact_match_to_english:.0%} (good ≥ {t.good_exact_match_to_english:.0%})",
    needs=("translations",), check=lambda m: exact_match_to_english(m.translations.held_out, m.thresholds),
    writes=("translations",), position=81, warns_if=("short_training", "few_pairs", "unlearned"),
    inconclusive_if_few=True,
)  # fmt: skip
TRAINING_PAIRS = GateSpec(
    "training_pairs",
    description="The model reproduces the pairs that it was trained on.",
    requirement="≥ {t.min_training_pairs:.0%} of the training pairs (good ≥ {t.good_training_pairs:.0%})",
    needs=("translations",), check=lambda m: training_pairs(m.translations.training, m.thresholds),
    writes=("translations",), position=90, warns_if=("short_training", "unlearned"),
)  # fmt: skip
