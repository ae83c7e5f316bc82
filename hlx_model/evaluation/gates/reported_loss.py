"""Whether the trainer's own loss agrees with the model's true next-token loss on training text."""

from hlx_model.evaluation.prediction import Prediction
from hlx_model.evaluation.spec import GateSpec, MilestoneSpec
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.verdicts import GateResult

_DESCRIPTION = "The true next-token loss agrees with the loss that the trainer reported."
_REQUIREMENT = "true loss on training text at most {t.max_reported_loss_gap:g} nats above the reported one"


def reported_loss(training: Prediction, reported: float | None, t: Thresholds) -> GateResult:
    """Fail if the true loss on training text is above the reported one; warn if none is recorded."""
    if reported is None:
        return GateResult("reported_loss", "warn", "not recorded: there is no reported loss to compare with")
    gap = training.loss - reported
    passed = gap <= t.max_reported_loss_gap
    reason = (
        f"true loss on training text {training.loss:.2f} nats, reported {reported:.2f} "
        f"(required ≤ {t.max_reported_loss_gap:g} above)"
    )
    if not passed:
        reason += ": the trainer's loss is not the model's next-token loss; check labels and learning rate"
    return GateResult(
        "reported_loss", "pass" if passed else "fail", reason, gap, t.max_reported_loss_gap, training.tokens
    )


REPORTED_LOSS = GateSpec(
    "reported_loss",
    description=_DESCRIPTION,
    requirement=_REQUIREMENT,
    needs=("predictions", "record"),
    check=lambda m: reported_loss(m.predictions.training, m.record.reported_loss, m.thresholds), position=50,
)  # fmt: skip
REPORTED_LOSS_AT_MILESTONE = MilestoneSpec(
    "reported_loss",
    description=_DESCRIPTION,
    requirement=_REQUIREMENT,
    check=lambda m: reported_loss(m.training, m.reported_loss, m.thresholds), position=50,
)  # fmt: skip
