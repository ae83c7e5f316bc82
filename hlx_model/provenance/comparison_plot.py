"""The plot of two compared trainings: what it needs of each is taken from its side of the comparison."""

from hlx_model.provenance.comparison import Side
from hlx_model.reporting.numbers import NOTHING
from hlx_model.reporting.plots import ComparedTraining, comparison_svg


def comparison_figure(a: Side, b: Side) -> str:
    """Return the losses of both by step and, if one has a report of phase 3, their exact match, as an SVG file."""
    return comparison_svg(_compared(a), _compared(b))


def _compared(side: Side) -> ComparedTraining:
    m = side.manifest
    label = f"{side.short}: phase {m.phase}, {m.size}, learning rate {m.settings.get('learning_rate', NOTHING)}"
    translation = side.report.translation if side.report else None
    return ComparedTraining(side.name, label, m.phase, side.curve, translation)
