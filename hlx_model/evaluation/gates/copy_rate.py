"""Whether the model predicts the symbol that it has just read, as it does if labels were not shifted."""

from hlx_model.evaluation.prediction import Prediction
from hlx_model.evaluation.spec import GateSpec, MilestoneSpec
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.verdicts import GateResult

_DESCRIPTION = "The likeliest next symbol is mostly not the current one; else labels are not shifted."
_REQUIREMENT = "copy rate ≤ {t.max_copy_rate:.0%} of the positions"


def copy_rate(held_out: Prediction, t: Thresholds) -> GateResult:
    """Fail if the model mostly predicts the symbol that it has just read."""
    passed = held_out.copy_rate <= t.max_copy_rate
    reason = f"copy rate {held_out.copy_rate:.1%} (required ≤ {t.max_copy_rate:.0%})"
    if not passed:
        reason += ": the likeliest next symbol is the current one; check whether the labels are shifted"
    return GateResult(
        "copy_rate", "pass" if passed else "fail", reason, held_out.copy_rate, t.max_copy_rate, held_out.tokens
    )


COPY_RATE = GateSpec(
    "copy_rate",
    description=_DESCRIPTION,
    requirement=_REQUIREMENT,
    needs=("predictions",), check=lambda m: copy_rate(m.predictions.held_out, m.thresholds), position=40,
)  # fmt: skip
COPY_RATE_AT_MILESTONE = MilestoneSpec(
    "copy_rate",
    description=_DESCRIPTION,
    requirement=_REQUIREMENT,
    check=lambda m: copy_rate(m.held_out, m.thresholds), position=40,
)  # fmt: skip
