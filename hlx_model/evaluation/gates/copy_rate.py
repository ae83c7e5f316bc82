"""Whether the model predicts the symbol that it has just read, as it does if labels were not shifted."""

from hlx_model.evaluation.prediction import Prediction
from hlx_model.evaluation.spec import GateSpec, at_milestones
from hlx_model.evaluation.thresholds import T
from hlx_model.verdicts import GateResult, against


def copy_rate(held_out: Prediction) -> GateResult:
    """Fail if the model mostly predicts the symbol that it has just read."""
    found = against(held_out.copy_rate, T.max_copy_rate, at_most=True)
    reason = f"copy rate {found.rate} ({found.limits})"
    if found.outcome == "fail":
        reason += ": the likeliest next symbol is the current one; check whether the labels are shifted"
    return GateResult("copy_rate", found.outcome, reason, held_out.copy_rate, found.threshold, held_out.tokens)


COPY_RATE = GateSpec(
    "copy_rate", description="The likeliest next symbol is mostly not the current one; else labels are not shifted.",
    requirement=f"copy rate ≤ {T.max_copy_rate:.0%} of the positions",
    needs=("predictions",), check=lambda m: copy_rate(m.predictions.held_out), position=40,
)  # fmt: skip
COPY_RATE_AT_MILESTONES = at_milestones(COPY_RATE, lambda m: copy_rate(m.held_out))
