"""Whether translations parse, whether they are right, and whether the training pairs are reproduced."""

from collections.abc import Sequence
from dataclasses import replace

from hlx_model.corpus import ENGLISH
from hlx_model.corpus.prompts import given
from hlx_model.evaluation.fitness import BY_HEART_ALONE, stated, stated_by_heart
from hlx_model.evaluation.rate_gate import left_behind, not_required, rate_gate, worst_format_gate
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import T
from hlx_model.language import Format
from hlx_model.reporting.models import Translation
from hlx_model.verdicts import Fitness, GateResult

_EACH_FORMAT = f"; in each format, of lines that no other writes alike, {T.min_share_of_best_format:.0%} of the best"


def parse_rate(answers: Sequence[Translation], fitness: Fitness) -> GateResult:
    """Require that answers in HLX parse, in the target format in which fewest do."""
    asked = [(Format(a.target), a.expected, a.parses) for a in answers if a.source == ENGLISH]
    return worst_format_gate("parse_rate", "English→HLX parse rate", asked, fitness.limits["parse_rate"])


def exact_match_to_hlx(held_out: Sequence[Translation], fitness: Fitness) -> GateResult:
    """Require that English→HLX answers on test pairs are right to the letter, in each format; by heart, warn."""
    asked = [(Format(a.target), a.expected, a.exact) for a in held_out if a.source == ENGLISH]
    return _exact_match("exact_match_to_hlx", "English→HLX exact match", asked, fitness)


def exact_match_to_english(held_out: Sequence[Translation], fitness: Fitness) -> GateResult:
    """Require that HLX→English answers on test pairs are a sentence of the same value, as `exact_match_to_hlx`."""
    asked = [(Format(a.source), given(a.prompt), a.exact) for a in held_out if a.target == ENGLISH]
    return _exact_match("exact_match_to_english", "HLX→English exact match", asked, fitness)


def _exact_match(name: str, what: str, asked: Sequence[tuple[Format, str, bool]], fitness: Fitness) -> GateResult:
    """Return the gate on exact match.

    Args:
        name: of the gate.
        what: the rate.
        asked: the format of each sample, its line of HLX, and whether the answer is right.
        fitness: the limits.
    """
    right = [is_right for *_, is_right in asked]
    if fitness.by_heart:
        return not_required(name, f"{what} on test pairs", sum(right), len(right), BY_HEART_ALONE)
    result = rate_gate(name, what, sum(right), len(right), fitness.limits[name])
    if unlearned := left_behind(asked, T.min_share_of_best_format):
        threshold = result.threshold if result.outcome == "fail" else None
        reason = f"{result.reason}; of lines of its own notation {unlearned}"
        return replace(result, outcome="fail", reason=reason, threshold=threshold)
    return result


def training_pairs(training: Sequence[Translation], fitness: Fitness) -> GateResult:
    """Require that the model reproduces pairs that it was trained on."""
    exact, limit = sum(a.exact for a in training), fitness.limits["training_pairs"]
    return rate_gate("training_pairs", "training pairs reproduced", exact, len(training), limit)


PARSE_RATE = GateSpec(
    "parse_rate", description="Answers in HLX parse, in each format.",
    requirement=f"parse rate on test pairs in the worst of the formats, of lines that no other writes alike, "
    f"{stated('parse_rate')}",
    by_heart="the same, on training pairs",
    needs=("answers", "fitness"), check=lambda m: parse_rate(m.answers, m.fitness), writes=("translations",),
    position=70, mended_by_training=True,
)  # fmt: skip
EXACT_MATCH_TO_HLX = GateSpec(
    "exact_match_to_hlx", description="English→HLX answers on test pairs are right to the letter.",
    requirement=f"exact match {stated('exact_match_to_hlx')}{_EACH_FORMAT}",
    by_heart=f"nothing; it warns: {BY_HEART_ALONE}",
    needs=("translations", "fitness"), check=lambda m: exact_match_to_hlx(m.translations.held_out, m.fitness),
    writes=("translations",), position=80, mended_by_training=True,
)  # fmt: skip
EXACT_MATCH_TO_ENGLISH = GateSpec(
    "exact_match_to_english", description="HLX→English answers on test pairs are a sentence of the same value.",
    requirement=f"exact match {stated('exact_match_to_english')}{_EACH_FORMAT}",
    by_heart=f"nothing; it warns: {BY_HEART_ALONE}",
    needs=("translations", "fitness"), check=lambda m: exact_match_to_english(m.translations.held_out, m.fitness),
    writes=("translations",), position=81, mended_by_training=True,
)  # fmt: skip
TRAINING_PAIRS = GateSpec(
    "training_pairs", description="The model reproduces the pairs that it was trained on.",
    requirement=f"share of the training pairs {stated('training_pairs')}", by_heart=stated_by_heart("training_pairs"),
    needs=("translations", "fitness"), check=lambda m: training_pairs(m.translations.training, m.fitness),
    writes=("translations",), position=90, mended_by_training=True,
)  # fmt: skip
