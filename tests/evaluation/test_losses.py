"""How well a model predicts text, measured from its logits and the text alone."""

import itertools
import math
from collections import Counter

import pytest
import torch

from hlx_model.evaluation.losses import baselines, predict
from hlx_model.evaluation.prediction import UNIFORM_LOSS, Prediction
from hlx_model.model.sizes import SIZES
from hlx_model.model.tokenizer import BOS, EOS, encode
from hlx_model.model.transformer import Transformer
from tests.support.models import Echo, Uniform

TEXTS = ["Search for documents", "Sort", '🜊1000🜁0 "search"🜂', "aaab", ""]


def test_guessing_among_117_symbols_costs_4_76_nats() -> None:
    found = predict(Uniform(), TEXTS)
    assert found.loss == pytest.approx(UNIFORM_LOSS) == pytest.approx(4.762, abs=1e-3)
    assert found.perplexity == pytest.approx(117)
    assert found.tokens == sum(len(text) + 1 for text in TEXTS)


def test_the_loss_is_that_of_the_next_token_text_by_text() -> None:
    model = Transformer(SIZES["tiny"]).initialize(seed=0).eval()
    losses: list[float] = []
    copied = 0
    for text in TEXTS:
        ids = [BOS, *encode(text), EOS]
        with torch.no_grad():
            probabilities = torch.softmax(model(torch.tensor([ids]))[0], dim=-1)
        for t, (now, after) in enumerate(itertools.pairwise(ids)):
            losses.append(-math.log(float(probabilities[t, after])))
            copied += int(probabilities[t].argmax()) == now
    found = predict(model, TEXTS)
    assert found.loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert found.copy_rate == copied / len(losses)
    assert predict(model, TEXTS, max_tokens=1).loss == pytest.approx(found.loss, rel=1e-6)


def test_the_copy_rate_sees_a_model_that_repeats_its_input() -> None:
    found = predict(Echo(), ["aaab"])
    assert found.copy_rate == 1.0
    wrong, right = math.log(116 + math.exp(8)), math.log(116 + math.exp(8)) - 8
    assert found.loss == pytest.approx((3 * wrong + 2 * right) / 5, rel=1e-5)


def test_no_text_is_an_error() -> None:
    with pytest.raises(ValueError, match="no text to measure"):
        predict(Uniform(), [])


def test_a_huge_loss_has_an_infinite_perplexity() -> None:
    assert Prediction(2157.0, 0.0, 1).perplexity == math.inf
    assert Prediction(math.log(50), 0.0, 1).perplexity == pytest.approx(50)


def test_the_baselines_are_what_counting_gives() -> None:
    train, held_out = ["abab", "abc"], ["abb"]
    base = baselines(train, held_out)
    followers = Counter(pair for text in train for pair in zip(["^", *text], [*text, "$"], strict=True))
    seen = Counter(after for _, after in followers.elements())
    # A thousandth for each of the 117 × 117 pairs, one for each symbol.
    unigram = {c: (seen[c] + 1 + 0.117) / (9 + 117 + 117 * 0.117) for c in "abc$"}

    def pair(now: str, after: str) -> float:
        count = sum(n for (first, _), n in followers.items() if first == now)
        return 0.95 * (followers[now, after] + 1e-3) / (count + 0.117) + 0.05 * unigram[after]

    text = ["^", *held_out[0], "$"]
    steps = list(itertools.pairwise(text))
    assert base.unigram == pytest.approx(-sum(math.log(unigram[after]) for _, after in steps) / 4)
    assert base.bigram == pytest.approx(-sum(math.log(pair(*step)) for step in steps) / 4)
    assert base.train_tokens == 9


def test_pairs_of_symbols_predict_better_than_symbols() -> None:
    texts = [f"{verb} the {noun}" for verb in ("Search", "Sort", "Count") for noun in ("users", "logs", "files")]
    base = baselines(texts[:6], texts[6:])
    assert base.bigram < base.unigram < UNIFORM_LOSS
