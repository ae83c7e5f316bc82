"""Rates, latency and cost of each model, from its replies."""

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Protocol, get_args

from hlx_model.baselines.ask import Replies, Reply
from hlx_model.baselines.own import OwnCost, OwnReplies
from hlx_model.evaluation.translation import rates, rates_by_key
from hlx_model.language import Format
from hlx_model.providers.question import Choice
from hlx_model.reporting.baselines import BaselineModel, RowSource
from hlx_model.reporting.models import Rates

_SOURCES: tuple[RowSource, ...] = get_args(RowSource)


class TokenPrice(Protocol):
    """What a model costs (`providers.prices.Price`)."""

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        """Return what a call costs, in nanodollars."""
        ...


def model_of(choice: Choice, found: Replies, price: TokenPrice | None) -> BaselineModel:
    """Return the figures of a provider's model.

    The cost of 1,000 is that of the tokens that it counted, also of answers that were kept from before.

    Args:
        choice: the model.
        found: its replies.
        price: None if it is not known.
    """
    every, by_format = _rates(found.replies)
    middle, most = _latency(found.replies)
    return BaselineModel(
        name=str(choice), all_to_hlx=every, to_hlx=by_format, outcomes=found.outcomes,
        median_seconds=middle, p90_seconds=most,
        cost_per_1000_nanodollars=_cost_per_1000(found.replies, price), spent_nanodollars=found.spent, note=found.note,
    )  # fmt: skip


def own_model(name: str, found: OwnReplies, cost: OwnCost) -> BaselineModel:
    """Return the figures of our model; the cost of 1,000 is that of the time that they take in batches."""
    every, by_format = _rates(found.replies)
    middle, most = _latency(found.replies)
    hourly = cost.nanodollars_per_hour
    return BaselineModel(
        name=name, own=True, all_to_hlx=every, to_hlx=by_format,
        outcomes={"answered": len(found.replies)}, median_seconds=middle, p90_seconds=most,
        cost_per_1000_nanodollars=None if hourly is None else round(1000 * found.seconds_each * hourly / 3600),
    )  # fmt: skip


def _rates(replies: Sequence[Reply]) -> tuple[dict[RowSource, Rates], dict[RowSource, dict[Format, Rates]]]:
    every, by_format = {}, {}
    for source in _SOURCES:
        if some := [reply for reply in replies if reply.row.source == source]:
            every[source] = rates(reply.answer for reply in some)
            found = rates_by_key((reply.row.format, reply.answer) for reply in some)
            by_format[source] = {format: found[format] for format in Format if format in found}
    return every, by_format


def _latency(replies: Iterable[Reply]) -> tuple[float | None, float | None]:
    """Return the median of the seconds of an answer, and what nine of ten take at most."""
    seconds = sorted(reply.seconds for reply in replies if reply.seconds > 0)
    if not seconds:
        return None, None
    return median(seconds), seconds[math.ceil(0.9 * len(seconds)) - 1]


def _cost_per_1000(replies: Iterable[Reply], price: TokenPrice | None) -> int | None:
    used = [reply.result.usage for reply in replies if reply.result is not None and reply.result.usage is not None]
    if price is None or not used:
        return None
    total = sum(price.cost(usage.input_tokens, usage.output_tokens) for usage in used)
    return round(1000 * total / len(used))
