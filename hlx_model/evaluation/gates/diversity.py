"""Whether sampled texts differ from each other."""

from collections.abc import Sequence

from hlx_model.evaluation import detectors
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import T
from hlx_model.verdicts import GateResult, Outcome


def diversity(texts: Sequence[str], corpus_texts: int) -> GateResult:
    """Require that sampled texts differ about as much as the same number of texts of the corpus would."""
    found = detectors.diversity(texts, corpus_texts)
    outcome: Outcome = "fail" if found.found else "pass"
    return GateResult("diversity", outcome, found.reason, found.value, found.threshold, len(texts))


DIVERSITY = GateSpec(
    "diversity", description="Sampled texts differ from each other.",
    requirement=f"distinct texts ≥ {T.min_distinct_share:.0%} of those that the corpus would give",
    needs=("sampled_texts",), check=lambda m: diversity(m.sampled_texts, m.corpus_texts),
    writes=("continuations", "completions"), position=120,
)  # fmt: skip
