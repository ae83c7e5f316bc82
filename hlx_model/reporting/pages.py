"""The pages that people read: the report as HTML and as Markdown, and the statistics of a corpus.

A page has no script and fetches nothing. Everything that a model or a user wrote is escaped (`render.py`).
"""

import base64
import logging
from collections.abc import Mapping
from pathlib import Path

from hlx_model.corpus.split import Split
from hlx_model.corpus.statistics import BySplit, Statistics
from hlx_model.phases import PHASES
from hlx_model.reporting.baselines import Baselines
from hlx_model.reporting.models import Report
from hlx_model.reporting.plots import LossPlot, loss_svg
from hlx_model.reporting.render import render
from hlx_model.supervision.opinions import Opinion, read_opinions

log = logging.getLogger(__name__)

_COMMON_OPERATIONS = 40
"""Operations that the statistics show; the others are summed."""
_OPINIONS = 20
"""Opinions of a supervisor that the page shows, the newest."""


def report_page(report: Report, baselines: Baselines | None = None, training: Path | None = None) -> str:
    """Return a report as one HTML page.

    Args:
        report: what is shown.
        baselines: what other models translate, if that was measured.
        training: the directory of the training, whose opinions of a supervisor are shown beside its curve.
    """
    return render(
        "report.html", report=report, phase=PHASES[report.phase], plot=LossPlot.of(report), standalone=False,
        baselines=baselines, opinions=_opinions(training) if training else [], shown_opinions=_OPINIONS,
    )  # fmt: skip


def _opinions(training: Path) -> list[Opinion]:
    """Return the opinions on a training, the newest first; none if they cannot be read: no report fails for them."""
    try:
        return read_opinions(training)[::-1]
    except OSError as error:
        log.warning("the opinions are left out: %s", error)
        return []


def report_markdown(report: Report) -> str:
    """Return a report as Markdown, for Dagster's UI: shorter than the page, the loss curve as a data URI."""
    return render("report.md", report=report, loss_base64=base64.b64encode(loss_svg(report).encode()).decode())


def baselines_markdown(baselines: Baselines) -> str:
    """Return our model and others as Markdown tables, for Dagster's UI."""
    return render("baselines.md", baselines=baselines)


def statistics_markdown(statistics: Statistics) -> str:
    """Return the statistics of a corpus as Markdown."""
    operations, without_held_out = _with_others(statistics.operations), _without_held_out(statistics)
    return render("statistics.md", statistics=statistics, operations=operations, without_held_out=without_held_out)


def _with_others(operations: Mapping[str, BySplit]) -> dict[str, BySplit]:
    """Return the most frequent operations, and the sums of all others."""
    names = list(operations)
    shown = {name: operations[name] for name in names[:_COMMON_OPERATIONS]}
    if others := names[_COMMON_OPERATIONS:]:
        shown[f"{len(others):,} others"] = {split: sum(operations[name][split] for name in others) for split in Split}
    return shown


def _without_held_out(s: Statistics) -> list[tuple[str, list[object], int]]:
    """Return the kinds of which no entry is held out: what they are, their names, and how many kinds there are."""
    found = []
    for kind, table in (("section", s.sections), ("operation", s.operations), ("depth", s.depths)):
        names: list[object] = [name for name, counts in table.items() if sum(counts.values()) == counts[Split.TRAIN]]
        if names:
            found.append((kind, names, len(table)))
    return found
