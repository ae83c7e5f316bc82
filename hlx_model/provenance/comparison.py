"""Compare two checkpoints and their trainings: what they were made from, and what came of it."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hlx_model.checkpoints.manifest import Manifest, read_manifest
from hlx_model.evaluation.compare import compare_reports
from hlx_model.language import Format
from hlx_model.layout import REPORT, Artifacts, training_of
from hlx_model.reporting.models import CurvePoint, Rates, Report
from hlx_model.reporting.numbers import finite
from hlx_model.reporting.plots import Frame, losses_of
from hlx_model.reporting.render import render
from hlx_model.runs.metrics import read_metrics

log = logging.getLogger(__name__)

Differences = dict[str, dict[str, tuple[object, object]]]
"""By group and name the first's value and the second's; None if it was not recorded."""
RATES = {"exact_match_to_hlx": "all_to_hlx", "exact_match_to_english": "all_to_english"}
"""The rates that are compared, with their names in the report."""


class Side(NamedTuple):
    """A checkpoint with its loss curve and its report."""

    checkpoint: str
    """The name of its directory."""
    manifest: Manifest
    curve: Sequence[CurvePoint]
    """Rows of `metrics.parquet` up to the checkpoint's step."""
    report: Report | None
    """None if it was not evaluated, or has a report of another schema."""

    @classmethod
    def of(cls, checkpoint: Path) -> "Side":
        """Read a checkpoint's directory. A missing curve or report is logged as a warning.

        Raises:
            CheckpointError: its manifest cannot be read.
        """
        name, manifest = checkpoint.absolute().name, read_manifest(checkpoint)
        return cls(name, manifest, _curve(checkpoint, manifest.step), _report(checkpoint, manifest))

    @property
    def name(self) -> str:
        """`<training id>/<checkpoint>`."""
        return f"{self.manifest.training_id}/{self.checkpoint}"

    @property
    def figures(self) -> dict[str, object]:
        """What came of the training, as `--json` shows it; None for what it does not have. Losses in nats a token."""
        train_losses = [loss for row in self.curve if (loss := finite(row.train_loss)) is not None]
        held_out_losses = [loss for row in self.curve if (loss := finite(row.held_out_loss)) is not None]
        report = self.report
        translation = report.translation if report else None
        return {
            "train_loss": train_losses[-1] if train_losses else None,
            "held_out_loss": held_out_losses[-1] if held_out_losses else None,
            "best_held_out_loss": min(held_out_losses, default=None),
            "judged_held_out_loss": finite(report.figures.held_out_loss) if report else None,
            **{name: _rate(getattr(translation, key)) if translation else None for name, key in RATES.items()},
            "verdict": report.outcome if report else None,
            "grade": report.grade.letter if report else None,
            "points": report.grade.points if report else None,
        }


def _rate(rates: Rates) -> dict[str, object] | None:
    found = {"rate": rates.exact_match, "interval": rates.exact_match_interval, "samples": rates.samples}
    return found if rates.samples else None


def comparison_svg(a: Side, b: Side) -> str:
    """Return the losses of both by step and, if one has a report of phase 3, their exact match, as an SVG file."""
    sides = {"a": a, "b": b}
    losses = {key: losses_of(side.curve) for key, side in sides.items()}
    rated = {key: side.report.translation for key, side in sides.items() if side.report and side.report.translation}
    to_hlx = {key: {**f.to_hlx, "all": f.all_to_hlx} for key, f in rated.items()}
    to_english = {key: {**f.to_english, "all": f.all_to_english} for key, f in rated.items()}
    groups = len(Format) + 1
    panels = [
        ("English → HLX", Frame(64, 488, 467, 678, groups, 1.0), to_hlx),
        ("HLX → English", Frame(531, 488, 934, 678, groups, 1.0), to_english),
    ]
    frame = Frame.around(losses.values(), (), (64, 96, 934, 396))
    shown = panels if rated else []
    return render("comparison.svg", sides=sides, losses=losses, frame=frame, rated=rated, panels=shown)


def differences(a: Side, b: Side) -> Differences:
    """Return what differs in what two checkpoints were made from; groups without a difference are left out."""
    found: Differences = {}
    first, second = _made_from(a.manifest), _made_from(b.manifest)
    for group in first:
        names = dict.fromkeys([*first[group], *second[group]])
        pairs = {name: (first[group].get(name), second[group].get(name)) for name in names}
        if differing := {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}:
            found[group] = differing
    return found


def outcomes(a: Side, b: Side) -> dict[str, str]:
    """Return for each figure whether the second's is better, the same or worse; nothing for reports of two phases."""
    if not a.report or not b.report or a.report.phase != b.report.phase:
        return {}
    found = {name: figure.outcome for name, figure in compare_reports(a.report, b.report).figures.items()}
    names = {"judged_held_out_loss": "held_out_loss"} | {name: f"{key}.exact_match" for name, key in RATES.items()}
    return {name: found[key] for name, key in names.items() if key in found}


def cautions(a: Side, b: Side) -> list[str]:
    """Return what a reader must know before comparing the figures, one line each."""
    lines = []
    if a.manifest.phase != b.manifest.phase:
        lines.append("they are of different phases: their losses are on different texts and cannot be compared")
    elif "corpora" in differences(a, b):
        lines.append("their corpora differ: losses and rates are on different texts, and only roughly comparable")
    if dirty := [letter for side, letter in ((a, "A"), (b, "B")) if side.manifest.code.get("dirty")]:
        lines.append(f"{' and '.join(dirty)}: trained with changes that are not in the recorded commit")
    return lines


def _made_from(m: Manifest) -> dict[str, dict[str, object]]:
    parent = m.parent
    return {
        "settings": {"phase": m.phase, "size": m.size, **m.settings},
        "corpora": {asset: version.data_version for asset, version in m.corpora.items()},
        "parent": {
            "parent": f"{parent.training_id}/{parent.name}" if parent else None,
            "parent's verdict": parent.verdict.outcome if parent and parent.verdict else None,
            "ungated": ", ".join(m.ungated) or None,
        },
        "code": {"vocabulary": m.vocabulary_sha256, **m.code},
        "device": {"device": m.device or None},
        "packages": dict(m.versions),
    }


def _curve(checkpoint: Path, step: int) -> list[CurvePoint]:
    return [CurvePoint.from_json(row) for row in read_metrics(training_of(checkpoint)) if row["step"] <= step]


def _report(checkpoint: Path, manifest: Manifest) -> Report | None:
    path = Artifacts.of_checkpoint(checkpoint).report(checkpoint) / REPORT
    try:
        report = Report.read_current(path)
    except FileNotFoundError:
        problem = f"{checkpoint.name} was not evaluated"
    except (OSError, ValueError) as error:
        problem = f"{path} is not a report ({error})"
    else:
        if report is not None and report.weights_sha256 == manifest.weights_sha256:
            return report
        problem = f"{path} has another schema, or is on other weights"
    log.warning("%s: evaluate it: `hlx validate --checkpoint %s`", problem, checkpoint)
    return None
