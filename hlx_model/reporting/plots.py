"""Plots as SVG: their geometry, in SVG units, and the loss of a training. The templates draw it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hlx_model.reporting.models import CurvePoint, Report
from hlx_model.reporting.numbers import finite, format_number
from hlx_model.reporting.render import render

Point = tuple[float, float]
Losses = dict[str, list[Point]]
"""The finite losses of a training, `training` and `validation`: step and nats."""


class Frame(NamedTuple):
    """The area that a plot draws in, and the values at its right and upper edges. Both axes begin at 0."""

    left: float
    top: float
    right: float
    bottom: float
    max_x: float
    max_y: float

    @classmethod
    def around(
        cls, losses: Iterable[Losses], baselines: Iterable[float], edges: tuple[float, float, float, float]
    ) -> "Frame | None":
        """Return the frame of losses and baselines within these edges; None if no loss was recorded.

        Args:
            losses: those of each training.
            baselines: further losses that are drawn.
            edges: left, top, right and bottom.
        """
        points = [point for one in losses for series in one.values() for point in series]
        if not points:
            return None
        max_x, max_y = max(x for x, _ in points), max(*(y for _, y in points), *baselines, 0.0)
        return cls(*edges, max_x or 1.0, max_y * 1.1 or 1.0)

    def x(self, value: float) -> float:
        """Return where a value lies on the horizontal axis, rounded to a tenth."""
        return round(self.left + value / self.max_x * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        """Return where a value lies on the vertical axis, from the upper edge of the plot, rounded to a tenth."""
        return round(self.top + (1 - value / self.max_y) * (self.bottom - self.top), 1)

    def path(self, points: Sequence[Point]) -> str:
        """Return points as the attribute of a `polyline`."""
        return " ".join(f"{self.x(x)},{self.y(y)}" for x, y in points)


def losses_of(curve: Sequence[CurvePoint]) -> Losses:
    """Take the losses from the records of a training; one with a validation loss is the mean of an epoch."""
    series = {
        "training": [(row.step, finite(row.train_loss)) for row in curve if row.held_out_loss is None],
        "validation": [(row.step, finite(row.held_out_loss)) for row in curve],
    }
    return {name: [(float(x), y) for x, y in points if y is not None] for name, points in series.items()}


class LossPlot(NamedTuple):
    """The loss of one training by step, with the baselines of its corpus."""

    losses: Losses
    baselines: dict[str, float]
    frame: Frame | None
    """None if no loss was recorded."""

    @classmethod
    def of(cls, report: Report) -> "LossPlot":
        """Take the plot from a report."""
        losses, f = losses_of(report.curve), report.figures
        found = {"unigram": finite(f.unigram_baseline), "bigram": finite(f.bigram_baseline)}
        baselines = {name: loss for name, loss in found.items() if loss is not None}
        return cls(losses, baselines, Frame.around([losses], baselines.values(), (52, 30, 614, 260)))

    @property
    def description(self) -> str:
        """The plot in words."""
        last = {name: points[-1] for name, points in self.losses.items() if points}
        words = [f"{name} loss {loss:.2f} nats at step {format_number(step)}" for name, (step, loss) in last.items()]
        return "; ".join([*words, *(f"{name} baseline {loss:.2f}" for name, loss in self.baselines.items())])


def loss_svg(report: Report) -> str:
    """Return the training and validation loss (nats) by step with the baselines, as an SVG file."""
    return render("loss.svg", plot=LossPlot.of(report), standalone=True)
