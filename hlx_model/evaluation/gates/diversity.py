"""Whether sampled texts differ from each other."""

from collections.abc import Sequence

from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import T
from hlx_model.verdicts import GateResult


def diversity(texts: Sequence[str], corpus_texts: int) -> GateResult:
    """Require that sampled texts differ about as much as the same number of texts of the corpus would.

    `s` texts drawn at random from a corpus of `n` texts contain n (1 - (1 - 1/n)^s) different ones. The value is the
    number of distinct texts as a share of that, at most 1.

    Args:
        texts: the sampled texts; at least one.
        corpus_texts: the number of texts in the corpus; at least one.
    """
    expected = max(1, round(corpus_texts * (1 - (1 - 1 / corpus_texts) ** len(texts))))
    distinct = len(set(texts))
    share, limit = min(1.0, distinct / expected), T.min_distinct_share
    reason = f"{distinct} distinct texts among {len(texts)}, {share:.2f} of the {expected} that the corpus would give "
    reason += f"(required ≥ {limit:.2f})"
    return GateResult("diversity", "fail" if share < limit else "pass", reason, share, limit, len(texts))


DIVERSITY = GateSpec(
    "diversity", description="Sampled texts differ from each other.",
    requirement=f"distinct texts ≥ {T.min_distinct_share:.0%} of those that the corpus would give",
    needs=("sampled_texts",), check=lambda m: diversity(m.sampled_texts, m.corpus_texts),
    writes=("continuations", "completions"), position=120,
)  # fmt: skip
