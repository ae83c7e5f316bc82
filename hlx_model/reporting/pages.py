"""The pages that people read: the report as HTML and as Markdown, and the statistics of a corpus.

A page stands alone: no script, nothing fetched. Everything that a model or a user wrote is escaped (`render.py`).
"""

import base64
from collections.abc import Mapping

from hlx_model.corpus.split import Split
from hlx_model.corpus.statistics import BySplit, Statistics
from hlx_model.language import Format
from hlx_model.phases import PHASES
from hlx_model.reporting import views
from hlx_model.reporting.models import Report
from hlx_model.reporting.plots import LossPlot, loss_svg
from hlx_model.reporting.render import render

_HOW_COMPARED = (
    "Rates are the same if their 95% intervals overlap: so few samples cannot tell them apart. Losses are compared "
    "only on the same corpora, and are the same within 0.05 nats."
)
_COMMON_OPERATIONS = 40
"""Operations that the statistics show; the others are summed."""


def report_page(report: Report) -> str:
    """Return a report as one HTML page."""
    gates = [gate.outcome for gate in report.gates]
    return render(
        "report.html",
        **_shown(report),
        sections=_sections(report),
        phase=PHASES[report.phase],
        outcomes=", ".join(f"{gates.count(o)} {o}" for o in ("pass", "warn", "fail") if o in gates),
        plot=LossPlot.of(report),
        standalone=False,
    )


def report_markdown(report: Report) -> str:
    """Return a report as Markdown, for Dagster's UI: shorter than the page, the loss curve as a data URI."""
    return render("report.md", **_shown(report), loss_base64=base64.b64encode(loss_svg(report).encode()).decode())


def _shown(report: Report) -> dict[str, object]:
    """Return what both pages show of a report."""
    f = report.translation
    common, other = views.common_operations(f) if f else ({}, {})
    return {
        "report": report,
        "how_compared": _HOW_COMPARED,
        "changes": views.changes,
        "formats": list(Format),
        "directions": views.directions(f) if f else {},
        "between": views.between_formats(f) if f else {},
        "standard_prompts": views.by_prompt(f.standard_prompts) if f else {},
        "common": common,
        "other": other,
    }


def _sections(report: Report) -> dict[str, str]:
    """Return the sections that the page has: the title of each by its anchor."""
    f = report.translation
    shown = {
        "Gates": True,
        "Comparison": True,
        "Loss": True,
        "Translation": f is not None,
        "Between formats": f is not None and bool(f.between),
        "By operation": f is not None and bool(f.by_operation),
        "By length": f is not None and bool(f.by_length),
        "Gates during training": bool(report.milestones),
        "Worst answers": bool(report.worst),
        "Examples": bool(report.examples),
        "Standard prompts": f is not None and bool(f.standard_prompts),
        "All figures": True,
        "Evaluated on": True,
    }
    return {title.lower().replace(" ", "-"): title for title, present in shown.items() if present}


def statistics_markdown(statistics: Statistics) -> str:
    """Return the statistics of a corpus as Markdown."""
    s = statistics
    shares = [
        ("sentences with a number", s.number, s.sentences),
        ("… in digits", s.digits, s.sentences),
        ("… spelled out", s.spelled, s.sentences),
        ("values with a negative number", s.negative, s.entries),
        ("values with a float", s.floating, s.entries),
        ("values with an awkward string", s.awkward, s.entries),
    ]
    return render(
        "statistics.md",
        statistics=s,
        splits=list(Split),
        operations=_with_others(s.operations),
        without_held_out=_without_held_out(s),
        shares=shares,
    )


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
