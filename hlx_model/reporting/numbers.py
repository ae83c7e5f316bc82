"""Formats figures and texts for people, whatever a broken model made of them."""

import math
from collections.abc import Sequence

from hlx_model.shown import show_unseen

NOTHING = "–"
_MAX_NAME = 60
_FEW = 40
"""With fewer samples a percentage says more than was measured: one sample is more than 2.5%."""
_MAX_LOSS = 700.0
"""A loss in nats whose perplexity is still a number."""


def finite(value: object) -> float | None:
    """Return a figure as a number; None if there is none, or if it is NaN or infinite, by value or by name."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def format_number(value: object) -> str:
    """Format a figure with four digits; by its name if it is not finite, as a dash if there is none."""
    number = finite(value)
    if number is None:
        return NOTHING if value is None else show_unseen(str(value))
    if number.is_integer() and abs(number) < 1e15:
        return f"{number:,.0f}".replace("-", "−")
    return (f"{number:,.0f}" if 1000 <= abs(number) < 1e6 else f"{number:.4g}").replace("-", "−")


def format_percent(value: object) -> str:
    """Format a rate, as `98.4%`."""
    number = finite(value)
    return format_number(value) if number is None else f"{number:.1%}"


def format_whole_percent(rate: object) -> str:
    """Format a rate, as `98%`. Only nothing is 0%, and only all is 100%."""
    number = finite(rate)
    if number is None:
        return format_number(rate)
    return f"{number:.0%}" if number in (0, 1) else f"{min(0.99, max(0.01, number)):.0%}"


def format_share(rate: object, samples: int) -> str:
    """Format a rate with its samples, as `67% of 1,312`; of few samples, how many: `1 of 8`."""
    number = finite(rate)
    if number is not None and samples < _FEW:
        return f"{round(number * samples)} of {samples}"
    return f"{format_whole_percent(rate)} of {samples:,}"


def format_interval(interval: Sequence[object] | None) -> str:
    """Format the interval of a rate, as `94.4–99.6%`."""
    if interval is None:
        return NOTHING
    low, high = map(format_percent, interval)
    return f"{low.removesuffix('%')}–{high}"


def perplexity_of(loss: object) -> str:
    """Format the perplexity of a loss in nats; a dash if either is no finite number."""
    number = finite(loss)
    return NOTHING if number is None or number > _MAX_LOSS else format_number(math.exp(number))


def bar_length(share: object) -> str:
    """Return a share of a bar's length for CSS: between 0 and 100%, 0 if it is no finite number."""
    return f"{min(1.0, max(0.0, finite(share) or 0.0)):.2%}"


def short_name(name: object) -> str:
    """Return a name that a user chose, such as that of a section, on one line and without its tail if it is long."""
    text = " ".join(str(name).split()) or "(none)"
    return text if len(text) <= _MAX_NAME else f"{text[:_MAX_NAME]}…"


def round_steps(largest: float) -> list[float]:
    """Return three to six round numbers from 0 to `largest`, for an axis."""
    power = 10.0 ** math.floor(math.log10(largest))
    step = next(share * power for share in (0.2, 0.5, 1, 2) if largest / (share * power) < 6)
    return [i * step for i in range(int(largest / step) + 1)]
