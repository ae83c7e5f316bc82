"""Whether the limits of the report are those of its profile."""

from hlx_model.evaluation.fitness import lowered
from hlx_model.evaluation.spec import GateSpec
from hlx_model.verdicts import Fitness, GateResult, percent


def limits(fitness: Fitness) -> GateResult:
    """Warn if a gate requires less than the profile does."""
    if found := lowered(fitness):
        each = ", ".join(
            f"{gate} {percent(now)} ({fitness.profile} {percent(default)})" for gate, now, default in found
        )
        return GateResult("limits", "warn", f"less is required than by the profile: {each}")
    kind = ", of a corpus that can only be learned by heart" if fitness.by_heart else ""
    return GateResult("limits", "pass", f"those of the profile {fitness.profile}{kind}")


LIMITS = GateSpec(
    "limits", description="No gate requires less than the profile does.",
    requirement="no limit that was lowered for this report; one warns", needs=("fitness",),
    check=lambda m: limits(m.fitness), position=25,
)  # fmt: skip
