"""The loss against what counting symbols and pairs of symbols reaches."""

from hlx_model.evaluation.prediction import Baselines, Prediction
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import T
from hlx_model.verdicts import GateResult, Outcome


def perplexity(held_out: Prediction, baselines: Baselines) -> GateResult:
    """Require a test loss below that of counting: the model knows more than symbols and pairs of symbols."""
    limit = min(baselines.unigram - T.min_gain_over_unigram, baselines.bigram - T.min_gain_over_bigram)
    return _below(limit, held_out, "test loss", baselines)


def perplexity_by_heart(training: Prediction, baselines: Baselines) -> GateResult:
    """Require a loss on training text far below that of counting: the model knows the text."""
    return _below(T.max_share_of_bigram * baselines.bigram, training, "loss on training text", baselines)


def _below(limit: float, measured: Prediction, what: str, baselines: Baselines) -> GateResult:
    reason = f"{what} {measured.loss:.3f} nats, required < {limit:.3f} (unigram baseline {baselines.unigram:.3f}, "
    reason += f"bigram {baselines.bigram:.3f}); perplexity {measured.perplexity:.2f}"
    outcome: Outcome = "pass" if measured.loss < limit else "fail"
    return GateResult("perplexity", outcome, reason, measured.loss, limit, measured.tokens)


PERPLEXITY = GateSpec(
    "perplexity",
    description="The next-token loss is below what counting symbols and pairs of symbols reaches.",
    requirement=f"test loss {T.min_gain_over_unigram:g} nats below the unigram baseline of the corpus and "
    f"{T.min_gain_over_bigram:g} below its bigram baseline",
    by_heart=f"loss on training text below {T.max_share_of_bigram:.0%} of the bigram baseline",
    needs=("predictions", "fitness"),
    check=lambda m: perplexity_by_heart(m.predictions.training, m.predictions.baselines) if m.fitness.by_heart
    else perplexity(m.predictions.held_out, m.predictions.baselines),
    position=30, mended_by_training=True,
)  # fmt: skip
