"""Whether phase 3 has kept what the phases before had learned."""

from collections.abc import Mapping

from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.reporting.models import RetentionMetrics
from hlx_model.verdicts import GateResult, Outcome


def not_forgotten(changes: Mapping[str, RetentionMetrics], replay: float, t: Thresholds) -> GateResult:
    """Fail if the held-out loss of an earlier phase rose much; warn if nothing was replayed, or without its report.

    Args:
        changes: held-out losses in nats by asset.
        replay: the share of tokens that the training took again from each earlier phase.
        t: the limits.
    """
    if not changes:
        return GateResult("not_forgotten", "warn", "no report on an earlier phase to compare with")
    worst = max(changes, key=lambda asset: changes[asset].now - changes[asset].then)
    rise = changes[worst].now - changes[worst].then
    each = ", ".join(f"{asset} {change.then:.2f} → {change.now:.2f} nats" for asset, change in changes.items())
    reason = f"held-out loss of the earlier phases rose by {rise:.2f} at most (required ≤ {t.max_forgetting:g}): {each}"
    outcome: Outcome = "pass" if rise <= t.max_forgetting else "fail" if replay > 0 else "warn"
    if outcome == "warn":
        reason += "; expected, since nothing was replayed"
    return GateResult("not_forgotten", outcome, reason, rise, t.max_forgetting)


NOT_FORGOTTEN = GateSpec(
    "not_forgotten",
    description="The earlier phases are not forgotten.",
    requirement="held-out losses of the earlier phases at most {t.max_forgetting:g} nats above those in their own "
    "reports; it warns if nothing was replayed",
    needs=("earlier_phases", "record"),
    check=lambda m: not_forgotten(m.earlier_phases, m.record.replay, m.thresholds), phases=(3,), position=130,
    warns_if=("few_held_out", "short_training"),
)  # fmt: skip
