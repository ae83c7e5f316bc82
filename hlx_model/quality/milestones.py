"""The gates during training: what a healthy run can already show at epochs 1, 5, 10, …, and no more.

Thresholds come from the runs in `shared/design/gates.md` ("When"): tiny, next-token loss in nats on
held-out text, uniform 4.76.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hlx_model.quality.gate import Gate, Outcome
from hlx_model.quality.language_model import UNIFORM_LOSS, Prediction, predict
from hlx_model.transformer import Transformer

MILESTONES = (1, 5, 10, 20, 50, 100, 150, 200)
SAMPLE = 256
"""Texts that a milestone measures on, from the held-out and from the training text each."""


@dataclass(frozen=True)
class MilestoneThresholds:
    """What every healthy run met; each beside the measurement that set it."""

    loss_above_uniform: float = 0.5
    """Broken runs: 19.7 (labels not shifted), 2157 (learning rate × 100), 7.92 (vocabulary permuted);
    plain SGD stood at 4.85, an untrained model stands at 4.77."""
    steps_to_beat_uniform: int = 50
    """Healthy but slow (learning rate 1e-4, few steps) had 4.31 after its first epoch."""
    few_training_tokens: int = 100_000
    """Below, a healthy model may overfit as far as it likes, with a warning: on the real corpus (3.5k tokens of
    English, 75k of pairs) its held-out loss was 2.5 at best and 5.9 at epoch 100, its loss on training text 0.24."""
    copy_rate: float = 0.5
    """Healthy runs 0.00 to 0.13, labels not shifted 0.91 to 1.00."""
    loss_disagreement: float = 0.5
    """True loss on training text less the reported training loss: healthy runs at most 0.1 (the model
    improves within an epoch, so it is mostly below 0), labels not shifted 4.5 at epoch 1 and rising."""


def milestone_gates(
    model: Transformer,
    train: Sequence[str],
    held_out: Sequence[str],
    *,
    step: int,
    reported_loss: float,
    best_loss: float | None,
    train_tokens: int,
    thresholds: MilestoneThresholds | None = None,
) -> list[Gate]:
    """Judge a model in training on a sample of each text.

    Args:
        model: as it stands.
        train: training texts, `SAMPLE` of them at most are measured.
        held_out: held-out texts, likewise.
        step: optimizer steps taken.
        reported_loss: the trainer's own mean loss of the last epoch, in nats.
        best_loss: the best held-out loss before, in nats.
        train_tokens: in the whole training text.
        thresholds: others than the measured ones.
    """
    t = thresholds or MilestoneThresholds()
    seen, unseen = predict(model, train[:SAMPLE]), predict(model, held_out[:SAMPLE])
    best = min(unseen.loss, unseen.loss if best_loss is None else best_loss)
    return [
        _next_token_loss(seen, unseen, best, step, train_tokens, t),
        copy_rate_gate(unseen, t),
        reported_loss_gate(seen, reported_loss, t),
    ]


def _next_token_loss(
    seen: Prediction, unseen: Prediction, best: float, step: int, train_tokens: int, t: MilestoneThresholds
) -> Gate:
    harmed = unseen.loss > UNIFORM_LOSS + t.loss_above_uniform
    if step < t.steps_to_beat_uniform or harmed:
        value, limit = unseen.loss, UNIFORM_LOSS + t.loss_above_uniform
    else:
        value, limit = best, UNIFORM_LOSS
    outcome: Outcome = "pass" if value < limit else "fail"
    reason = f"held-out next-token loss {unseen.loss:.2f} nats after {step} steps"
    if value != unseen.loss:
        reason += f", {best:.2f} at its best"
    reason += f"; below {limit:.2f} is asked (a uniform guess has {UNIFORM_LOSS:.2f})"
    learned = max(seen.loss, best) < UNIFORM_LOSS
    if outcome == "fail" and learned and train_tokens < t.few_training_tokens:
        outcome = "warn"
        reason += f": it was {best:.2f} at best and is {seen.loss:.2f} on training text: {train_tokens} tokens overfit"
    elif outcome == "fail":
        reason += ": the model learns nothing: look at learning rate, corpus and labels"
    return Gate("next_token_loss", outcome, reason, value, limit, unseen.tokens)


def copy_rate_gate(unseen: Prediction, t: MilestoneThresholds) -> Gate:
    """Fails where the model mostly predicts the symbol that it has just read."""
    ok = unseen.copy_rate <= t.copy_rate
    reason = f"the likeliest next symbol is the current one at {unseen.copy_rate:.0%} of the positions; at most "
    reason += f"{t.copy_rate:.0%} is asked" + ("" if ok else ": look whether the labels are shifted")
    return Gate("copy_rate", "pass" if ok else "fail", reason, unseen.copy_rate, t.copy_rate, unseen.tokens)


def reported_loss_gate(seen: Prediction, reported_loss: float, t: MilestoneThresholds) -> Gate:
    """Fails where the true loss on training text is above what the trainer reported of it."""
    difference = seen.loss - reported_loss
    ok = difference <= t.loss_disagreement
    reason = (
        f"true next-token loss on training text {seen.loss:.2f} nats, reported {reported_loss:.2f}; "
        f"at most {t.loss_disagreement:g} above is asked"
    )
    if not ok:
        reason += ": the trainer's loss is not the model's next-token loss: look at labels and learning rate"
    outcome: Outcome = "pass" if ok else "fail"
    return Gate("reported_loss", outcome, reason, difference, t.loss_disagreement, seen.tokens)
