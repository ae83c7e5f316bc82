"""How well text is predicted, by a model or by counting: the figures alone, without PyTorch."""

import math
from typing import NamedTuple

from hlx_model.model.tokenizer import VOCABULARY_SIZE

UNIFORM_LOSS = math.log(VOCABULARY_SIZE)
"""Loss of a uniform guess among all symbols: 4.76 nats."""


class Prediction(NamedTuple):
    """How well a model predicts some texts."""

    loss: float
    """Mean negative log-likelihood of the true next token, in nats. `<EOS>` is counted, `<BOS>` is not."""
    copy_rate: float
    """Share of positions at which the likeliest next token is the current one."""
    tokens: int

    @property
    def perplexity(self) -> float:
        """Return exp(loss); infinity if that overflows."""
        try:
            return math.exp(self.loss)
        except OverflowError:
            return math.inf


class Baselines(NamedTuple):
    """Losses in nats that counts of symbols (unigram) and of pairs of symbols (bigram) reach on held-out text."""

    unigram: float
    bigram: float
    train_tokens: int
    """Tokens of the text that was counted."""
