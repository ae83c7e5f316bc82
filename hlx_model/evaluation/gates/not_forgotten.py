"""Whether a model that translates has kept what the phases before had learned."""

from collections.abc import Mapping

from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import T
from hlx_model.reporting.models import RetentionMetrics
from hlx_model.verdicts import GateResult, Outcome


def not_forgotten(changes: Mapping[str, RetentionMetrics], replay: float) -> GateResult:
    """Fail if the held-out loss of an earlier phase rose much; warn if nothing was replayed, or without its report.

    Args:
        changes: held-out losses in nats by asset.
        replay: the share of tokens that the training took again from each earlier phase.
    """
    if not changes:
        return GateResult("not_forgotten", "warn", "no report on an earlier phase to compare with")
    rise, limit = max(change.now - change.then for change in changes.values()), T.max_forgetting
    each = ", ".join(f"{asset} {change.then:.2f} → {change.now:.2f} nats" for asset, change in changes.items())
    reason = f"held-out loss of the earlier phases rose by {rise:.2f} at most (required ≤ {limit:g}): {each}"
    outcome: Outcome = "pass" if rise <= limit else "fail" if replay > 0 else "warn"
    if outcome == "warn":
        reason += "; expected, since nothing was replayed"
    return GateResult("not_forgotten", outcome, reason, rise, limit)


NOT_FORGOTTEN = GateSpec(
    "not_forgotten", description="The earlier phases are not forgotten.",
    requirement=f"held-out losses of the earlier phases at most {T.max_forgetting:g} nats above those in their own "
    "reports; it warns if nothing was replayed",
    needs=("earlier_phases", "record"), check=lambda m: not_forgotten(m.earlier_phases, m.record.replay),
    writes=("translations",), position=130, warns_if=("few_held_out", "short_training"),
)  # fmt: skip
