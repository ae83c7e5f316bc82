"""What the parts of the page show: each is a template in `templates/parts`, on the page and alone when it has changed.

A part that cannot be read says why, and the others are shown.
"""

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from markupsafe import Markup

from hlx_assets.center import checkpoints, curves, health, history, log, providers, sessions
from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.models import (
    AlertLine,
    Estimate,
    ExportAnswer,
    Health,
    SessionGates,
    SessionLog,
    StartAnswer,
    TestAnswer,
    TrainingCurve,
    TrainingSession,
)
from hlx_assets.center.provider_models import OpinionInfo, ProviderInfo
from hlx_assets.center.rendering import page_title, render

logger = logging.getLogger(__name__)

TITLE = "Training Center"
ENDED = 5
"""Ended sessions in the queue."""
PAST = 30
"""Sessions in the history, and checkpoints."""
LOG_LINES = 200
_BASIC = frozenset({
    "key", "action", "replaces", "corpus", "profile", "targetModel", "epochs", "after", "confirmed", "supervisor",
    "without_provider",
})  # fmt: skip


@dataclass(frozen=True)
class NewSession:
    """The form of a new session."""

    values: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None
    estimate: Estimate | None = None
    started: StartAnswer | None = None
    replaces: TrainingSession | None = None
    """The queued session whose place the new one takes."""
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Its `Idempotency-Key`: a form that is sent twice starts one session."""

    @property
    def more(self) -> bool:
        """Whether a setting is given that stands under more settings."""
        return any(value for name, value in self.values.items() if name not in _BASIC)


@dataclass(frozen=True)
class Said:
    """What was done with a checkpoint on the page, and its outcome."""

    text: str = ""
    to: str = ""
    answer: TestAnswer | None = None
    exported: ExportAnswer | None = None
    problem: str | None = None
    exporting: bool = False

    @property
    def tried(self) -> bool:
        """Whether a text was tried."""
        return not self.exporting


@dataclass(frozen=True)
class Did:
    """What a form for keys or caps did, or why it did not."""

    said: str | None = None
    refused: bool = False
    """It was done, and the provider refuses the key."""
    problem: str | None = None
    of: str | None = None
    """The id of the key."""
    values: Mapping[str, str] = field(default_factory=dict)
    """What was typed; never a key."""


class SessionView:
    """A session with all that is shown of it; each thing is read at most once, and only if it is shown."""

    def __init__(self, reading: "Reading", session: TrainingSession) -> None:
        self.center, self.session, self.reading = reading.center, session, reading

    @cached_property
    def curves(self) -> list[TrainingCurve]:
        """The curves of its trainings."""
        return curves.curves(self.center, self.session)

    @cached_property
    def gates(self) -> list[SessionGates]:
        """The gates of its trainings."""
        return curves.gates(self.center, self.session)

    @cached_property
    def opinions(self) -> list[OpinionInfo]:
        """What supervisors said of its trainings, the newest first."""
        return list(reversed(providers.opinions(self.center, self.session)))

    @cached_property
    def log(self) -> SessionLog:
        """The end of its log."""
        return log.session_log(self.center, self.session.id, None, LOG_LINES)

    @cached_property
    def alerts(self) -> list[AlertLine]:
        """The watchdog's alerts on it."""
        return [alert for alert in self.reading.health.alerts if alert.run_id == self.session.id]


class Reading:
    """What one answer shows: each thing is read at most once."""

    def __init__(self, center: Center, form: NewSession | None = None, problem: str | None = None) -> None:
        """`form` is that of the new session, `problem` why something could not be done with the queue."""
        self.center, self.form, self.problem = center, form or NewSession(), problem
        self.said: dict[str, Said] = {}
        self.did: dict[str, Did] = {}

    @cached_property
    def sessions(self) -> list[TrainingSession]:
        """The running session, those that wait, and those that ended last."""
        return sessions.queue(self.center, ended=ENDED)

    @cached_property
    def health(self) -> Health:
        """Whether what a session needs works."""
        return health.health(self.center)

    @cached_property
    def providers(self) -> list[ProviderInfo]:
        """The providers with their models."""
        return providers.providers(self.center)

    def first(self, *status: str) -> TrainingSession | None:
        """Return the first of the sessions with one of these statuses."""
        return next((one for one in self.sessions if one.status in status), None)

    @property
    def title(self) -> str:
        """The title of the page; without the sessions, its name."""
        try:
            return page_title(self.sessions, TITLE)
        except Exception:
            # The part that shows the sessions says it.
            return page_title([], TITLE)

    def part(self, name: str, **values: object) -> Markup:
        """Render a part; one that cannot be read says why."""
        try:
            return render(f"parts/{name}", **PARTS[name](self), **values)
        except CenterError as error:
            return render("parts/problem", problem=error.detail)
        except Exception:
            # Of any type: a database that is gone for a moment, a damaged file. The rest of the page is of use.
            logger.exception("a part of the page could not be read: %s", name)
            return render("parts/problem", problem="this could not be read: the log of this server says why")


def _overall(reading: Reading) -> dict[str, Any]:
    found = {"sessions": reading.sessions, "running": reading.first("running")}
    return found | {"health": reading.health, "title": reading.title}


def _form(reading: Reading) -> dict[str, Any]:
    live = [one for one in reading.sessions if one.status in ("queued", "running")]
    return {"live": live, **_supervisors(reading)}


def _supervisors(reading: Reading) -> dict[str, Any]:
    return {"form": reading.form, "providers": reading.providers}


def _keys(reading: Reading) -> dict[str, Any]:
    keys = providers.keys(reading.center)
    return {"keys": keys, "providers": reading.providers, "did": reading.did.get("keys", Did())}


def _models(reading: Reading) -> dict[str, Any]:
    return {"providers": reading.providers, "did": reading.did.get("models", Did())}


def _costs(reading: Reading) -> dict[str, Any]:
    locked = reading.center.token is not None
    return {"costs": providers.costs(reading.center), "did": reading.did.get("costs", Did()), "locked": locked}


def _queue(reading: Reading) -> dict[str, Any]:
    return {"sessions": reading.sessions, "problem": reading.problem}


def _live(reading: Reading) -> dict[str, Any]:
    running = reading.first("running")
    view = SessionView(reading, running) if running else None
    return {"view": view, "last": reading.first("completed", "failed")}


def _history(reading: Reading) -> dict[str, Any]:
    past = sessions.history(reading.center, PAST)
    return {"rows": history.rows(reading.center, past)}


def _checkpoints(reading: Reading) -> dict[str, Any]:
    rows = checkpoints.checkpoints(reading.center, PAST)
    return {"rows": rows, "answers": reading.said, "more": len(rows) == PAST}


def _health(reading: Reading) -> dict[str, Any]:
    return {"health": reading.health}


PARTS: Mapping[str, Callable[[Reading], dict[str, Any]]] = {
    "overall": _overall,
    "keys": _keys,
    "models": _models,
    "form": _form,
    "supervisors": _supervisors,
    "queue": _queue,
    "live": _live,
    "history": _history,
    "checkpoints": _checkpoints,
    "costs": _costs,
    "health": _health,
}
"""The parts of the page, by the names of their templates."""
