"""What a server needs of its model: the one that is served now, its verdict, and a newer one without a lost request."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from hlx_model.checkpoints.manifest import CheckpointError, directory_name
from hlx_model.checkpoints.seal import VerifiedCheckpoint
from hlx_model.serving.engines import Engines
from hlx_model.serving.finished import finished_model, trust, verdict_on, verify_finished
from hlx_model.serving.jobs import Closed, Job, Text
from hlx_model.serving.metrics import Metrics
from hlx_model.shown import one_line
from hlx_model.verdicts import Outcome

log = logging.getLogger(__name__)

Judged = Outcome | Literal["none"]
"""The verdict on a model; `none` if it was never evaluated, or its verdict is of other gates."""
WATCH_SECONDS = 10.0
"""Seconds between two looks for a newer checkpoint."""


@dataclass(frozen=True)
class Limits:
    """What a server does at most."""

    slots: int = 64
    """Texts that are written at once."""
    waiting: int = 256
    """Texts that wait for a slot. More are refused."""
    seconds: float = 30.0
    """From a request to its answer, else it is refused."""
    body_seconds: float = 10.0
    """For a request's head, and again for its body."""
    body_bytes: int = 1 << 20


@dataclass(frozen=True)
class Serving:
    """A model that is served."""

    model: VerifiedCheckpoint
    verdict: Judged
    trust: tuple[str, ...]
    """What it can do, and what its verdict is, in lines for a person."""
    engines: Engines

    @property
    def name(self) -> str:
        """Return its name for clients, of an exported folder too: `<training id>/<checkpoint>`."""
        m = self.model.manifest
        return f"{m.training_id}/{directory_name(m.kind, m.phase, m.epoch, m.step)}"


class Service:
    """The model that is served, which `reload` may replace.

    Args:
        named: as `finished_model` takes it.
        training: the folder of the trainings.
        device: to compute on.
        ungated: whether a model is served that failed its gates, was never evaluated, or whose verdict is void.
        limits: what the server does at most.

    Raises:
        ValueError: there is no such model (`CheckpointError`), or it is not served without `ungated`.
    """

    def __init__(
        self, named: str | None, training: Path, *, device: str = "cpu", ungated: bool = False, limits: Limits
    ) -> None:
        self.device, self.limits, self.metrics = device, limits, Metrics()
        self._find: Callable[[], VerifiedCheckpoint] = lambda: finished_model(named, training)
        self._ungated = ungated
        self._changing = threading.Lock()
        self.current = self._load(self._find())

    def submit(self, texts: Sequence[Text], *, each_token: bool = False) -> tuple[Serving, Job]:
        """Let texts be written by the model that is served now, as `Engines.submit` does it.

        Raises:
            Overloaded: too many wait.
            Closed: the server ends.
        """
        while True:
            serving = self.current
            try:
                return serving, serving.engines.submit(texts, each_token=each_token)
            except Closed:
                if serving is self.current:  # else it was replaced in this moment
                    raise

    def reload(self, *, verify: bool = True) -> bool:
        """Take up the model that the server would serve if it started now, and return whether it is another one.

        What was asked of the one before is still answered by it. If the new one is not served, that one stays; its
        verdict is read again.

        Args:
            verify: whether the files of the same model are hashed again.

        Raises:
            ValueError: it is not served; says why.
        """
        with self._changing:
            before = self.current
            try:
                found = self._find()
                if _identity(found) != _identity(before.model):
                    self.current = self._load(found)
                    before.engines.close()
                    log.warning("now serving %s, verdict %s", self.current.name, self.current.verdict)
                    return True
                self._require_served(found)
                if verify:
                    verify_finished(found)
            finally:
                if self.current is before:
                    lines = tuple(map(one_line, trust(before.model)))
                    self.current = replace(before, verdict=_judged(before.model), trust=lines)
                    if self.current.verdict != before.verdict:
                        log.warning("%s: verdict %s, was %s", before.name, self.current.verdict, before.verdict)
            return False

    async def watch(self) -> None:
        """Take up newer models until it is cancelled."""
        said = ""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await asyncio.to_thread(self.reload, verify=False)
                said = ""
            except (ValueError, OSError, RuntimeError) as error:
                if (now := one_line(error)) != said:
                    log.warning("%s stays: %s", self.current.name, now)
                    said = now

    def _load(self, found: VerifiedCheckpoint) -> Serving:
        self._require_served(found)
        limits, lines = self.limits, tuple(map(one_line, trust(found)))
        engines = Engines(
            found, self.device, slots=limits.slots, max_waiting=limits.waiting, on_tokens=self.metrics.tokens.inc
        )
        return Serving(found, _judged(found), lines, engines)

    def _require_served(self, found: VerifiedCheckpoint) -> None:
        if self._ungated or (verdict := _judged(found)) in ("pass", "warn"):
            return
        *_, why = trust(found)
        lacks = "did not pass its gates" if verdict == "fail" else "has no verdict"
        raise CheckpointError(
            f"{found.ref} {lacks}, and is not served ({why.removeprefix('warning: ')}); with --ungated it is"
        )


def _judged(model: VerifiedCheckpoint) -> Judged:
    found = verdict_on(model)
    return "none" if found is None or found[0].void else found[0].outcome


def _identity(model: VerifiedCheckpoint) -> tuple[Path, str]:
    return model.path, model.manifest.weights_sha256
