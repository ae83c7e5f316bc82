"""Whether sentences of evaluation documents, which no model is trained on, are translated rightly."""

from hlx_model.evaluation.fitness import BY_HEART_ALONE, stated
from hlx_model.evaluation.rate_gate import not_required, rate_gate
from hlx_model.evaluation.spec import GateSpec
from hlx_model.reporting.models import EvaluationFigures
from hlx_model.verdicts import Fitness, GateResult

_NAME = "evaluation"


def evaluation(
    found: EvaluationFigures | None, *, expected: bool, fitness: Fitness, note: str | None = None
) -> GateResult:
    """Require that English→HLX answers to new sentences are right; warn if a document is expected and missing.

    Args:
        found: what was right; None without an evaluation document.
        expected: whether the model must be evaluated on one.
        fitness: the limits.
        note: why there is no document.
    """
    if found is None and expected:
        reason = note or "no evaluation document"
        return GateResult(_NAME, "warn", f"{reason}; nothing shows what it does with other sentences")
    if found is None:
        return GateResult(_NAME, "pass", "not required of a corpus of documents alone, without HLX_EVAL")
    rates, what = found.all_to_hlx, f"right on new sentences of {', '.join(found.documents)}"
    hits = round(rates.exact_match * rates.samples)
    if not rates.samples:
        return not_required(_NAME, what, 0, 0, "every sentence of the evaluation is in training")
    if fitness.by_heart:
        return not_required(_NAME, what, hits, rates.samples, BY_HEART_ALONE)
    return rate_gate(_NAME, what, hits, rates.samples, fitness.limits[_NAME])


EVALUATION = GateSpec(
    _NAME, description="New sentences of evaluation documents are translated rightly, English→HLX.",
    requirement=f"exact match on sentences that are not in training {stated(_NAME)}; without a document it warns if "
    "composed entries were learned or HLX_EVAL names one, else nothing is required",
    by_heart="nothing; it warns",
    needs=("evaluation", "fitness", "record"),
    check=lambda m: evaluation(
        m.evaluation, expected=m.record.evaluation_expected, fitness=m.fitness, note=m.evaluation_note
    ),
    writes=("translations",), position=65, mended_by_training=True,
)  # fmt: skip
