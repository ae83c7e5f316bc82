"""Whether a model in training learns at all: its held-out loss falls, below a uniform guess and then the unigram."""

from hlx_model.evaluation.epoch import EpochMeasurements
from hlx_model.evaluation.prediction import UNIFORM_LOSS
from hlx_model.evaluation.spec import MilestoneSpec
from hlx_model.verdicts import GateResult, Outcome


def next_token_loss(m: EpochMeasurements) -> GateResult:
    """Require more the more steps were taken: first no harm, then a fall of the loss, then less than a uniform guess.

    A model that overfits a small corpus, and has learned it, gives only a warning.
    """
    t, loss = m.thresholds, m.held_out.loss
    bound = UNIFORM_LOSS + t.max_loss_above_uniform
    # Weights that know another language by heart begin above a uniform guess, and have to come down from there first.
    if m.initial_loss > bound and m.step < t.decline_from_step:
        bound = m.initial_loss
    if m.step < t.initial_drop_from_step or loss > bound:
        value, limit = loss, bound
    elif m.step < t.below_uniform_from_step:
        value, limit = m.best_loss, max(UNIFORM_LOSS, m.initial_loss - t.min_initial_loss_drop)
    else:
        value, limit = m.best_loss, UNIFORM_LOSS
    outcome: Outcome = "pass" if value < limit else "fail"
    reason = f"held-out loss {loss:.2f} nats after {m.step} steps"
    if value != loss:
        reason += f" ({m.best_loss:.2f} at best)"
    reason += f", required < {limit:.2f} (uniform guess {UNIFORM_LOSS:.2f})"
    learned = max(m.training.loss, m.best_loss) < UNIFORM_LOSS
    if outcome == "fail" and learned and m.train_tokens < t.min_training_tokens:
        outcome = "warn"
        reason += (
            f"; only a warning, since a healthy model overfits {m.train_tokens} training tokens "
            f"({m.best_loss:.2f} at best, {m.training.loss:.2f} on training text)"
        )
    elif outcome == "fail":
        reason += ": the model learns nothing; check learning rate, corpus and labels"
    return GateResult("next_token_loss", outcome, reason, value, limit, m.held_out.tokens)


def unigram(m: EpochMeasurements) -> GateResult:
    """Require a best held-out loss below the unigram baseline; after few steps or on little text, warn."""
    t = m.thresholds
    limit = m.unigram - t.min_gain_over_unigram
    reason = f"best held-out loss {m.best_loss:.2f} nats after {m.step} steps, required < {limit:.2f} "
    reason += f"(unigram baseline {m.unigram:.2f})"
    outcome: Outcome = "pass" if m.best_loss < limit else "fail"
    if outcome == "fail" and m.step < t.unigram_from_step:
        outcome, reason = "warn", f"{reason}; only a warning, since {m.step} steps are too few to require it"
    elif outcome == "fail" and m.train_tokens < t.min_training_tokens:
        outcome = "warn"
        reason += f"; only a warning, since {m.train_tokens} training tokens are too few to require it"
    elif outcome == "fail":
        reason += ": the model has not learned which symbols are frequent; check the corpus and the optimizer"
    return GateResult("unigram", outcome, reason, m.best_loss, limit, m.held_out.tokens)


NEXT_TOKEN_LOSS = MilestoneSpec(
    "next_token_loss",
    description="The held-out loss falls, and is not above that of a uniform guess.",
    requirement="held-out loss at most {t.max_loss_above_uniform:g} nats above a uniform guess; from step "
    "{t.initial_drop_from_step} on, the best one {t.min_initial_loss_drop:g} below the initial one; from step "
    "{t.below_uniform_from_step} on, below a uniform guess",
    check=next_token_loss, position=30,
)  # fmt: skip
UNIGRAM = MilestoneSpec(
    "unigram",
    description="The best held-out loss is below what counting symbols reaches.",
    requirement="best held-out loss {t.min_gain_over_unigram:g} nats below the unigram baseline; before step "
    "{t.unigram_from_step}, or with fewer than {t.min_training_tokens:,} training tokens, it warns",
    check=unigram, first_epoch=10, position=60,
)  # fmt: skip
