"""Whether the trainer's own loss agrees with the model's true next-token loss on training text."""

from hlx_model.evaluation.prediction import Prediction
from hlx_model.evaluation.spec import GateSpec, at_milestones
from hlx_model.evaluation.thresholds import T
from hlx_model.verdicts import GateResult


def reported_loss(training: Prediction, reported: float | None) -> GateResult:
    """Fail if the true loss on training text is above the reported one; warn if none is recorded."""
    if reported is None:
        return GateResult("reported_loss", "warn", "not recorded: there is no reported loss to compare with")
    gap, limit = training.loss - reported, T.max_reported_loss_gap
    reason = f"true loss on training text {training.loss:.2f} nats, reported {reported:.2f} "
    reason += f"(required ≤ {limit:g} above)"
    if gap <= limit:
        return GateResult("reported_loss", "pass", reason, gap, limit, training.tokens)
    reason += ": the trainer's loss is not the model's next-token loss; check labels and learning rate"
    return GateResult("reported_loss", "fail", reason, gap, limit, training.tokens)


REPORTED_LOSS = GateSpec(
    "reported_loss", description="The true next-token loss agrees with the loss that the trainer reported.",
    requirement=f"true loss on training text at most {T.max_reported_loss_gap:g} nats above the reported one",
    needs=("predictions", "record"),
    check=lambda m: reported_loss(m.predictions.training, m.record.reported_loss), position=50,
)  # fmt: skip
REPORTED_LOSS_AT_MILESTONES = at_milestones(REPORTED_LOSS, lambda m: reported_loss(m.training, m.reported_loss))
