"""Bars for tables of rates, as SVG that is as wide as its cell."""

from collections.abc import Mapping, Sequence
from typing import Any

from hlx_model.reporting.markup import Markup, element
from hlx_model.reporting.numbers import finite, format_interval, format_percent

_HEIGHT = 17


def rate_bar(
    what: str,
    rate: object,
    interval: Sequence[object] | None = None,
    *,
    behind: object = None,
    threshold: object = None,
) -> Markup:
    """A rate as a bar from 0 to 100%.

    Args:
        what: what it is the rate of, for those who cannot see it.
        rate: from 0 to 1; where it is not finite, only the empty bar is drawn.
        interval: of the rate, drawn as a whisker.
        behind: another rate, not below it, as a paler bar behind it.
        threshold: a rate, as a mark across the bar.
    """
    said = f"{what}: {format_percent(rate)}" + (f", 95% interval {format_interval(interval)}" if interval else "")
    parts = [element("title", said), _box("track", 1.0), _box("behind", finite(behind)), _box("rate", finite(rate))]
    for low, high in [tuple(map(finite, interval))] if interval else []:
        if low is not None and high is not None:
            middle = _HEIGHT / 2
            parts.append(_line("whisker", low, high, middle, middle))
            parts += [_line("whisker", end, end, middle - 4, middle + 4) for end in (low, high)]
    asked = finite(threshold)
    if asked is not None:
        parts.append(_line("threshold", asked, asked, 0, _HEIGHT))
    return element("svg", *parts, class_="bar", width="100%", height=_HEIGHT, role="img")


def rates_bar(name: str, rates: Mapping[str, Any]) -> Markup:
    """Exact match as a bar with its interval, value match behind it; empty where there are no samples."""
    if not rates["samples"]:
        return rate_bar(name, None)
    what = f"{name}, exact match over {rates['samples']} samples"
    return rate_bar(what, rates["exact_match"], rates["exact_match_interval"], behind=rates["value_match"])


def _box(kind: str, share: float | None) -> Markup:
    return element("rect", class_=kind, x=0, y=4, width=_share(share or 0.0), height=_HEIGHT - 8)


def _line(kind: str, start: float, end: float, y1: float, y2: float) -> Markup:
    return element("line", class_=kind, x1=_share(start), x2=_share(end), y1=y1, y2=y2)


def _share(number: float) -> str:
    return f"{min(1.0, max(0.0, number)):.2%}"
