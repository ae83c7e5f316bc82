"""Whether free-running text consists of words of the corpus."""

from collections.abc import Sequence

from hlx_model.evaluation.rate_gate import rate_gate
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import T
from hlx_model.reporting.models import Continuation
from hlx_model.verdicts import GateResult


def words(continuations: Sequence[Continuation]) -> GateResult:
    """Require that most written words are words of the corpus."""
    known, written = sum(c.known for c in continuations), sum(c.words for c in continuations)
    return rate_gate("words", "written words of the corpus", known, written, T.min_word_rate, T.good_word_rate)


WORDS = GateSpec(
    "words", description="Free-running text consists of words of the corpus.",
    requirement=f"≥ {T.min_word_rate:.0%} of the written words are words of the corpus (good ≥ {T.good_word_rate:.0%})",
    needs=("continuations",), check=lambda m: words(m.continuations), writes=("continuations",), position=60,
    warns_if=("short_training", "unlearned"),
)  # fmt: skip
