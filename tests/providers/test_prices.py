"""Prices: from the list, from a person, worst cost and tiers."""

from decimal import Decimal

import pytest

from hlx_model.providers.catalogue import PROVIDERS
from hlx_model.providers.client import worst_of
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.prices import HIDDEN_TOKENS, MAX_INPUT_BYTES, Price, price_of, set_price, tier, worst_cost
from hlx_model.providers.question import Choice
from tests.support.providers import a_question

LISTED = {
    "claude-sonnet-4-5": (3_000, 15_000), "claude-opus-4-1": (15_000, 75_000), "claude-haiku-4-5": (1_000, 5_000),
    "gpt-5.1": (1_250, 10_000), "gpt-4o": (2_500, 10_000), "grok-4-1-fast-reasoning": (200, 500),
}  # fmt: skip
"""Nanodollars a token, as the providers' pages had them in November 2026."""


def test_every_model_of_the_page_has_a_price(files: ProviderFiles) -> None:
    for provider in PROVIDERS.values():
        for model in provider.models:
            price = price_of(Choice(provider.name, model.name), files)
            assert price is not None
            assert (price.input, price.output) == LISTED.get(model.name, (0, 0)), model.name
            assert ("genai-prices" in price.source) is provider.needs_key


def test_a_model_that_is_not_listed_has_no_price_until_it_is_stated(files: ProviderFiles) -> None:
    choice = Choice("openai", "a-model-of-tomorrow")
    assert price_of(choice, files) is None and tier(choice, files) == "?"
    set_price(files, choice, "0.1", Decimal("7"))
    assert price_of(choice, files) == Price(100, 7_000, "stated with `hlx keys price`")
    set_price(files, Choice("claude", "claude-haiku-4-5"), "9", "9.0001")
    stated = price_of(Choice("claude", "claude-haiku-4-5"), files)
    assert stated is not None and (stated.input, stated.output) == (9_000, 9_001)  # rounded up
    assert price_of(choice, files) is not None


@pytest.mark.parametrize("amount", ["", "x", "-1", "nan", "1e9", "inf"])
def test_a_price_that_is_none_is_refused(files: ProviderFiles, amount: str) -> None:
    with pytest.raises(ValueError, match="give dollars for a million tokens"):
        set_price(files, Choice("openai", "x"), amount, "1")
    with pytest.raises(ValueError, match="provider is 'nobody'"):
        set_price(files, Choice("nobody", "x"), "1", "1")


def test_tiers_are_computed_from_prices(files: ProviderFiles) -> None:
    shown = {name: tier(Choice(provider, name), files) for provider, name in (
        ("claude", "claude-opus-4-1"), ("claude", "claude-sonnet-4-5"), ("claude", "claude-haiku-4-5"),
        ("openai", "gpt-4o"), ("xai", "grok-4-1-fast-reasoning"), ("qwen", "qwen3:8b"),
    )}  # fmt: skip
    assert list(shown.values()) == ["$$$", "$$", "$", "$$", "$", "FREE"]


def test_the_worst_cost_counts_a_token_a_byte_of_all_that_is_sent(files: ProviderFiles) -> None:
    price = price_of(Choice("claude", "claude-haiku-4-5"), files)
    assert price is not None
    short, long = a_question(user="a"), a_question(user="a" + "🜃" * 100)
    assert worst_of(long, price) - worst_of(short, price) == 400 * price.input
    assert worst_of(short, price) > worst_cost(price, len("You watch a training."), 300)
    assert worst_cost(price, 0, 300) == HIDDEN_TOKENS * 1_000 + 300 * 5_000
    with pytest.raises(ValueError, match="at most 120,000 are sent"):
        worst_of(a_question(user="x" * MAX_INPUT_BYTES), price)
