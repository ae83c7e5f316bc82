"""The gates during training: what a healthy run can already show at epochs 1, 5, 10, …, and no more.

A milestone judges the model as that epoch's checkpoint holds it. What it finds is recorded, and shown as the check
`gate_at_epoch_N` while training goes on; a gate that fails ends the training.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hlx_model.checkpoints.weights import stored_weights
from hlx_model.evaluation.losses import UNIFORM_LOSS, Prediction, predict
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.model.sizes import SIZES
from hlx_model.model.transformer import Transformer
from hlx_model.verdicts import GateResult, Outcome, worst

MILESTONES = (1, 5, 10, 20, 50, 100, 150, 200)
SAMPLE = 256
"""Texts that a milestone measures on, from the held-out and from the training text each."""

ASKED_FROM_EPOCH = {
    "parameter_count": 1,
    "file_size": 1,
    "next_token_loss": 1,
    "copy_rate": 1,
    "reported_loss": 1,
    "unigram": 10,
}
"""The first epoch at which each gate is asked, in every phase; the last epoch of a training asks all."""

BYTES_PER_PARAMETER = 4
HEADER_BYTES = 65_536
"""Most that safetensors' header may take: it lists names, shapes and offsets of at most 250 tensors."""


def due(epoch: int, epochs: int) -> bool:
    """Whether a training of so many epochs is judged at the end of this one."""
    return epoch in MILESTONES or epoch == epochs


def milestone_gates(
    model: Transformer,
    train: Sequence[str],
    held_out: Sequence[str],
    *,
    epoch: int,
    epochs: int,
    step: int,
    reported_loss: float,
    best_loss: float | None,
    train_tokens: int,
    unigram: float,
    began: float,
    thresholds: Thresholds | None = None,
) -> list[GateResult]:
    """Judge a model in training on a sample of each text.

    Args:
        model: as it stands.
        train: training texts, `SAMPLE` of them at most are measured.
        held_out: held-out texts, likewise.
        epoch: the epoch that has ended.
        epochs: the epochs of the whole training.
        step: optimizer steps taken.
        reported_loss: the trainer's own mean loss of the last epoch, in nats.
        best_loss: the best held-out loss before, in nats.
        train_tokens: in the whole training text.
        unigram: the loss that counting symbols reaches on the held-out text, in nats.
        began: held-out loss of the weights that the training began with, in nats.
        thresholds: others than the measured ones.
    """
    t = thresholds or Thresholds()
    seen, unseen = predict(model, train[:SAMPLE]), predict(model, held_out[:SAMPLE])
    best = min(unseen.loss, unseen.loss if best_loss is None else best_loss)
    gates = [
        _next_token_loss(seen, unseen, best, step, train_tokens, began, t),
        copy_rate_gate(unseen, t),
        reported_loss_gate(seen, reported_loss, t),
    ]
    if epoch >= ASKED_FROM_EPOCH["unigram"] or epoch == epochs:
        gates.append(_unigram(best, unigram, step, train_tokens, unseen.tokens, t))
    return gates


def checkpoint_gates(checkpoint: Path, size: str) -> list[GateResult]:
    """Whether the weights in a checkpoint are those of the size asked for: to the parameter, and in bytes."""
    wanted = SIZES[size].parameters
    found, stored = stored_weights(checkpoint)
    expected = BYTES_PER_PARAMETER * wanted
    fits = expected <= stored <= expected + HEADER_BYTES
    count = f"{found:,} parameters; {size} has {wanted:,}"
    length = f"{stored:,} bytes of weights; {expected:,} and a header are expected of {size}"
    return [
        GateResult("parameter_count", "pass" if found == wanted else "fail", count, found, wanted),
        GateResult("file_size", "pass" if fits else "fail", length, stored, expected),
    ]


def recorded_milestone_gate(milestones: Sequence[Mapping[str, Any]], epoch: int, epochs: int) -> GateResult:
    """What was found at a milestone, as one gate: recorded then, not judged anew.

    A milestone that the training did not come to was not due; it passes.
    """
    name = gate_name(epoch)
    found = [milestone for milestone in milestones if milestone["epoch"] == epoch]
    if not found:
        return GateResult(name, "pass", f"not due: the training ended before epoch {epoch} of its {epochs}")
    gates = [GateResult.from_json(gate) for gate in found[-1]["gates"]]
    outcome = worst(gates)
    return GateResult(name, outcome, "; ".join(gate.reason for gate in gates if gate.outcome == outcome))


def gate_name(epoch: int) -> str:
    """The name of a milestone's check."""
    return f"gate_at_epoch_{epoch}"


def _next_token_loss(
    seen: Prediction, unseen: Prediction, best: float, step: int, train_tokens: int, began: float, t: Thresholds
) -> GateResult:
    bound = UNIFORM_LOSS + t.max_loss_above_uniform
    # What was learned by heart begins another language above a guess, and has to come down from there first.
    if began > bound and step < t.decline_from_step:
        bound = began
    if step < t.initial_drop_from_step or unseen.loss > bound:
        value, limit = unseen.loss, bound
    elif step < t.below_uniform_from_step:
        value, limit = best, max(UNIFORM_LOSS, began - t.min_initial_loss_drop)
    else:
        value, limit = best, UNIFORM_LOSS
    outcome: Outcome = "pass" if value < limit else "fail"
    reason = f"held-out next-token loss {unseen.loss:.2f} nats after {step} steps"
    if value != unseen.loss:
        reason += f", {best:.2f} at its best"
    reason += f"; below {limit:.2f} is asked (a uniform guess has {UNIFORM_LOSS:.2f})"
    learned = max(seen.loss, best) < UNIFORM_LOSS
    if outcome == "fail" and learned and train_tokens < t.min_training_tokens:
        outcome = "warn"
        reason += f": it was {best:.2f} at best and is {seen.loss:.2f} on training text: {train_tokens} tokens overfit"
    elif outcome == "fail":
        reason += ": the model learns nothing: look at learning rate, corpus and labels"
    return GateResult("next_token_loss", outcome, reason, value, limit, unseen.tokens)


def _unigram(best: float, unigram: float, step: int, train_tokens: int, tokens: int, t: Thresholds) -> GateResult:
    limit = unigram - t.min_gain_over_unigram
    reason = f"best held-out loss {best:.2f} nats after {step} steps; below {limit:.2f} is asked, "
    reason += f"{t.min_gain_over_unigram:g} less than counting symbols gives"
    outcome: Outcome = "pass" if best < limit else "fail"
    if outcome == "fail" and step < t.unigram_from_step:
        outcome, reason = "warn", f"{reason}; {step} steps are too few to ask it for sure"
    elif outcome == "fail" and train_tokens < t.min_training_tokens:
        outcome, reason = "warn", f"{reason}; {train_tokens} training tokens are too few to ask it for sure"
    elif outcome == "fail":
        reason += ": the model has not learned which symbols are frequent: look at the corpus and the optimizer"
    return GateResult("unigram", outcome, reason, best, limit, tokens)


def copy_rate_gate(unseen: Prediction, t: Thresholds) -> GateResult:
    """Fails where the model mostly predicts the symbol that it has just read."""
    ok = unseen.copy_rate <= t.max_copy_rate
    reason = f"the likeliest next symbol is the current one at {unseen.copy_rate:.0%} of the positions; at most "
    reason += f"{t.max_copy_rate:.0%} is asked" + ("" if ok else ": look whether the labels are shifted")
    return GateResult("copy_rate", "pass" if ok else "fail", reason, unseen.copy_rate, t.max_copy_rate, unseen.tokens)


def reported_loss_gate(seen: Prediction, reported_loss: float, t: Thresholds) -> GateResult:
    """Fails where the true loss on training text is above what the trainer reported of it."""
    difference = seen.loss - reported_loss
    ok = difference <= t.max_reported_loss_gap
    reason = (
        f"true next-token loss on training text {seen.loss:.2f} nats, reported {reported_loss:.2f}; "
        f"at most {t.max_reported_loss_gap:g} above is asked"
    )
    if not ok:
        reason += ": the trainer's loss is not the model's next-token loss: look at labels and learning rate"
    outcome: Outcome = "pass" if ok else "fail"
    return GateResult("reported_loss", outcome, reason, difference, t.max_reported_loss_gap, seen.tokens)
