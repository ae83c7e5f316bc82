"""The held-out loss against what counting symbols and pairs of symbols reaches."""

from hlx_model.evaluation.prediction import UNIFORM_LOSS, Baselines, Prediction
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import T
from hlx_model.verdicts import GateResult, Outcome


def loss_limit(baselines: Baselines) -> float:
    """Return the loss in nats below which a model knows more of a language than its symbols and pairs of symbols."""
    return min(baselines.unigram - T.min_gain_over_unigram, baselines.bigram - T.min_gain_over_bigram)


def perplexity(held_out: Prediction, training: Prediction, baselines: Baselines) -> GateResult:
    """Require a held-out loss below the limit; with little training text, warn if the model has learned that text."""
    limit = loss_limit(baselines)
    reason = f"held-out loss {held_out.loss:.3f} nats, required < {limit:.3f} (unigram baseline "
    reason += f"{baselines.unigram:.3f}, bigram {baselines.bigram:.3f}); perplexity {held_out.perplexity:.2f}"
    outcome: Outcome = "pass" if held_out.loss < limit else "fail"
    if outcome == "fail" and baselines.train_tokens < T.min_training_tokens and training.loss < UNIFORM_LOSS:
        outcome = "warn"
        reason += f"; only a warning, since {baselines.train_tokens} training tokens are too few to require it"
    return GateResult("perplexity", outcome, reason, held_out.loss, limit, held_out.tokens)


PERPLEXITY = GateSpec(
    "perplexity",
    description="The held-out next-token loss is below what counting symbols and pairs of symbols reaches.",
    requirement=f"held-out loss {T.min_gain_over_unigram:g} nats below the unigram baseline of the corpus and "
    f"{T.min_gain_over_bigram:g} below its bigram baseline; with fewer than {T.min_training_tokens:,} training "
    "tokens it warns, unless the training text is not learned either",
    needs=("predictions",), check=lambda m: perplexity(*m.predictions), position=30, warns_if=("short_training",),
)  # fmt: skip
