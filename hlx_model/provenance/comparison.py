"""Compare two checkpoints and their trainings: what they were made from, and what came of it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hlx_model.checkpoints.manifest import Manifest, read_manifest
from hlx_model.evaluation.compare import compare_reports
from hlx_model.json_model import JsonModel, Number
from hlx_model.layout import REPORT, Artifacts
from hlx_model.reporting.models import CurvePoint, Rates, Report
from hlx_model.reporting.numbers import finite
from hlx_model.runs.metrics import read_metrics

log = logging.getLogger(__name__)

Differences = dict[str, dict[str, tuple[object, object]]]
"""By group and name the first's value and the second's; None if it was not recorded."""
RATES = {"exact_match_to_hlx": "all_to_hlx", "exact_match_to_english": "all_to_english"}
"""The rates that are compared, with their names in the report."""


class Rate(JsonModel):
    """Exact match, from 0 to 1."""

    rate: Number
    interval: tuple[Number, Number]
    """95%."""
    samples: int


class Figures(JsonModel):
    """What came of a training; None for a figure that it does not have. Losses in nats a token."""

    train_loss: float | None
    held_out_loss: float | None
    best_held_out_loss: float | None
    judged_held_out_loss: float | None
    """From the report."""
    exact_match_to_hlx: Rate | None
    exact_match_to_english: Rate | None
    verdict: str | None
    grade: str | None
    points: Number | None


@dataclass(frozen=True)
class Side:
    """A checkpoint with its loss curve and its report."""

    name: str
    """`<training id>/<checkpoint>`."""
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
        manifest = read_manifest(checkpoint)
        name = f"{manifest.training_id}/{checkpoint.absolute().name}"
        return cls(name, manifest, _curve(checkpoint, manifest.step), _report(checkpoint, manifest))

    @property
    def short(self) -> str:
        """The name with the first characters of the training's id."""
        training, _, checkpoint = self.name.partition("/")
        return f"{training[:8]}/{checkpoint}"

    @property
    def figures(self) -> Figures:
        """What came of the training."""
        training, held_out = (
            [loss for row in self.curve if (loss := finite(getattr(row, column))) is not None]
            for column in ("train_loss", "held_out_loss")
        )
        report, translation = self.report, self.report.translation if self.report else None
        return Figures(
            train_loss=training[-1] if training else None,
            held_out_loss=held_out[-1] if held_out else None,
            best_held_out_loss=min(held_out, default=None),
            judged_held_out_loss=finite(report.figures.held_out_loss) if report else None,
            exact_match_to_hlx=_rate(translation.all_to_hlx) if translation else None,
            exact_match_to_english=_rate(translation.all_to_english) if translation else None,
            verdict=report.outcome if report else None,
            grade=report.grade.letter if report else None,
            points=report.grade.points if report else None,
        )


def _rate(rates: Rates) -> Rate | None:
    if not rates.samples:
        return None
    return Rate(rate=rates.exact_match, interval=rates.exact_match_interval, samples=rates.samples)


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
    directory = checkpoint.absolute().parents[1]
    try:
        return [CurvePoint.from_json(row) for row in read_metrics(directory) if row["step"] <= step]
    except (OSError, ValueError, KeyError) as error:
        log.warning("skipped: the metrics of %s cannot be read (%s)", directory, error)
        return []


def _report(checkpoint: Path, manifest: Manifest) -> Report | None:
    path = Artifacts.of_checkpoint(checkpoint).report(checkpoint) / REPORT
    again = f"evaluate it: `hlx validate --checkpoint {checkpoint}`"
    try:
        report = Report.read_current(path)
        if report is not None and report.weights_sha256 == manifest.weights_sha256:
            return report
        log.warning("skipped: %s has another schema, or is on other weights: %s", path, again)
    except FileNotFoundError:
        log.warning("%s was not evaluated: %s", checkpoint.name, again)
    except (OSError, ValueError) as error:
        log.warning("skipped: %s is not a report (%s): %s", path, error, again)
    return None
