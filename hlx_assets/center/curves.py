"""The curves of a session's trainings, with the gates on them: at the milestones, and of the reports."""

from collections.abc import Sequence
from pathlib import Path

from hlx_assets.center.context import Center
from hlx_assets.center.models import CurvePoint, Gate, MilestoneMark, SessionGates, TrainingCurve, TrainingSession
from hlx_assets.center.trainings import judged, phase_of
from hlx_model.monitoring.snapshots import read_milestones
from hlx_model.reporting.conclusion import conclusion
from hlx_model.reporting.numbers import finite
from hlx_model.runs.metrics import MetricsRow, read_metrics
from hlx_model.verdicts import GateResult

MOST_POINTS = 2_000
"""Points of a curve that are shown: more than a screen has."""


def curves(center: Center, session: TrainingSession) -> list[TrainingCurve]:
    """Return the curve of each training of a session, in their order; a training without a record has no points."""
    return [_curve(training, phase) for training, phase in _trainings(center, session)]


def gates(center: Center, session: TrainingSession) -> list[SessionGates]:
    """Return the gates of each training of a session, in their order; without a report there is no verdict."""
    found = []
    for training, phase in _trainings(center, session):
        verdict, report = judged(training)
        found.append(
            SessionGates(
                training_id=training.name,
                phase=phase,
                milestones=_milestones(training, read_metrics(training)),
                verdict=verdict.outcome if verdict else None,
                conclusion=conclusion(report) if report else None,
                gates=[_gate(gate) for gate in verdict.gates] if verdict else [],
            )
        )
    return found


def thinned(rows: Sequence[MetricsRow], most: int = MOST_POINTS) -> list[MetricsRow]:
    """Return at most so many rows of a curve: those with a validation loss, and of the others every so many."""
    kept = [place for place, row in enumerate(rows) if row["held_out_loss"] is not None]
    others = [place for place, row in enumerate(rows) if row["held_out_loss"] is None]
    room = max(0, most - len(kept))
    if len(others) > room:
        others = [others[number * len(others) // room] for number in range(room)]
    return [rows[place] for place in sorted(kept + others)]


def _trainings(center: Center, session: TrainingSession) -> list[tuple[Path, int]]:
    """Return the directories of a session's trainings with their phases; one that left nothing is left out."""
    folders = [center.artifacts.training / name for name in session.trainings]
    return [(folder, phase) for folder in folders if (phase := phase_of(folder)) is not None]


def _curve(training: Path, phase: int) -> TrainingCurve:
    rows = read_metrics(training)
    points = [_point(row) for row in thinned(rows)]
    return TrainingCurve(
        training_id=training.name, phase=phase, points=points, milestones=_milestones(training, rows)
    )  # fmt: skip


def _point(row: MetricsRow) -> CurvePoint:
    return CurvePoint(
        step=row["step"], epoch=row["epoch"], train_loss=finite(row["train_loss"]),
        val_loss=finite(row["held_out_loss"]), learning_rate=finite(row["learning_rate"]),
        tokens_per_second=finite(row["tokens_per_second"]),
    )  # fmt: skip


def _milestones(training: Path, rows: Sequence[MetricsRow]) -> list[MilestoneMark]:
    ends = {row["epoch"]: row["step"] for row in rows if row["held_out_loss"] is not None}
    return [
        MilestoneMark(
            epoch=one.epoch, step=ends.get(one.epoch), outcome=one.outcome, gates=[_gate(gate) for gate in one.gates]
        )
        for one in read_milestones(training)
    ]


def _gate(gate: GateResult) -> Gate:
    return Gate(name=gate.name, outcome=gate.outcome, reason=gate.reason)
