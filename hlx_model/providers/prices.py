"""What a model costs: by the price list that `genai-prices` bundles, or as a person stated it. Nothing is looked up.

    price = price_of(Choice("claude", "claude-haiku-4-5"), files)
    worst_cost(price, input_bytes=4_000, max_tokens=500)

A model whose price is not known is not asked. Only a local Qwen costs nothing.
"""

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import cache
from typing import Any

from hlx_model.files import write_json
from hlx_model.json_model import JsonModel
from hlx_model.money import NANO
from hlx_model.providers.adapters import EXTRA
from hlx_model.providers.catalogue import provider_named
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.question import Choice

MAX_INPUT_BYTES = 120_000
"""Of a question. Providers charge more for each token of a longer one, which no purpose of hlx needs."""
HIDDEN_TOKENS = 500
"""Tokens that a provider may add to the input, such as those that make an answer keep its schema."""
_NANO_PER_DOLLAR_PER_MILLION = NANO // 1_000_000
_TIERS = ((6, "$"), (30, "$$"))
"""Dollars for a million tokens of output up to which a model is cheap, and middling."""


@dataclass(frozen=True)
class Price:
    """Of a model, in nanodollars a token."""

    input: int
    output: int
    source: str
    """Where it is from, for a person."""

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        """Return what a call costs, in nanodollars."""
        return input_tokens * self.input + output_tokens * self.output


class _Stated(JsonModel):
    input_usd: str
    """Dollars for a million tokens."""
    output_usd: str


class _StatedPrices(JsonModel):
    models: dict[str, _Stated]
    """By provider/model."""


def price_of(choice: Choice, files: ProviderFiles) -> Price | None:
    """Return the price of a model: the stated one, else that of the price list; None if it is not known.

    Raises:
        ValueError: the provider is not known, the file of stated prices cannot be read, or a package is missing.
    """
    provider = provider_named(choice.provider)
    if stated := _read(files).models.get(str(choice)):
        return _price(Decimal(stated.input_usd), Decimal(stated.output_usd), "stated with `hlx keys price`")
    if provider.prices is None:
        return Price(0, 0, "runs on a machine of yours")
    return _listed(provider.prices, choice.model)


def unknown_price(choice: Choice) -> str:
    """Return the line on a model whose price is not known, with the command that states it."""
    return (
        f"the price of {choice} is not known: `hlx keys price {choice.provider} {shlex.quote(choice.model)} "
        "--input DOLLARS --output DOLLARS` states it, in dollars for a million tokens"
    )


def set_price(files: ProviderFiles, choice: Choice, input_usd: str | Decimal, output_usd: str | Decimal) -> Price:
    """Keep a price that a person states, in dollars for a million tokens, and return it.

    Raises:
        ValueError: the provider is not known, or an amount is not a number of dollars.
    """
    provider_named(choice.provider)
    given, made = _dollars("input", input_usd), _dollars("output", output_usd)
    files.make()
    stated = _Stated(input_usd=f"{given:f}", output_usd=f"{made:f}")
    write_json(files.prices, _StatedPrices(models={**_read(files).models, str(choice): stated}).to_json())
    return _price(given, made, "stated with `hlx keys price`")


def worst_cost(price: Price, input_bytes: int, max_tokens: int) -> int:
    """Return the most that a call can cost, in nanodollars: a token for each byte that is sent, and a whole answer."""
    return price.cost(input_bytes + HIDDEN_TOKENS, max_tokens)


def tier(choice: Choice, files: ProviderFiles) -> str:
    """Return how dear a model is: FREE, `$`, `$$` or `$$$`; `?` if its price is not known.

    `ValueError` as for `price_of`.
    """
    price = price_of(choice, files)
    if price is None:
        return "?"
    if price.input == price.output == 0:
        return "FREE"
    dollars = price.output / _NANO_PER_DOLLAR_PER_MILLION
    return next((name for limit, name in _TIERS if dollars <= limit), "$$$")


def _price(input_usd: Decimal, output_usd: Decimal, source: str) -> Price:
    """Return a price by dollars for a million tokens, rounded up."""
    given, made = (
        int((usd * _NANO_PER_DOLLAR_PER_MILLION).to_integral_value(ROUND_CEILING)) for usd in (input_usd, output_usd)
    )
    return Price(given, made, source)


def _dollars(name: str, amount: str | Decimal) -> Decimal:
    try:
        found = Decimal(amount)
    except InvalidOperation:
        found = Decimal("nan")
    if not found.is_finite() or not 0 <= found <= 10_000:
        raise ValueError(f"{name} is {str(amount)[:40]!r}: give dollars for a million tokens, from 0 to 10000")
    return found


def _read(files: ProviderFiles) -> _StatedPrices:
    try:
        return _StatedPrices.read(files.prices)
    except FileNotFoundError:
        return _StatedPrices(models={})


@cache
def _listed(provider: str, model: str) -> Price | None:
    try:
        import genai_prices
        from genai_prices.data_snapshot import get_snapshot
    except ModuleNotFoundError as error:
        raise ValueError(f"the package {error.name} is missing, which knows prices: {EXTRA}") from None
    found = get_snapshot().find_provider(None, provider, None).find_model(model)
    if found is None:
        return None
    prices = found.get_prices(datetime.now(UTC))
    given, made = (_usd(getattr(prices, f"{name}_mtok", None)) for name in ("input", "output"))
    if given is None or made is None:
        return None
    return _price(given, made, f"genai-prices {genai_prices.__version__}")


def _usd(price: Any) -> Decimal | None:
    """Return the highest price that applies to questions of `MAX_INPUT_BYTES`: some have tiers by length."""
    if price is None or isinstance(price, Decimal):
        return price
    steps: list[Decimal] = [price.base, *(step.price for step in price.tiers if step.start <= MAX_INPUT_BYTES)]
    return max(steps)
