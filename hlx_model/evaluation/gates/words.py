"""Whether free-running text consists of words of the corpus."""

from collections.abc import Sequence

from hlx_model.evaluation.fitness import stated, stated_by_heart
from hlx_model.evaluation.rate_gate import rate_gate
from hlx_model.evaluation.spec import GateSpec
from hlx_model.reporting.models import Continuation
from hlx_model.verdicts import GateResult, Limit


def words(continuations: Sequence[Continuation], limit: Limit) -> GateResult:
    """Require that most written words are words of the corpus."""
    known, written = sum(c.known for c in continuations), sum(c.words for c in continuations)
    return rate_gate("words", "written words of the corpus", known, written, limit)


WORDS = GateSpec(
    "words", description="Free-running text consists of words of the corpus.",
    requirement=f"words of the corpus, as a share of those written after beginnings of test sentences, "
    f"{stated('words')}",
    by_heart=f"after beginnings of training sentences, {stated_by_heart('words')}",
    needs=("continuations", "fitness"), check=lambda m: words(m.continuations, m.fitness.limits["words"]),
    writes=("continuations",), position=60, mended_by_training=True,
)  # fmt: skip
