"""Whether a model in training learns at all: its validation loss falls, below a uniform guess and then the unigram."""

from hlx_model.evaluation.prediction import UNIFORM_LOSS
from hlx_model.evaluation.spec import MilestoneSpec
from hlx_model.evaluation.target import EpochMeasurements
from hlx_model.evaluation.thresholds import T
from hlx_model.verdicts import GateResult, Outcome


def next_token_loss(m: EpochMeasurements) -> GateResult:
    """Require more the more steps were taken: first no harm, then a fall of the loss, then less than a uniform guess.

    A model that overfits a small corpus, and has learned it, gives only a warning.
    """
    loss, best = m.held_out.loss, m.best_loss
    bound = UNIFORM_LOSS + T.max_loss_above_uniform
    # Weights that know another language by heart begin above a uniform guess, and have to come down from there first.
    if m.initial_loss > bound and m.step < T.decline_from_step:
        bound = m.initial_loss
    if m.step < T.initial_drop_from_step or loss > bound:
        value, limit = loss, bound
    elif m.step < T.below_uniform_from_step:
        value, limit = best, max(UNIFORM_LOSS, m.initial_loss - T.min_initial_loss_drop)
    else:
        value, limit = best, UNIFORM_LOSS
    outcome: Outcome = "pass" if value < limit else "fail"
    now = f" at best ({loss:.2f} now)" if value != loss else ""
    reason = f"validation loss {value:.2f} nats{now} after {_steps(m)}, required < {limit:.2f} "
    reason += f"(uniform guess {UNIFORM_LOSS:.2f})"
    learned = max(m.training.loss, best) < UNIFORM_LOSS
    if outcome == "fail" and learned and m.train_tokens < T.min_training_tokens:
        outcome = "warn"
        reason += f"; {_few_tokens(m)}: a healthy model overfits them "
        reason += f"({best:.2f} at best, {m.training.loss:.2f} on training text)"
    elif outcome == "fail":
        reason += ": the model learns nothing; check learning rate, corpus and labels"
    return GateResult("next_token_loss", outcome, reason, value, limit, m.held_out.tokens)


def _steps(m: EpochMeasurements) -> str:
    return "1 step" if m.step == 1 else f"{m.step} steps"


def unigram(m: EpochMeasurements) -> GateResult:
    """Require a best validation loss below the unigram baseline; after few steps or on little text, warn."""
    limit = m.unigram - T.min_gain_over_unigram
    reason = f"best validation loss {m.best_loss:.2f} nats after {_steps(m)}, required < {limit:.2f} "
    reason += f"(unigram baseline {m.unigram:.2f})"
    outcome: Outcome = "pass"
    if not m.best_loss < limit:
        outcome = "warn"
        if m.step < T.unigram_from_step:
            reason += f"; only a warning before step {T.unigram_from_step}"
        elif m.train_tokens < T.min_training_tokens:
            reason += f"; {_few_tokens(m)}"
        else:
            outcome = "fail"
            reason += ": the model has not learned which symbols are frequent; check the corpus and the optimizer"
    return GateResult("unigram", outcome, reason, m.best_loss, limit, m.held_out.tokens)


def _few_tokens(m: EpochMeasurements) -> str:
    return f"only a warning with fewer than {T.min_training_tokens:,} training tokens ({m.train_tokens:,})"


NEXT_TOKEN_LOSS = MilestoneSpec(
    "next_token_loss", description="The validation loss falls, and is not above that of a uniform guess.",
    requirement=f"validation loss at most {T.max_loss_above_uniform:g} nats above a uniform guess; from step "
    f"{T.initial_drop_from_step} on, the best one {T.min_initial_loss_drop:g} below the initial one; from step "
    f"{T.below_uniform_from_step} on, below a uniform guess",
    check=next_token_loss, position=30,
)  # fmt: skip
UNIGRAM = MilestoneSpec(
    "unigram", description="The best validation loss is below what counting symbols reaches.",
    requirement=f"best validation loss {T.min_gain_over_unigram:g} nats below the unigram baseline; before step "
    f"{T.unigram_from_step}, or with fewer than {T.min_training_tokens:,} training tokens, it warns",
    check=unigram, first_epoch=10, position=60,
)  # fmt: skip
