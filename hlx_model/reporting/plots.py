"""The loss of a training by step, as SVG: in the page, and as a file that stands alone."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hlx_model.reporting.markup import Markup, element, join
from hlx_model.reporting.numbers import finite, format_number

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 640, 300, 52, 40, 30, 26
_LINE = 15
"""Height of a line of text."""
_STYLE = (
    "svg{font:12px sans-serif;background:#fff}text{fill:#444}.grid{stroke:#ddd}.series{fill:none;stroke-width:1.6}"
    ".training{stroke:#4477aa}.held-out{stroke:#cc4455}circle.held-out,text.held-out{fill:#cc4455;stroke:none}"
    "text.training{fill:#4477aa;stroke:none}.baseline{stroke:#777;stroke-dasharray:6 4}.bigram{stroke-dasharray:2 4}"
)

Point = tuple[float, float]
Rows = Sequence[Mapping[str, Any]]


def loss_curve(rows: Rows, figures: Mapping[str, Any] | None = None) -> str:
    """`loss_plot` as a file of its own, on white."""
    return _svg(element("style", Markup(_STYLE)), loss_plot_parts(rows, figures or {})) + "\n"


def loss_plot(rows: Rows, figures: Mapping[str, Any]) -> Markup:
    """Training and held-out loss (nats) by step, from rows of `metrics.parquet`, and the baselines that `figures` has.

    Its classes (`training`, `held-out`, `baseline`, `grid`) are left to the page's style.
    """
    return _svg(loss_plot_parts(rows, figures))


def loss_plot_parts(rows: Rows, figures: Mapping[str, Any]) -> Markup:
    """What is inside `loss_plot`."""
    training = loss_points(rows, "train_loss", lambda row: row["held_out_loss"] is None)
    held_out = loss_points(rows, "held_out_loss", lambda row: True)
    both = training + held_out
    if not both:
        return element("text", "no loss was recorded", x=_LEFT, y=_TOP + _LINE)
    counted = {name: finite(figures.get(f"{name}_baseline")) for name in ("unigram", "bigram")}
    baselines = {name: loss for name, loss in counted.items() if loss is not None}
    most_x = max(x for x, _ in both) or 1.0
    most_y = max(*(y for _, y in both), *baselines.values(), 0.0) * 1.1 or 1.0

    def place(point: Point) -> Point:
        return (
            _LEFT + point[0] / most_x * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - point[1] / most_y * (_HEIGHT - _BOTTOM - _TOP),
        )

    return join(
        element("title", _said(training, held_out, baselines)),
        *_axes(most_x, most_y, place),
        *_baselines(baselines, place),
        *_series("training", training, place),
        *_series("held-out", held_out, place),
        *(element("circle", class_="held-out", cx=_short(x), cy=_short(y), r=3) for x, y in map(place, held_out)),
        element("text", "— training", class_="training", x=_LEFT, y=_LINE),
        element("text", "● held-out", class_="held-out", x=_LEFT + 150, y=_LINE),
        element("text", "loss in nats, by step", x=_WIDTH - _RIGHT, y=_LINE, text_anchor="end"),
    )


def _axes(most_x: float, most_y: float, place: Callable[[Point], Point]) -> list[Markup]:
    parts = []
    for value in ticks(most_y):
        y = _short(place((0, value))[1])
        parts.append(element("line", class_="grid", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y))
        parts.append(
            element("text", format_number(value), x=_LEFT - 8, y=y, text_anchor="end", dominant_baseline="middle")
        )
    for value in ticks(most_x):
        x = _short(place((value, 0))[0])
        parts.append(element("text", format_number(value), x=x, y=_HEIGHT - _BOTTOM + 22, text_anchor="middle"))
    return parts


def _baselines(baselines: Mapping[str, float], place: Callable[[Point], Point]) -> list[Markup]:
    """A line each, its name above it: side by side, so that they are apart where the lines are not."""
    parts = []
    for i, (name, loss) in enumerate(baselines.items()):
        y, right = place((0, loss))[1], _WIDTH - _RIGHT
        parts.append(element("line", class_=f"baseline {name}", x1=_LEFT, x2=right, y1=_short(y), y2=_short(y)))
        said = f"{name} {loss:.2f}"
        parts.append(element("text", said, class_="name", x=right - 160 * i, y=_short(y - 5), text_anchor="end"))
    return parts


def _series(name: str, points: Sequence[Point], place: Callable[[Point], Point]) -> list[Markup]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, points))
    return [element("polyline", class_=f"series {name}", points=path)]


def _said(training: Sequence[Point], held_out: Sequence[Point], baselines: Mapping[str, float]) -> str:
    """The figure in words, for those who cannot see it."""
    last = [f"{name} loss {points[-1][1]:.2f} nats at step {format_number(points[-1][0])}"
            for name, points in (("training", training), ("held-out", held_out)) if points]  # fmt: skip
    return "; ".join([*last, *(f"{name} baseline {loss:.2f}" for name, loss in baselines.items())])


def ticks(most: float) -> list[float]:
    """Round numbers from 0 to `most`, three to six of them."""
    power = 10.0 ** math.floor(math.log10(most))
    step = next(share * power for share in (0.2, 0.5, 1, 2) if most / (share * power) < 6)
    return [i * step for i in range(int(most / step) + 1)]


def loss_points(rows: Rows, column: str, wanted: Callable[[Mapping[str, Any]], bool]) -> list[Point]:
    """Step and loss of the rows that are wanted, where the loss is a finite number."""
    found = ((float(row["step"]), finite(row[column])) for row in rows if wanted(row))
    return [(step, loss) for step, loss in found if loss is not None]


def _short(number: float) -> str:
    return f"{number:.1f}"


def _svg(*content: Markup) -> Markup:
    return element(
        "svg", *content, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH, height=_HEIGHT, class_="plot", role="img",
    )  # fmt: skip
