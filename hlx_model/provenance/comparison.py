"""Two checkpoints and their trainings side by side: what they were made from otherwise, and what came of it."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hlx_model.checkpoints.manifest import Manifest, read_manifest
from hlx_model.evaluation.compare import compare_reports
from hlx_model.layout import REPORT, Artifacts
from hlx_model.reporting.models import CurvePoint, Rates, Report
from hlx_model.reporting.numbers import finite
from hlx_model.runs.metrics import read_metrics

log = logging.getLogger(__name__)

Differences = dict[str, dict[str, tuple[Any, Any]]]
"""By group and name what the first has and what the second; None where it was not recorded."""
RATES = {"exact_match_to_hlx": "all_to_hlx", "exact_match_to_english": "all_to_english"}
"""The rates that are compared, by the report's names for them."""


@dataclass(frozen=True)
class Side:
    """A checkpoint, and what is on record of it."""

    name: str
    """`<training id>/<checkpoint>`."""
    manifest: Manifest
    curve: list[CurvePoint]
    """Rows of `metrics.parquet` up to the checkpoint's step."""
    report: Report | None
    """None where it was not judged, or long ago, by another schema."""

    @classmethod
    def of(cls, checkpoint: Path) -> "Side":
        """Raises `CheckpointError` where the manifest cannot be read; without a curve or a report it goes on."""
        manifest = read_manifest(checkpoint)
        name = f"{manifest.training_id}/{checkpoint.absolute().name}"
        return cls(name, manifest, _curve(checkpoint, manifest.step), _report(checkpoint, manifest))

    @property
    def short(self) -> str:
        """The name with the beginning of the training's id."""
        training, _, checkpoint = self.name.partition("/")
        return f"{training[:8]}/{checkpoint}"

    @property
    def figures(self) -> dict[str, Any]:
        """What came of it: losses in nats, rates with their 95% intervals; None where there is no such figure."""
        training = [loss for row in self.curve if (loss := finite(row.train_loss)) is not None]
        held_out = [loss for row in self.curve if (loss := finite(row.held_out_loss)) is not None]
        report = self.report
        return {
            "train_loss": training[-1] if training else None,
            "held_out_loss": held_out[-1] if held_out else None,
            "best_held_out_loss": min(held_out, default=None),
            "judged_held_out_loss": finite(report.figures.held_out_loss) if report else None,
            **{name: rate(getattr(report.figures, key, None) if report else None) for name, key in RATES.items()},
            "verdict": report.outcome if report else None,
            "grade": report.grade.letter if report else None,
            "points": report.grade.points if report else None,
        }


def rate(rates: Rates | None) -> dict[str, Any] | None:
    """Exact match of a report's rates with its interval; None where nothing was asked."""
    if rates is None or not rates.samples:
        return None
    return {"rate": rates.exact_match, "interval": rates.exact_match_interval, "samples": rates.samples}


def differences(a: Side, b: Side) -> Differences:
    """What differs of what two checkpoints were made from; groups in which nothing does are left out."""
    found: Differences = {}
    ours, theirs = _made_from(a.manifest), _made_from(b.manifest)
    for group, facts in ours.items():
        names = dict.fromkeys([*facts, *theirs[group]])
        other = {name: (facts.get(name), theirs[group].get(name)) for name in names}
        if differing := {name: pair for name, pair in other.items() if pair[0] != pair[1]}:
            found[group] = differing
    return found


def outcomes(a: Side, b: Side) -> dict[str, str]:
    """By figure whether the second's is better, the same or worse, as far as the reports of one phase can tell."""
    if not a.report or not b.report or a.report.phase != b.report.phase:
        return {}
    found = {name: figure.outcome for name, figure in compare_reports(a.report, b.report).figures.items()}
    names = {"judged_held_out_loss": "held_out_loss"} | {name: f"{key}.exact_match" for name, key in RATES.items()}
    return {name: found[key] for name, key in names.items() if key in found}


def cautions(a: Side, b: Side) -> list[str]:
    """What a reader must know before these figures are compared."""
    said = []
    if a.manifest.phase != b.manifest.phase:
        said.append("they are of different phases: their losses are of different texts and do not compare")
    elif "corpora" in differences(a, b):
        said.append("their corpora differ: losses and rates are of different texts and compare roughly at best")
    if dirty := [letter for side, letter in ((a, "A"), (b, "B")) if side.manifest.code.get("dirty")]:
        said.append(f"{' and '.join(dirty)}: trained with uncommitted changes, beyond what the commit says")
    return said


def _made_from(m: Manifest) -> dict[str, dict[str, Any]]:
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
        log.warning("passed over: the metrics of %s cannot be read (%s)", directory, error)
        return []


def _report(checkpoint: Path, manifest: Manifest) -> Report | None:
    path = Artifacts.of_checkpoint(checkpoint).report(checkpoint) / REPORT
    again = f"judge it with `hlx validate --checkpoint {checkpoint}`"
    try:
        report = Report.read_current(path)
        if report is not None and report.weights_sha256 == manifest.weights_sha256:
            return report
        log.warning("passed over: %s is of another schema, or of other weights: %s", path, again)
    except FileNotFoundError:
        log.warning("%s was not judged: %s", checkpoint.name, again)
    except (OSError, ValueError) as error:
        log.warning("passed over: %s is no report (%s): %s", path, error, again)
    return None
