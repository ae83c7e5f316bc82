"""Plots as SVG: the loss of a training, and the losses and rates of two trainings in one.

Here is their geometry, in SVG units; the templates draw it. A coordinate is rounded to a tenth.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hlx_model.language import Format
from hlx_model.reporting.models import CurvePoint, Figures, Rates, Report, TranslationFigures
from hlx_model.reporting.numbers import finite, format_number
from hlx_model.reporting.render import render

Point = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """The area that a plot draws in, and the values at its right and upper edges. Both axes begin at 0."""

    left: float
    top: float
    width: float
    height: float
    max_x: float
    max_y: float

    def x(self, value: float) -> float:
        """Return where a value lies on the horizontal axis."""
        return round(self.left + value / self.max_x * self.width, 1)

    def y(self, value: float) -> float:
        """Return where a value lies on the vertical axis, from the upper edge of the plot."""
        return round(self.top + (1 - value / self.max_y) * self.height, 1)

    def path(self, points: Sequence[Point]) -> str:
        """Return points as the attribute of a `polyline`."""
        return " ".join(f"{self.x(x)},{self.y(y)}" for x, y in points)

    @property
    def right(self) -> float:
        """The right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.top + self.height

    @property
    def x_ticks(self) -> list[float]:
        """Round values on the horizontal axis."""
        return _ticks(self.max_x)

    @property
    def y_ticks(self) -> list[float]:
        """Round values on the vertical axis."""
        return _ticks(self.max_y)


@dataclass(frozen=True)
class Losses:
    """The finite losses of a training: step and nats."""

    training: list[Point]
    held_out: list[Point]

    @classmethod
    def of(cls, curve: Sequence[CurvePoint]) -> "Losses":
        """Take the losses from the records of a training; one with a held-out loss is the mean of an epoch."""
        training = [(row.step, finite(row.train_loss)) for row in curve if row.held_out_loss is None]
        held_out = [(row.step, finite(row.held_out_loss)) for row in curve]
        return cls(*([(float(x), y) for x, y in series if y is not None] for series in (training, held_out)))


@dataclass(frozen=True)
class LossPlot:
    """The loss of one training by step, with the baselines of its corpus."""

    losses: Losses
    baselines: dict[str, float]
    width: int = 640
    height: int = 300

    @classmethod
    def of(cls, report: Report) -> "LossPlot":
        """Take the plot from a report."""
        return cls(Losses.of(report.curve), _baselines(report.figures))

    @property
    def frame(self) -> Frame | None:
        """Where the curves lie; None if no loss was recorded."""
        points = [*self.losses.training, *self.losses.held_out]
        if not points:
            return None
        max_x, max_y = max(x for x, _ in points), max(*(y for _, y in points), *self.baselines.values(), 0.0)
        return Frame(52, 30, self.width - 78, self.height - 70, max_x or 1.0, max_y * 1.1 or 1.0)

    @property
    def description(self) -> str:
        """The plot in words."""
        series = {"training": self.losses.training, "held-out": self.losses.held_out}
        last = [
            f"{name} loss {points[-1][1]:.2f} nats at step {format_number(points[-1][0])}"
            for name, points in series.items() if points
        ]  # fmt: skip
        return "; ".join([*last, *(f"{name} baseline {loss:.2f}" for name, loss in self.baselines.items())])


def loss_svg(report: Report) -> str:
    """Return the training and held-out loss (nats) by step with the baselines, as an SVG file."""
    return render("loss.svg", plot=LossPlot.of(report), standalone=True)


class ComparedTraining(NamedTuple):
    """One of two trainings, as their plot needs it."""

    name: str
    """`<training id>/<checkpoint>`."""
    label: str
    """How the legend names and describes it."""
    phase: int
    curve: Sequence[CurvePoint]
    translation: TranslationFigures | None
    """The figures of its report, if that is of phase 3."""


class Bar(NamedTuple):
    """A bar of a group: one training's exact match in one direction."""

    key: str
    left: float
    middle: float
    rates: Rates | None
    label: str


@dataclass(frozen=True)
class RatesPanel:
    """The exact match of both trainings in one direction: a group of bars for each format, and one for all."""

    heading: str
    frame: Frame
    groups: dict[str, float]
    """The middle of each group, by its name."""
    bars: list[Bar]


_BAR, _BETWEEN_BARS = 30, 6


@dataclass(frozen=True)
class ComparisonPlot:
    """The losses of two trainings on one pair of axes, and their rates if one of them has some."""

    trainings: dict[str, ComparedTraining]
    """By the keys `a` and `b`."""
    width: int = 960
    left: int = 64
    margin: int = 26

    @property
    def losses(self) -> dict[str, Losses]:
        """The losses of both."""
        return {key: Losses.of(training.curve) for key, training in self.trainings.items()}

    @property
    def frame(self) -> Frame | None:
        """Where the losses lie; None if none was recorded."""
        points = [point for losses in self.losses.values() for point in (*losses.training, *losses.held_out)]
        if not points:
            return None
        max_x, max_y = max(x for x, _ in points) or 1.0, max(y for _, y in points) * 1.05 or 1.0
        return Frame(self.left, 96, self.width - self.left - self.margin, 300, max_x, max_y)

    @property
    def other_phases(self) -> bool:
        """Whether the two are of different phases."""
        return len({training.phase for training in self.trainings.values()}) > 1

    @property
    def without_rates(self) -> list[str]:
        """The keys of those that have no report of phase 3."""
        return [key for key, training in self.trainings.items() if training.translation is None]

    @property
    def panels(self) -> list[RatesPanel]:
        """The bars, one panel per direction; none if neither training has rates."""
        if len(self.without_rates) == len(self.trainings):
            return []
        width = (self.width - 2 * self.left - self.margin) / 2
        frames = [Frame(self.left + i * (width + self.left), 488, width, 190, len(Format) + 1, 1.0) for i in range(2)]
        return [self._panel("English → HLX", frames[0]), self._panel("HLX → English", frames[1])]

    @property
    def height(self) -> int:
        """The height of the whole."""
        return (
            432 if not (panels := self.panels) else round(panels[0].frame.bottom) + 36 + 18 * bool(self.without_rates)
        )

    def _panel(self, heading: str, frame: Frame) -> RatesPanel:
        groups = {name: frame.x(i + 0.5) for i, name in enumerate([*map(str, Format), "all"])}
        shown = {key: t.translation for key, t in self.trainings.items() if t.translation is not None}
        start = -(len(shown) * (_BAR + _BETWEEN_BARS) - _BETWEEN_BARS) / 2
        bars = []
        for group, middle in groups.items():
            for i, (key, f) in enumerate(shown.items()):
                into_hlx = heading.endswith("HLX")
                total, by_format = (f.all_to_hlx, f.to_hlx) if into_hlx else (f.all_to_english, f.to_english)
                rates = total if group == "all" else by_format.get(Format(group))
                left = round(middle + start + i * (_BAR + _BETWEEN_BARS), 1)
                bars.append(Bar(key, left, left + _BAR / 2, rates, f"{key.upper()}, {heading}, {group}"))
        return RatesPanel(heading, frame, groups, bars)


def comparison_svg(a: ComparedTraining, b: ComparedTraining) -> str:
    """Return the losses of two trainings by step and, if one has rates, their exact match by format, as an SVG file."""
    return render("comparison.svg", plot=ComparisonPlot({"a": a, "b": b}), bar_width=_BAR)


def _baselines(f: Figures) -> dict[str, float]:
    losses = {"unigram": finite(f.unigram_baseline), "bigram": finite(f.bigram_baseline)}
    return {name: loss for name, loss in losses.items() if loss is not None}


def _ticks(most: float) -> list[float]:
    """Return three to six round numbers from 0 to `most`."""
    power = 10.0 ** math.floor(math.log10(most))
    step = next(share * power for share in (0.2, 0.5, 1, 2) if most / (share * power) < 6)
    return [i * step for i in range(int(most / step) + 1)]
