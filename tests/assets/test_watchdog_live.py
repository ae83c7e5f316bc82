"""The watchdog on real processes: trainers that are stopped, broken or slow, in runs that the UI has launched."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from hlx_assets.watchdog.runs import REASON_TAG
from hlx_model.monitoring.rules import Limits
from tests.support.dagster_home import SETTINGS, Home
from tests.support.live_dagster import (
    Ui,
    beat_of,
    corpora,
    daemon_and_webserver,
    make_ui,
    resumed,
    running_training,
    slots_held,
    start_phase1,
)
from tests.support.waiting import PATIENCE, wait_for

WATCHED = {"HLX_WATCHDOG_SECONDS": "5", "HLX_STALL_SECONDS": "10", "HLX_SAVE_SECONDS": "0"}
TEN_MINUTES = 600.0

BROKEN = """
import itertools, sys, time
if "hlx_model.training" in sys.orig_argv:
    from dataclasses import replace
    from hlx_model.training import engine, loop

    def unheeding(*args, **options):
        return None

"""
"""A `sitecustomize.py` that changes the program of the trainer, and of no other process."""
UNSTOPPED = """
    loop.Aborts.after_step = loop.Aborts.after_epoch = loop._Training.check_gates = unheeding
"""
PROGRAMS = {
    # What is not finite cannot be saved.
    " loss nan, required finite (epoch": UNSTOPPED
    + """
    class Spoilt(engine.Optimizers):
        count = 0
        def step(self, pool=None):
            super().step(pool)
            self.count += 1
            if self.count == 20:
                self.adamw.param_groups[0]["params"][0].data.fill_(float("nan"))

    engine.Optimizers = Spoilt
    loop.Saver.rolling = loop.Saver.after_epoch = unheeding
""",
    "training loss diverged": UNSTOPPED
    + """
    rate = engine.Optimizers.learning_rate
    engine.Optimizers.learning_rate = lambda self, step: 1.0 if step > 20 else rate(self, step)
    loop.Saver.rolling = loop.Saver.after_epoch = unheeding
""",
    "its checkpoint is not of the training's size": UNSTOPPED
    + """
    loop.SIZES = {name: replace(size, layers=size.layers + 1) for name, size in loop.SIZES.items()}
""",
}
"""By the reason that the watchdog gives, a trainer without its own abort conditions and gates."""
SLOW = """
    count, steps = itertools.count(), engine.Engine.steps

    def slowly(self, batches, first):
        time.sleep(6 + 6 * (next(count) % 3))
        return steps(self, batches, first)

    engine.Engine.steps = slowly
"""


def changed(home: Home, program: str) -> dict[str, str]:
    """The environment in which trainers run a changed program."""
    (home.path / "sitecustomize.py").write_text(BROKEN + program)
    return {**WATCHED, "PYTHONPATH": str(home.path)}


def messages(ui: Ui, since: float) -> list[str]:
    """The watchdog's messages up to its second tick after a time (Unix seconds); the first may come too early."""
    ticks = ui.ticks("training_watchdog")
    times = sorted(ticks)
    later = sum(time > since for time in times)
    return [ticks[time] for time in times[: len(times) - max(0, later - 2)]]


def group(pid: int) -> list[psutil.Process]:
    """The processes of a process group."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getpgid(process.pid) == pid:
                found.append(process)
    return found


@pytest.mark.slow
def test_a_stalled_training_is_stopped_its_slot_freed_and_it_resumes(empty_home: Home) -> None:
    home = corpora(empty_home)
    with make_ui(home, WATCHED) as ui:
        run_id = start_phase1(ui)
        pid = running_training(home, run_id).pid
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
        beat = beat_of(home, run_id)
        assert beat is not None
        status, _ = ui.ended(run_id)
        assert status in ("CANCELED", "FAILURE")
        assert "no progress for" in ui.tags(run_id)[REASON_TAG]
        stalled = beat.time + max(10.0, Limits.stall_paces * beat.pace)
        assert any(run_id[:8] in message and "no progress for" in message for message in messages(ui, stalled))
        assert group(pid) == []
        wait_for(lambda: slots_held(home) == [])

        again = start_phase1(ui)
        wait_for(lambda: resumed(home) == 1)
        running_training(home, again)


@pytest.mark.slow
def test_a_broken_training_that_does_not_stop_itself_is_stopped(empty_home: Home) -> None:
    home = corpora(empty_home)
    with daemon_and_webserver(home, changed(home, "")) as ui:
        for seed, (reason, program) in enumerate(PROGRAMS.items()):
            changed(home, program)
            run_id = start_phase1(ui, seed=seed)
            wait_for(lambda: is_seen(home, run_id, reason), f"for {reason}")  # noqa: B023
            seen = time.time()
            pid = getattr(beat_of(home, run_id), "pid", 0)
            status, why = ui.ended(run_id)
            assert status in ("CANCELED", "FAILURE"), why
            assert reason in ui.tags(run_id)[REASON_TAG]
            found = [message for message in messages(ui, seen) if run_id[:8] in message]
            assert any(reason in message for message in found), (reason, ui.ticks("training_watchdog"))
            assert group(pid) == []
            wait_for(lambda: slots_held(home) == [])


def is_seen(home: Home, run_id: str, reason: str) -> bool:
    """Whether the broken figure or checkpoint exists."""
    beat = beat_of(home, run_id)
    if beat is None or beat.train_loss is None:
        return False
    if "nan" in reason:
        return beat.train_loss != beat.train_loss
    return beat.train_loss > 15.0 if "diverged" in reason else any(_checkpoints(home, beat.training_id))


def _checkpoints(home: Home, training: str) -> list[Path]:
    return list(home.path.glob(f"artifacts/training/{training}/checkpoints/phase1_*"))


@pytest.mark.slow
def test_a_training_that_stops_itself_is_left_to_its_gate(empty_home: Home) -> None:
    document = {"corpus_document": {"corpus": str(empty_home.path / "small.md")}}
    lost = {**SETTINGS, **document, "phase1_checkpoint": {**SETTINGS["phase1_checkpoint"], "lr": 10.0}}
    with make_ui(empty_home, WATCHED) as ui:
        run_id = ui.start("curriculum", lost)
        status, why = ui.ended(run_id)
        assert status == "FAILURE" and "training_completed" in why
        assert REASON_TAG not in ui.tags(run_id)


@pytest.mark.slow
def test_a_healthy_slow_training_is_left_alone_for_ten_minutes(empty_home: Home) -> None:
    home = corpora(empty_home)
    with make_ui(home, changed(home, SLOW)) as ui:
        run_id = start_phase1(ui)
        wait_for(lambda: (beat := beat_of(home, run_id)) is not None and beat.step > 0)
        began, until = beat_of(home, run_id), time.time() + TEN_MINUTES
        while time.time() < until:
            assert ui.status(run_id) == "STARTED", ui.tags(run_id)
            time.sleep(5)
        beat = beat_of(home, run_id)
        assert began is not None and beat is not None and beat.step > began.step
        assert REASON_TAG not in ui.tags(run_id)
        assert max(ui.ticks("training_watchdog")) > until - PATIENCE
