"""Nothing is orphaned: Dagster's real processes are killed with SIGKILL, one by one and all at once."""

import signal
from contextlib import suppress

import dagster as dg
import psutil
import pytest

from hlx_assets.watchdog.runs import GONE, REASON_TAG, UNFINISHED, is_gone, worker_of
from tests.support.dagster_home import Home
from tests.support.live_dagster import (
    Ui,
    beat_of,
    corpora,
    daemon_and_webserver,
    kill_all,
    make_ui,
    processes_of,
    resumed,
    running_training,
    slots_held,
    start_phase1,
)
from tests.support.waiting import wait_for

SETTINGS = {"HLX_WATCHDOG_SECONDS": "5", "HLX_SAVE_SECONDS": "0"}


def owned(home: Home) -> set[str]:
    """The runs that have not ended and whose process exists."""
    with home.instance() as instance:
        runs = [record.dagster_run for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED))]
        return {run.run_id for run in runs if not is_gone(run)}


def orphans(home: Home) -> list[str]:
    """Trainers without a run, runs without a process, and slots of the pool without a run."""
    with home.instance() as instance:
        unfinished = {
            record.dagster_run.run_id for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED))
        }
    well = owned(home)
    found = [f"run {run_id} without a process" for run_id in unfinished - well]
    found += [f"slot of run {run_id}" for run_id in slots_held(home) if run_id not in well]
    for process in processes_of(home, "hlx_model.training"):
        with suppress(psutil.Error):
            if (run_id := process.environ()["HLX_RUN_ID"]) not in well:
                found.append(f"trainer {process.pid} of run {run_id}")
    return found


def kill(home: Home, *words: str) -> None:
    """Send SIGKILL to the processes with these words in their command."""
    found = processes_of(home, *words)
    assert found, words
    for process in found:
        process.kill()
    psutil.wait_procs(found)


def kill_worker(home: Home) -> None:
    """Send SIGKILL to the process of the run."""
    (run_id,) = owned(home)
    with home.instance() as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        worker = worker_of(run)
    assert worker is not None and worker.kill()


def resumes(home: Home, ui: Ui) -> None:
    """Require that nothing is orphaned within three minutes, that a run can be ended, and that its training resumes."""
    wait_for(lambda: not orphans(home), "for nothing to be orphaned")
    for run_id in owned(home):
        ui.terminate(run_id)
        ui.ended(run_id)
    wait_for(lambda: not processes_of(home, "hlx_model.training"), "for the trainer to end")
    before = resumed(home)
    again = start_phase1(ui)
    wait_for(lambda: resumed(home) > before, "for the training to resume")
    running_training(home, again)
    assert orphans(home) == []


@pytest.mark.slow
def test_a_killed_run_worker_leaves_nothing_orphaned(empty_home: Home) -> None:
    home = corpora(empty_home)
    with make_ui(home, SETTINGS) as ui:
        run_id = start_phase1(ui)
        running_training(home, run_id)
        kill_worker(home)
        resumes(home, ui)
        # Dagster or the watchdog, whichever finds it first.
        assert ui.status(run_id) == "FAILURE" and ui.tags(run_id)[REASON_TAG] == GONE


@pytest.mark.system
def test_everything_killed_at_once_leaves_nothing_orphaned_after_a_restart(empty_home: Home) -> None:
    home = corpora(empty_home)
    with make_ui(home, SETTINGS) as ui:
        running_training(home, start_phase1(ui))
        kill_all(home)
    with make_ui(home, SETTINGS) as ui:
        resumes(home, ui)


@pytest.mark.slow
def test_a_killed_trainer_leaves_nothing_orphaned(empty_home: Home) -> None:
    home = corpora(empty_home)
    with make_ui(home, SETTINGS) as ui:
        run_id = start_phase1(ui)
        running_training(home, run_id)
        kill(home, "hlx_model.training")
        status, why = ui.ended(run_id)
        assert status == "FAILURE" and "the trainer was killed (by the kernel" in why
        resumes(home, ui)


@pytest.mark.slow
@pytest.mark.parametrize("word", ["dagster._daemon", "hlx_assets.webserver", "code-server", "hlx_assets.ui"])
def test_a_killed_part_of_make_ui_leaves_nothing_orphaned_after_a_restart(empty_home: Home, word: str) -> None:
    home = corpora(empty_home)
    with make_ui(home, SETTINGS) as before:
        running_training(home, start_phase1(before))
        kill(home, word)
        # `make ui` ends without one of its parts, and the parts end without it.
        for part in ("hlx_assets.ui", "hlx_assets.webserver", "hlx_assets.center", "dagster._daemon", "code-server"):
            wait_for(lambda: not processes_of(home, part), part)  # noqa: B023
        with make_ui(home, SETTINGS) as ui:
            resumes(home, ui)


@pytest.mark.slow
@pytest.mark.parametrize("word", ["dagster._daemon", "hlx_assets.webserver"])
def test_a_killed_daemon_or_webserver_leaves_nothing_orphaned(empty_home: Home, word: str) -> None:
    home = corpora(empty_home)
    with daemon_and_webserver(home, SETTINGS) as before:
        run_id = start_phase1(before)
        running_training(home, run_id)
        kill(home, word)
        with daemon_and_webserver(home, SETTINGS) as ui:
            assert ui.status(run_id) == "STARTED"
            resumes(home, ui)


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_starts_is_ended_after_a_restart(empty_home: Home) -> None:
    home = corpora(empty_home)
    with make_ui(home, SETTINGS) as ui:
        run_id = start_phase1(ui)
        wait_for(lambda: ui.status(run_id) == "STARTING")
        kill_all(home)
    with make_ui(home, SETTINGS) as ui:
        # Before the UI answers: Dagster itself would wait for two minutes.
        assert ui.status(run_id) == "FAILURE" and ui.tags(run_id)[REASON_TAG] == GONE
        assert orphans(home) == []


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_make_ui_ends_trainings_after_a_checkpoint(empty_home: Home, signum: signal.Signals) -> None:
    home = corpora(empty_home)
    with make_ui(home, SETTINGS) as ui:
        run_id = start_phase1(ui)
        running_training(home, run_id)
        (process,) = processes_of(home, "hlx_assets.ui")
        process.send_signal(signum)
        wait_for(lambda: not processes_of(home), "for everything to end")
    beat = beat_of(home, run_id)
    assert beat is not None and beat.status == "interrupted"
    with home.instance() as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None and run.is_finished
    with make_ui(home, SETTINGS) as ui:
        before = resumed(home)
        running_training(home, start_phase1(ui))
        assert resumed(home) == before + 1
