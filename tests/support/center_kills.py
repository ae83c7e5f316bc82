"""Kill the Training Center, a trainer, and everything: is each session's state right, and does what was cut resume?"""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from hlx_assets.watchdog.runs import worker_of
from hlx_model.layout import CHECKPOINTS
from tests.support.dagster_home import Home
from tests.support.kills import contents, is_final
from tests.support.live_center import Api, make_center, make_ui_with_center
from tests.support.live_dagster import kill_all, processes_of

SETTINGS = {"HLX_WATCHDOG_SECONDS": "5", "HLX_SAVE_SECONDS": "0"}
EPOCHS, BATCH = 150, 2
TRAINING_SECONDS = 20.0
"""About how long one of the trainings takes, with its start."""
STEADY = 3
"""So many readings in a row must be right."""
_TRAINER, _CENTER = "hlx_model.training", "hlx_assets.center"


@dataclass
class Kill:
    """One kill, and what the Center showed after it."""

    kind: str
    """`center`, `trainer` or `everything`."""
    after: float
    """Seconds after the sessions were queued."""
    seconds: float = 0.0
    """From the moment at which the killed was started again (a trainer: was killed) until every state was right."""
    wrong: list[str] = field(default_factory=list)


@dataclass
class Trial:
    """Three sessions, three kills."""

    kills: list[Kill] = field(default_factory=list)
    resumed: int = 0
    """Sessions that had to be resumed."""
    equal: int = 0
    """Trainings that ended with the bytes of one that was never killed; two are trained."""
    wrong: list[str] = field(default_factory=list)


class _Sessions:
    """Three queued sessions, of which the third is moved up and the second cancelled."""

    def __init__(self, home: Home, api: Api, seeds: list[int]) -> None:
        self.home, self.api, self.begun = home, api, time.monotonic()
        request = {"targetModel": "HelixTiny", "epochs": EPOCHS}
        ids = [api.start("English", **request, settings={"seed": seed, "batch_size": BATCH}) for seed in seeds]
        assert api.ask("PATCH", f"/api/training/{ids[2]}", {"position": 1})[0] == 200
        assert api.ask("POST", f"/api/training/cancel/{ids[1]}")[0] == 200
        self.cancelled, self.trained = ids[1], {seeds[0]: ids[0], seeds[2]: ids[2]}

    @property
    def all(self) -> list[str]:
        """All three, each as its latest resumption."""
        return [self.cancelled, *self.trained.values()]

    def problems(self) -> list[str]:
        """What the Center shows that is not so."""
        try:
            shown = {one: self.api.session(one) for one in self.all}
        except OSError as error:
            return [f"the Center does not answer: {error}"]
        found = []
        with self.home.instance() as instance:
            for one, session in shown.items():
                run = instance.get_run_by_id(one)
                assert run is not None
                worker = worker_of(run)
                works = worker is not None and worker.is_running
                status = session["status"]
                if one == self.cancelled and (status, session["state"]) != ("failed", "canceled"):
                    found.append(f"the cancelled one is {status}, {session['state']}")
                if status == "running" and not works and not (worker is None and not run.is_finished):
                    found.append(f"{one[:8]} runs, says the Center, and no process does")
                if status == "running" and worker is None and run.status == dg.DagsterRunStatus.STARTING:
                    found.append(f"{one[:8]} is starting")
                if status == "queued" and run.status != dg.DagsterRunStatus.QUEUED:
                    found.append(f"{one[:8]} waits, says the Center, and is {run.status.value}")
                if status == "failed" and works and not run.is_finished:
                    found.append(f"{one[:8]} failed, says the Center, and its process runs")
                if status == "completed" and not self._final(session):
                    found.append(f"{one[:8]} has completed, says the Center, without a FINAL checkpoint")
                if status in ("queued", "failed") and not session["reason"]:
                    found.append(f"{one[:8]} is {status} for no reason")
        return found

    def _final(self, session: dict[str, Any]) -> bool:
        folders = [self.home.path / "artifacts" / "training" / one / CHECKPOINTS for one in session["trainings"]]
        return any(next(folder.glob("*_FINAL_*"), None) for folder in folders)

    def finish(self) -> int:
        """Resume what was cut until both have completed; how often that was."""
        resumed = 0
        for seed, one in list(self.trained.items()):
            while (found := self.api.wait(one, lambda now: now["status"] in ("completed", "failed")))[
                "status"
            ] == "failed":
                one = self.trained[seed] = self.api.resume(one)
                resumed += 1
                assert resumed < 20, found
        return resumed


def _has_ended(session: dict[str, Any]) -> bool:
    return session["status"] in ("completed", "failed")


def trial(home: Home, root: Path, seeds: list[int], chance: random.Random) -> Trial:
    """Queue three sessions, kill the Center, then the trainer, then everything, and let them finish.

    Args:
        home: a home whose corpora exist; the trial changes it.
        root: a folder for trainings that nothing kills.
        seeds: of the three trainings; none of the home has been trained with them.
        chance: when to kill.
    """
    result = Trial()
    with ExitStack() as stack:
        _, api = stack.enter_context(make_ui_with_center(home, SETTINGS))
        sessions = _Sessions(home, api, seeds)
        time.sleep(chance.uniform(0.0, TRAINING_SECONDS))
        _killed(result, sessions, "center", lambda: stack.enter_context(make_center(home, api)))
        time.sleep(chance.uniform(0.0, TRAINING_SECONDS / 2))
        _killed(result, sessions, "trainer", lambda: None)
        _resume_cut(result, sessions)
        time.sleep(chance.uniform(0.0, TRAINING_SECONDS))
        kill = Kill("everything", time.monotonic() - sessions.begun)
        kill_all(home)
    with make_ui_with_center(home, SETTINGS) as (_, api):
        sessions.api = api
        _check(result, kill, sessions)
        result.resumed += sessions.finish()
        for seed, one in sessions.trained.items():
            training_id = api.session(one)["trainings"][-1]
            wrong = _differences(home, root, seed, training_id)
            result.equal += not wrong
            result.wrong += wrong
    return result


def _killed(result: Trial, sessions: _Sessions, kind: str, again: Callable[[], object]) -> None:
    """Kill the processes of a kind, start again what does not start by itself, and see when every state is right."""
    word = {"center": _CENTER, "trainer": _TRAINER}[kind]
    if kind == "trainer" and all(sessions.api.session(one)["status"] != "running" for one in sessions.all):
        _resume_cut(result, sessions)
    deadline = time.monotonic() + 60
    while not (found := processes_of(sessions.home, word)) and time.monotonic() < deadline:
        time.sleep(0.1)
    kill = Kill(kind, time.monotonic() - sessions.begun)
    if not found:
        kill.wrong.append("there was no such process to kill")
    for process in found:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=5)
    again()
    _check(result, kill, sessions)


def _check(result: Trial, kill: Kill, sessions: _Sessions) -> None:
    """Record how long it takes until every state is right and stays so."""
    begun = last = time.monotonic()
    right, problems = 0, list[str]()
    while right < STEADY and last - begun < 90:
        problems = sessions.problems()
        right = 0 if problems else right + 1
        if problems:
            last = time.monotonic()
        time.sleep(0.3)
    kill.seconds = last - begun
    if kill.seconds > 60:
        kill.wrong += problems or [f"right only after {kill.seconds:.0f} seconds"]
    result.kills.append(kill)


def _resume_cut(result: Trial, sessions: _Sessions) -> None:
    """Resume the sessions that a kill has ended."""
    for seed, one in list(sessions.trained.items()):
        with sessions.home.instance() as instance:
            run = instance.get_run_by_id(one)
        if sessions.api.session(one)["status"] == "failed" and run is not None:
            sessions.trained[seed] = sessions.api.resume(one)
            result.resumed += 1


def _differences(home: Home, root: Path, seed: int, training_id: str) -> list[str]:
    """Return how a training differs from one of the same settings that nothing killed."""
    corpus, whole = home.latest("english_corpus"), root / "artifacts"
    subprocess.run(
        [sys.executable, "-m", "hlx_model.training", "--phase", "1", "--corpus", corpus, "--size", "tiny",
         "--checkpoint-dir", whole / "training", "--epochs", str(EPOCHS), "--batch-size", str(BATCH), "--seed",
         str(seed), "--profile", "quick"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    expected, found = (
        contents(folder / training_id) for folder in (whole / "training", home.path / "artifacts/training")
    )
    wrong = [f"{name} differs" for name, digest in expected.items() if is_final(name) and found.get(name) != digest]
    return wrong or ([] if any(map(is_final, expected)) else [f"training {training_id} has no FINAL checkpoint"])
