"""Compare a report with an earlier one of the same phase: what is better, worse, or the same within chance."""

import logging
import math
from pathlib import Path

from hlx_model.checkpoints.seal import creation_key
from hlx_model.evaluation.grade import FORMAT_GATES
from hlx_model.layout import CHECKPOINTS, REPORT, Artifacts
from hlx_model.reporting.models import Change, Changed, Comparison, Rates, Report

log = logging.getLogger(__name__)

LOSS_MARGIN = 0.05
"""Nats by which test losses must differ to count. Healthy `quick` trainings with different seeds ended 0.009 apart
in phase 1 and 0.017 in phase 2, two with the same settings 0.001 in phase 3. The loss of a
forgotten phase rose by 1."""
_DIRECTIONS = ("all_to_hlx", "all_to_english", "between_formats", "training_pairs")


def previous_report(artifacts: Artifacts, checkpoint: Path, phase: int) -> Report | None:
    """Return the report on the newest other checkpoint of a phase; None if there is none.

    Which one is the newest follows from the manifests. Reports of another schema are skipped, and so are files that
    cannot be read, with a warning.
    """
    own = artifacts.report(checkpoint)
    # By checkpoint: they lie in `reports/<training id>/<name>`.
    others = {
        artifacts.training / path.parts[-3] / CHECKPOINTS / path.parts[-2]: path
        for path in own.parents[1].glob(f"*/*/{REPORT}")
        if path.parent != own
    }
    for path in map(others.__getitem__, sorted(others, key=creation_key, reverse=True)):
        try:
            report = Report.read_current(path)
            if report is not None and report.phase == phase:
                return report
        except (OSError, ValueError) as error:
            log.warning("skipped: %s is not a report (%s)", path, error)
    return None


def compare_reports(before: Report, now: Report) -> Comparison:
    """Return what changed from one report to another of the same phase.

    Rates differ if their Wilson intervals do not overlap. Test losses differ if they are more than `LOSS_MARGIN`
    apart; they are compared on the same corpora alone. The report is worse if one metric is worse, whatever became
    better; else it is better if one is better.
    """
    figures = {}
    if before.corpora == now.corpora:
        figures["held_out_loss"] = _loss(before.figures.held_out_loss, now.figures.held_out_loss)
    rates_before = _rates(before)
    for name, rate in _rates(now).items():
        if name in rates_before:
            figures[name] = _rate(rates_before[name], rate)
    outcomes = {figure.outcome for figure in figures.values()}
    outcome: Change = "worse" if "worse" in outcomes else "better" if "better" in outcomes else "same"
    return Comparison(other=before.checkpoint, outcome=outcome, figures=figures)


_Rate = tuple[float, tuple[float, float]]


def _rates(report: Report) -> dict[str, _Rate]:
    """Return the rates that are compared, each with its interval, without those that have no samples."""
    found = {
        gate.name: (float(gate.value), gate.interval)
        for gate in report.gates
        if gate.name in FORMAT_GATES and gate.value is not None and gate.interval is not None and gate.samples
    }
    if f := report.translation:
        for direction in _DIRECTIONS:
            rates: Rates = getattr(f, direction)
            if rates.samples:
                found[f"{direction}.exact_match"] = rates.exact_match, rates.exact_match_interval
        if f.all_to_hlx.samples:
            found["all_to_hlx.parse_rate"] = f.all_to_hlx.parse_rate, f.all_to_hlx.parse_rate_interval
    return found


def _rate(before: _Rate, now: _Rate) -> Changed:
    (rate_before, (low_before, high_before)), (rate_now, (low_now, high_now)) = before, now
    outcome: Change = "better" if low_now > high_before else "worse" if high_now < low_before else "same"
    return Changed(before=rate_before, now=rate_now, outcome=outcome)


def _loss(before: float, now: float) -> Changed:
    """Compare losses in nats; NaN counts as infinity."""
    then, here = (float("inf") if math.isnan(loss) else loss for loss in (before, now))
    outcome: Change = "better" if here < then - LOSS_MARGIN else "worse" if here > then + LOSS_MARGIN else "same"
    return Changed(before=before, now=now, outcome=outcome)
