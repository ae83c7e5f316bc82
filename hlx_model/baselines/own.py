"""The answers of our model to the rows, with the time that they take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from hlx_model.baselines.ask import Reply
from hlx_model.baselines.sample import SampleRow
from hlx_model.baselines.score import score
from hlx_model.corpus import ENGLISH
from hlx_model.evaluation.translation import PairRow, translate
from hlx_model.model.device import threads, threads_of
from hlx_model.model.transformer import Transformer
from hlx_model.money import NANO

TIMED_ALONE = 16
"""Rows that are also translated alone, for the latency."""


@dataclass(frozen=True)
class OwnCost:
    """What an hour of our machine costs."""

    nanodollars_per_hour: float | None
    words: str
    """How it is counted."""


def own_cost(
    usd_per_hour: float | None = None, watts: float | None = None, usd_per_kwh: float | None = None
) -> OwnCost:
    """Return what an hour of our machine costs: a stated rent, or stated power at a stated price.

    Raises:
        ValueError: both are stated, half of one, or a number below 0; one line.
    """
    stated = {"usd_per_hour": usd_per_hour, "watts": watts, "usd_per_kwh": usd_per_kwh}
    for name, amount in stated.items():
        if amount is not None and not 0 <= amount < float("inf"):
            raise ValueError(f"{name} is {amount}: it must be a number, 0 or more")
    if usd_per_hour is not None:
        if watts is not None or usd_per_kwh is not None:
            raise ValueError("usd_per_hour is stated, and watts or usd_per_kwh too: state the rent or the power")
        return OwnCost(usd_per_hour * NANO, f"${usd_per_hour:g} an hour")
    if watts is not None and usd_per_kwh is not None:
        return OwnCost(watts / 1000 * usd_per_kwh * NANO, f"{watts:g} W at ${usd_per_kwh:g} a kWh")
    if watts is not None or usd_per_kwh is not None:
        raise ValueError("watts and usd_per_kwh belong together: state both, or usd_per_hour")
    return OwnCost(None, "not stated: set usd_per_hour, or watts and usd_per_kwh")


@dataclass(frozen=True)
class OwnReplies:
    """The replies of our model."""

    replies: tuple[Reply, ...]
    """Those that were translated alone have a time above 0."""
    seconds_each: float
    """Of one translation among all, computed in batches."""


def own_replies(model: Transformer, rows: Sequence[SampleRow]) -> OwnReplies:
    """Let our model translate the rows in batches, and some of them alone.

    Args:
        model: on the device to measure it on.
        rows: one at least.
    """
    pairs = [PairRow(row.format, ENGLISH, row.prompt, max(row.right, key=len), "") for row in rows]
    with threads(threads_of(model.architecture)):
        translate(model, pairs[:1], {})  # the first call of a process takes longer
        alone = {i: _seconds_alone(model, pairs[i]) for i in range(0, len(pairs), max(1, len(pairs) // TIMED_ALONE))}
        started = time.perf_counter()
        answers = translate(model, pairs, {})
        seconds = time.perf_counter() - started
    replies = (
        Reply(row, score(row, answer.written), "answered", alone.get(i, 0.0))
        for i, (row, answer) in enumerate(zip(rows, answers, strict=True))
    )
    return OwnReplies(tuple(replies), seconds / len(rows))


def _seconds_alone(model: Transformer, pair: PairRow) -> float:
    started = time.perf_counter()
    translate(model, [pair], {})
    return time.perf_counter() - started
