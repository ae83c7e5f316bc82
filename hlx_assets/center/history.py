"""Sessions that have ended with their figures, and some of them beside each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hlx_assets.center import providers
from hlx_assets.center.context import Center
from hlx_assets.center.curves import curves
from hlx_assets.center.models import TARGETS, Comparison, HistoryRow, TrainingSession
from hlx_assets.center.trainings import checkpoint_in, judged
from hlx_model.history import row_of
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.provenance.lookup import readable_manifest
from hlx_model.reporting.numbers import finite

FIGURES = (
    "train_loss", "best_val_loss", "test_loss", "exact_match_to_hlx", "exact_match_to_english", "evaluation", "seconds",
)  # fmt: skip
"""The fields of a row that are compared."""


def rows(center: Center, sessions: Sequence[TrainingSession]) -> list[HistoryRow]:
    """Return sessions with the figures of their last trainings, and what was paid for their supervision."""
    spent = providers.spent_by_session(center)
    costs = [None if spent is None else spent.get(session.id, 0.0) for session in sessions]
    return [
        row(center, session).model_copy(update={"cost_usd": cost})
        for session, cost in zip(sessions, costs, strict=True)
    ]


def row(center: Center, session: TrainingSession) -> HistoryRow:
    """Return a session with the figures of its last training; None for what that does not have. Losses in nats."""
    training = _last(center, session)
    found = row_of(training) if training else None
    report = judged(training)[1] if training else None
    evaluated = report.evaluation.all_to_hlx if report and report.evaluation else None
    times = session.start_time, session.end_time
    return HistoryRow(
        session=session,
        seconds=(times[1] - times[0]).total_seconds() if times[0] and times[1] else None,
        train_loss=finite(found.train_loss) if found else None,
        best_val_loss=finite(found.best_held_out_loss) if found else None,
        test_loss=finite(report.figures.held_out_loss) if report else None,
        exact_match_to_hlx=found.exact_match_to_hlx if found else None,
        exact_match_to_english=found.exact_match_to_english if found else None,
        evaluation=evaluated.exact_match if evaluated and evaluated.samples else None,
    )


def compare(center: Center, rows: Sequence[HistoryRow]) -> Comparison:
    """Return sessions beside each other: the settings that differ, the figures, and the curve of each last training.

    Settings are those of the last training, as its checkpoint records them: with its corpus and its parent.
    """
    made_from = [_made_from(_last(center, one.session), one.session) for one in rows]
    names = dict.fromkeys(name for settings in made_from for name in settings)
    beside = {name: [settings.get(name) for settings in made_from] for name in names}
    return Comparison(
        sessions=list(rows),
        settings={name: values for name, values in beside.items() if any(value != values[0] for value in values)},
        figures={name: [getattr(one, name) for one in rows] for name in FIGURES},
        curves=[next(reversed(curves(center, one.session)), None) for one in rows],
    )


def _last(center: Center, session: TrainingSession) -> Path | None:
    return center.artifacts.training / session.trainings[-1] if session.trainings else None


def _made_from(training: Path | None, session: TrainingSession) -> Mapping[str, Any]:
    """Return what a session's last training was made from; what the request named, if it left no checkpoint."""
    asked = {
        "corpus": session.corpus, "size": TARGETS.get(session.target_model), "profile": session.profile,
        "epochs": session.epochs, "provider": session.provider, "model": session.model,
    }  # fmt: skip
    checkpoint = checkpoint_in(training) if training else None
    manifest = readable_manifest(checkpoint) if checkpoint else None
    if manifest is None:
        return {**asked, **session.settings}
    version, parent = manifest.corpora.get(CORPUS_OF_PHASE[manifest.phase]), manifest.parent
    return {
        **asked,
        **manifest.settings,
        "corpus_version": version.data_version[:12] if version else None,
        "parent": f"{parent.training_id}/{parent.name}" if parent else None,
    }
