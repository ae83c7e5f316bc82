"""Whether a model that translates has kept what the phases before had learned."""

from collections.abc import Mapping

from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import T
from hlx_model.reporting.models import RetentionMetrics
from hlx_model.verdicts import GateResult, Outcome


def not_forgotten(changes: Mapping[str, RetentionMetrics], replay: float) -> GateResult:
    """State how much the loss on the earlier phases rose; fail if it is much, unless nothing was replayed.

    A schedule without replay isolates its phases on purpose.

    Args:
        changes: losses in nats by asset.
        replay: the share of tokens that the training took again from each earlier phase.
    """
    if not changes:
        outcome: Outcome = "warn" if replay > 0 else "pass"
        return GateResult("not_forgotten", outcome, "no report on an earlier phase to compare with")
    rise, limit = max(change.now - change.then for change in changes.values()), T.max_forgetting
    each = ", ".join(f"{asset} {change.then:.2f} → {change.now:.2f} nats" for asset, change in changes.items())
    if not replay > 0:
        reason = f"nothing was replayed, so nothing is required: loss on the earlier phases rose by {rise:.2f} at most"
        return GateResult("not_forgotten", "pass", f"{reason}: {each}", rise)
    reason = f"loss on the earlier phases rose by {rise:.2f} at most (required ≤ {limit:g}): {each}"
    return GateResult("not_forgotten", "pass" if rise <= limit else "fail", reason, rise, limit)


NOT_FORGOTTEN = GateSpec(
    "not_forgotten", description="The earlier phases are not forgotten.",
    requirement=f"test losses of the earlier phases at most {T.max_forgetting:g} nats above those in their own "
    "reports; if nothing was replayed it states the rise and passes",
    by_heart="the same of the losses on training text",
    needs=("earlier_phases", "record"), check=lambda m: not_forgotten(m.earlier_phases, m.record.replay),
    writes=("translations",), position=130,
)  # fmt: skip
