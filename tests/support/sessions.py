"""Sessions as the Center shows them, made by hand."""

from datetime import UTC, datetime
from typing import Any

from hlx_assets.center.models import Links, TrainingSession

_STARTED, _ENDED = datetime(2026, 12, 1, 8, 0, tzinfo=UTC), datetime(2026, 12, 1, 9, 30, tzinfo=UTC)


def session_of(*trainings: str, **changes: Any) -> TrainingSession:
    """A session that has trained these trainings in an hour and a half."""
    found = TrainingSession(
        id="a-run", provider="", model="", targetModel="HelixTiny", corpus="Curriculum", epochs=8, status="completed",
        progress=100.0, startTime=_STARTED, endTime=_ENDED, state="completed", reason=None, position=None,
        created=_STARTED, profile="quick", settings={}, key_id=None, chain=None, after=None, resumes=None, parent=None,
        trainings=list(trainings), phase=3, epoch=8, total_epochs=8, step=None, steps=None, train_loss=None,
        val_loss=None, learning_rate=None, tokens_per_second=None, eta_hours=None, verdict="pass", grade=None,
        links=Links(page="/center/sessions/a-run", run=None, report=None, card=None, lineage=None),
    )  # fmt: skip
    return found.model_copy(update=changes)
