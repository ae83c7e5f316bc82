"""The live feed: every half second the state of the live sessions is read once, for all who listen.

A listener gets the whole state first, and after that what has changed. One that reads slowly gets the newest state of
each session when it reads again: nothing is kept for it but that.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

from fastapi.concurrency import run_in_threadpool

from hlx_assets.center import sessions
from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.models import StatusMessage, TrainingSession

log = logging.getLogger(__name__)

SECONDS = 0.5
"""Between two readings."""
_MEASURED = {
    "epoch": "not started",
    "total_epochs": "not known before the corpus is made",
    "eta_hours": "not known yet",
}
_ENDED = 10
"""So many sessions that have ended are read too: one that was live before is shown once more."""


class Listener:
    """One who listens: the newest text of each session that it has not got yet."""

    def __init__(self, session_id: str | None) -> None:
        """`session_id`: the only session to hear of; None: all."""
        self.session_id, self.fresh = session_id, True
        self.pending: dict[str, str] = {}
        self.news = asyncio.Event()

    def put(self, session_id: str, text: str) -> None:
        """Add the newest text of a session."""
        if self.session_id in (None, session_id):
            self.pending[session_id] = text
            self.news.set()

    async def messages(self) -> AsyncIterator[str]:
        """Yield texts as they come."""
        while True:
            await self.news.wait()
            self.news.clear()
            while self.pending:
                yield self.pending.pop(next(iter(self.pending)))


class Feed:
    """Reads the sessions while somebody listens."""

    def __init__(self, center: Center) -> None:
        self._center = center
        self._listeners: set[Listener] = set()
        self._last: dict[str, str] = {}
        self._live: set[str] = set()
        self._wanted = asyncio.Event()

    @contextmanager
    def listen(self, session_id: str | None) -> Iterator[Listener]:
        """Yield a listener to one session, or to all."""
        listener = Listener(session_id)
        self._listeners.add(listener)
        self._wanted.set()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def run(self) -> None:
        """Read and publish until cancelled."""
        while True:
            if not self._listeners:
                self._wanted.clear()
                self._last, self._live = {}, set()
                await self._wanted.wait()
            try:
                self._publish(await run_in_threadpool(sessions.queue, self._center, _ENDED), await self._asked_for())
            except Exception:
                # The database may be gone for a moment; the feed must outlive that.
                log.exception("the sessions could not be read")
            await asyncio.sleep(SECONDS)

    async def _asked_for(self) -> list[TrainingSession]:
        """Return the ended sessions that new listeners asked for by their ids."""
        found = []
        for session_id in {one.session_id for one in self._listeners if one.fresh and one.session_id}:
            with suppress(CenterError):
                found.append(await run_in_threadpool(sessions.session, self._center, session_id))
        return found

    def _publish(self, found: list[TrainingSession], asked_for: list[TrainingSession]) -> None:
        live = {one.id for one in found if one.status in ("queued", "running")}
        texts = {one.id: message_of(one).model_dump_json() for one in found if one.id in live | self._live}
        more = {one.id: message_of(one).model_dump_json() for one in asked_for}
        for listener in self._listeners:
            news = {**texts, **more} if listener.fresh else texts
            for session_id, text in news.items():
                if listener.fresh or self._last.get(session_id) != text:
                    listener.put(session_id, text)
            listener.fresh = False
        self._last, self._live = texts, live


def message_of(session: TrainingSession) -> StatusMessage:
    """Return the message of the WebSocket on a session."""
    shared = {name: getattr(session, name) for name in StatusMessage.model_fields if hasattr(session, name)}
    nulls = {
        name: _MEASURED.get(name, "not a finite number" if session.step else "not measured yet")
        for name in ("epoch", "total_epochs", "train_loss", "val_loss", "eta_hours") if shared[name] is None
    }  # fmt: skip
    last = session.trainings[-1] if session.trainings else None
    return StatusMessage(**shared, session_id=session.id, training_id=last, null_reasons=nulls)


@contextlib.asynccontextmanager
async def running(feed: Feed) -> AsyncIterator[None]:
    """Let a feed run while the block does."""
    task = asyncio.create_task(feed.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
