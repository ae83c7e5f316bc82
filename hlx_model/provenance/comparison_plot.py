"""Two trainings in one figure, as an SVG that stands alone: their losses, and what they translate rightly."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hlx_model.language import Format
from hlx_model.provenance.comparison import Side
from hlx_model.reporting.markup import Markup, element, join
from hlx_model.reporting.numbers import (
    finite,
    format_interval,
    format_number,
    format_percent,
)
from hlx_model.reporting.plots import Point, loss_points, ticks

_WIDTH, _MARGIN, _LEFT = 960, 26, 64
_LINE = 18
"""Height of a line of the legend."""
_TOP, _LOSSES, _RATES = 96, 300, 190
"""Where the losses begin; how high they and the bars are."""
_GAP = 92
"""Between the losses and the bars: the steps, and the heading of the bars."""
_BELOW = 36
"""Under an axis, for what stands there."""
_BAR, _INNER = 30, 6
"""The width of a bar, and the space between two."""
_STYLE = (
    "svg{font:13px sans-serif;background:#fff}text{fill:#444}.heading{font-weight:bold;fill:#222}.value{font-size:11px}"
    ".grid{stroke:#e2e2e2}.axis{stroke:#999}.series{fill:none;stroke-linejoin:round}.training{stroke-width:1.2;"
    "stroke-opacity:.5}.held-out{stroke-width:2.2}.a{stroke:#0a6fb5;fill:#0a6fb5}.b{stroke:#d9660a;fill:#d9660a}"
    ".series.a,.series.b{fill:none}rect.a,rect.b{stroke:none;fill-opacity:.75}text.a,text.b{stroke:none;"
    "font-weight:bold}.whisker{stroke:#222;stroke-width:1.2}"
)
_DIRECTIONS = {"English → HLX": ("to_hlx", "all_to_hlx"), "HLX → English": ("to_english", "all_to_english")}
"""By heading, where the report of phase 3 has the rates of each format, and of all."""

_Place = Callable[[Point], Point]


def comparison_figure(a: Side, b: Side) -> str:
    """The losses of both by step and, where one of them was judged in phase 3, its exact match by format as bars."""
    sides = {"a": a, "b": b}
    judged = {key: side for key, side in sides.items() if _translates(side)}
    bars = _TOP + _LOSSES + _GAP
    height = bars + _RATES + _BELOW + (_LINE if len(judged) == 1 else 0) if judged else _TOP + _LOSSES + _BELOW
    parts = [
        element("title", f"A {a.name} and B {b.name}"),
        element("style", Markup(_STYLE)),
        *_legend(sides),
        *_losses(sides),
        *(_bars(sides, judged, bars) if judged else ()),
    ]
    return element(
        "svg", *parts, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_WIDTH} {height}", width=_WIDTH,
        height=height, role="img",
    ) + "\n"  # fmt: skip


def _translates(side: Side) -> bool:
    return bool(side.report and side.report["phase"] == 3)


def _legend(sides: Mapping[str, Side]) -> Iterator[Markup]:
    for i, (key, side) in enumerate(sides.items()):
        y, m = _MARGIN + i * _LINE, side.manifest
        said = f"phase {m.phase}, {m.size}, learning rate {m.settings.get('learning_rate', '–')}"
        yield element("text", key.upper(), class_=key, x=_LEFT, y=y)
        yield element("text", f"{side.short}: {said}", x=_LEFT + 18, y=y)


def _losses(sides: Mapping[str, Side]) -> Iterator[Markup]:
    """Both curves on the same axes; the training loss thin, the held-out loss thick with a dot at each epoch."""
    training = {key: loss_points(side.curve, "train_loss", _is_within) for key, side in sides.items()}
    held_out = {key: loss_points(side.curve, "held_out_loss", lambda row: True) for key, side in sides.items()}
    every = [point for series in (training, held_out) for points in series.values() for point in points]
    other = len({side.manifest.phase for side in sides.values()}) > 1
    said = "Loss in nats a token, by step" + ("; different phases, different texts" if other else "")
    yield element("text", said, class_="heading", x=_LEFT, y=_TOP - 24)
    if not every:
        yield element("text", "no loss was recorded", x=_LEFT, y=_TOP)
        return
    most_x, most_y = max(x for x, _ in every) or 1.0, max(y for _, y in every) * 1.05 or 1.0

    def place(point: Point) -> Point:
        across, up = point[0] / most_x, point[1] / most_y
        return _LEFT + across * (_WIDTH - _LEFT - _MARGIN), _TOP + _LOSSES * (1 - up)

    yield from _grid(place, most_x, most_y)
    for name, series, radius in (("training", training, 0.0), ("held-out", held_out, 2.6)):
        for key, points in series.items():
            placed = [(f"{x:.1f}", f"{y:.1f}") for x, y in map(place, points)]
            yield element("polyline", class_=f"series {name} {key}", points=" ".join(",".join(p) for p in placed))
            # Of hundreds of epochs the dots would hide the line.
            if radius and len(placed) <= 60:
                yield join(*(element("circle", class_=key, cx=x, cy=y, r=radius) for x, y in placed))
    yield from _lines_explained()


def _is_within(row: Mapping[str, Any]) -> bool:
    """Whether a record was taken within an epoch, not of one."""
    return row["held_out_loss"] is None


def _lines_explained() -> Iterator[Markup]:
    x, y = _WIDTH - _MARGIN - 250, _TOP - 28
    for name, said, at in (("training", "training", x), ("held-out", "held-out", x + 130)):
        for key, up in (("a", 3), ("b", -3)):
            yield element("line", class_=f"{name} {key}", x1=at, x2=at + 30, y1=y - up, y2=y - up)
        yield element("text", said, x=at + 38, y=y + 4)


def _grid(place: _Place, most_x: float, most_y: float) -> Iterator[Markup]:
    for value in ticks(most_y):
        y = f"{place((0, value))[1]:.1f}"
        yield element("line", class_="axis" if value == 0 else "grid", x1=_LEFT, x2=_WIDTH - _MARGIN, y1=y, y2=y)
        yield element("text", format_number(value), x=_LEFT - 8, y=y, text_anchor="end", dominant_baseline="middle")
    for value in ticks(most_x):
        x = f"{place((value, 0))[0]:.1f}"
        yield element("text", format_number(value), x=x, y=_TOP + _LOSSES + 20, text_anchor="middle")


def _bars(sides: Mapping[str, Side], judged: Mapping[str, Side], top: int) -> Iterator[Markup]:
    """A panel a direction: for each format, and for all, a bar a side with its 95% interval."""
    width = (_WIDTH - _LEFT - _MARGIN - _LEFT) / 2
    for i, (heading, names) in enumerate(_DIRECTIONS.items()):
        left = _LEFT + i * (width + _LEFT)
        said = f"{heading}: exact match, 95% interval"
        yield element("text", said, class_="heading", x=f"{left:.1f}", y=top - 28)
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            y = f"{top + _RATES * (1 - share):.1f}"
            line = "axis" if share == 0 else "grid"
            yield element("line", class_=line, x1=f"{left:.1f}", x2=f"{left + width:.1f}", y1=y, y2=y)
            label = {"text_anchor": "end", "dominant_baseline": "middle"}
            yield element("text", f"{share:.0%}", x=f"{left - 8:.1f}", y=y, **label)
        groups = [*map(str, Format), "all"]
        for j, group in enumerate(groups):
            middle = left + width * (j + 0.5) / len(groups)
            yield element("text", group, x=f"{middle:.1f}", y=top + _RATES + 20, text_anchor="middle")
            all_bars = len(judged) * (_BAR + _INNER) - _INNER
            for k, (key, side) in enumerate(judged.items()):
                x = middle - all_bars / 2 + k * (_BAR + _INNER)
                yield from _bar(key, f"{heading}, {group}", _rates(side, names, group), x, top)
    if missing := [key.upper() for key in sides if key not in judged]:
        said = f"{' and '.join(missing)}: no report of phase 3"
        yield element("text", said, x=_WIDTH - _MARGIN, y=top + _RATES + 42, text_anchor="end")


def _rates(side: Side, names: tuple[str, str], group: str) -> Mapping[str, Any]:
    figures: Mapping[str, Any] = side.report["figures"] if side.report else {}
    by_format, of_all = names
    found: Mapping[str, Any] = figures.get(of_all, {}) if group == "all" else figures.get(by_format, {}).get(group, {})
    return found


def _bar(key: str, what: str, rates: Mapping[str, Any], x: float, top: int) -> Iterator[Markup]:
    """A bar with its whisker, and its rate above both; a dash where nothing was asked."""
    value = finite(rates.get("exact_match")) if rates.get("samples") else None
    middle = f"{x + _BAR / 2:.1f}"

    def height(share: float) -> float:
        return top + _RATES * (1 - share)

    if value is None:
        yield element("text", "–", class_="value", x=middle, y=f"{height(0) - 4:.1f}", text_anchor="middle")
        return
    low, high = rates["exact_match_interval"]
    said = f"{key.upper()}, {what}: {format_percent(value)} of {rates['samples']}, "
    said += f"95% interval {format_interval((low, high))}"
    box = element(
        "rect", element("title", said), class_=key, x=f"{x:.1f}", y=f"{height(value):.1f}", width=_BAR,
        height=f"{value * _RATES:.1f}",
    )  # fmt: skip
    whisker = [(low, high, 0.0), *((end, end, 4.0) for end in (low, high))]
    lines = (
        element(
            "line", class_="whisker", x1=f"{x + _BAR / 2 - half:.1f}", x2=f"{x + _BAR / 2 + half:.1f}",
            y1=f"{height(start):.1f}", y2=f"{height(end):.1f}",
        )
        for start, end, half in whisker
    )  # fmt: skip
    above = f"{height(high) - 5:.1f}"
    yield join(box, *lines, element("text", f"{value:.0%}", class_="value", x=middle, y=above, text_anchor="middle"))
