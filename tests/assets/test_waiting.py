"""A home has one training at a time: who waits says for what, sleeps, and one signal ends it."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import psutil
import pytest

from hlx_assets import waiting
from hlx_assets.corpus.sensors import _training
from hlx_assets.curriculum.run import curriculum_job
from hlx_assets.dagster_internals import limit_pool
from hlx_assets.waiting import alone, is_taken, trains_elsewhere, wait_for_trainings
from hlx_assets.watchdog.runs import STOPPED_TAG, record_worker, restore_checks
from hlx_model.runs.heartbeat import Heartbeat
from tests.support.dagster_home import Home, curriculum_program, executed
from tests.support.waiting import PATIENCE, wait_for

OTHER = "1d5fbecd-0000-0000-0000-000000000000"


@contextmanager
def slot_taken(instance: dg.DagsterInstance) -> Iterator[None]:
    """Let another run have the slot of the trainings."""
    storage = instance.event_log_storage
    storage.initialize_concurrency_limit_to_default("training")
    assert storage.claim_concurrency_slot("training", OTHER, "phase1_checkpoint").is_claimed
    try:
        yield
    finally:
        storage.free_concurrency_slots_for_run(OTHER)


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    assert process.stdout is not None
    return next(line for line in process.stdout if words in line)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_step_that_waits_sleeps_and_one_signal_ends_it(empty_home: Home, signum: signal.Signals) -> None:
    with (
        empty_home.instance() as instance,
        slot_taken(instance),
        curriculum_program(HLX_CORPUS=empty_home.path / "small.md") as process,
    ):
        assert "waiting for run 1d5fbecd (phase1_checkpoint)" in read_until(process, "waiting for")
        running = psutil.Process(process.pid)
        time.sleep(0.5)
        before = sum(running.cpu_times()[:2])
        time.sleep(2)
        assert sum(running.cpu_times()[:2]) - before < 0.5  # of a busy loop it would be 2
        process.send_signal(signum)
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1 and "interrupted" in said and "Traceback" not in said
        info = instance.event_log_storage.get_concurrency_info("training")
        assert [slot.run_id for slot in info.claimed_slots] == [OTHER]


def test_make_curriculum_waits_for_a_run_that_trains(empty_home: Home) -> None:
    with empty_home.instance() as instance:
        selection = frozenset({dg.AssetKey("phase2_checkpoint")})
        job = curriculum_job().get_subset(asset_selection=selection)
        instance.create_run_for_job(
            job, status=dg.DagsterRunStatus.STARTING, asset_selection=selection
        )  # by no process
        running = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, asset_selection=selection)
        record_worker(instance, running)
        beat = Heartbeat("a" * 16, 2, "tiny", 3, status="training", eta_seconds=540.0, run_id=running.run_id)
        folder = empty_home.path / "artifacts" / "training" / beat.training_id
        folder.mkdir(parents=True)
        beat.write(folder)
        with curriculum_program(HLX_CORPUS=empty_home.path / "small.md") as process:
            line = read_until(process, "waiting for")
            assert line == f"waiting for run {running.run_id[:8]} (not training yet, 9 min to go)\n"
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=PATIENCE)
        assert (process.returncode, said) == (130, "interrupted: the same command continues\n")
        assert len(instance.get_runs()) == 2, "nothing was planned"


def test_make_curriculum_starts_beside_a_run_that_trains_if_a_slot_is_free(empty_home: Home) -> None:
    with empty_home.instance() as instance, slot_taken(instance):
        run = instance.create_run_for_job(curriculum_job(), status=dg.DagsterRunStatus.STARTED)
        record_worker(instance, run)
        assert trains_elsewhere(instance, run.run_id) == OTHER
        assert trains_elsewhere(instance, OTHER) is None
        limit_pool(instance, "training", 2)
        assert trains_elsewhere(instance, run.run_id) is None
        wait_for_trainings(instance, pytest.fail)


def test_a_step_goes_on_when_the_slot_is_free(empty_home: Home) -> None:
    empty_home.materialize("corpus_document", "corpus_examples", "english_corpus")
    with empty_home.instance() as instance:
        taken = slot_taken(instance)
        taken.__enter__()
        timer = threading.Timer(4, lambda: taken.__exit__(None, None, None))
        timer.start()
        run = executed(empty_home, "phase1_checkpoint", phase1_checkpoint={"epochs": 1})
        timer.join()
        assert run.success
        lines = [entry.user_message for entry in instance.all_logs(run.id)]
        assert lines.count("waiting for run 1d5fbecd (phase1_checkpoint)") == 1


def test_a_home_has_one_make_curriculum_at_a_time(
    empty_home: Home, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    said: list[str] = []
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.05)
    assert not is_taken(empty_home.path)
    inside = threading.Event()

    def second() -> None:
        with empty_home.instance() as own, alone(empty_home.path, own, said.append):
            inside.set()

    with empty_home.instance() as instance, alone(empty_home.path, instance, said.append):
        assert is_taken(empty_home.path)
        assert "a `make curriculum` trains" in (_training(instance) or "")
        other = threading.Thread(target=second)
        other.start()
        wait_for(lambda: bool(said))
        assert not inside.is_set()
    other.join(PATIENCE)
    assert inside.is_set() and said == [f"waiting for another `make curriculum`, process {os.getpid()}"]


def statuses(instance: dg.DagsterInstance, asset: str) -> dict[str, bool | None]:
    """Whether each check of an asset passed, as its last record says; None for a check that was not evaluated."""
    from hlx_assets.definitions import defs

    keys = [key for key in defs.resolve_asset_graph().asset_check_keys if key.asset_key == dg.AssetKey(asset)]
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    evaluated = {key.name: record.evaluation for key, record in found.items()}
    return {name: one.passed if isinstance(one, dg.AssetCheckEvaluation) else None for name, one in evaluated.items()}


def test_a_run_that_fails_at_once_leaves_the_checks_of_a_good_checkpoint(home: Home) -> None:
    with home.instance() as instance:
        before = {asset: statuses(instance, asset) for asset in ("phase1_checkpoint", "phase3_validation_report")}
        home.write("English: a\nHLXL: {\n" * 50)
        run = executed(home, corpus_document={"corpus": str(home.path / "small.md")})
        assert not run.success and "phase1_checkpoint" not in run.materialized
        after = {asset: statuses(instance, asset) for asset in before}
        assert after == before and all(passed is not None for passed in after["phase1_checkpoint"].values())
        # Done twice, it changes nothing.
        restore_checks(instance, run.id)
        assert {asset: statuses(instance, asset) for asset in before} == before


def test_a_check_that_was_never_evaluated_is_not_made_up(empty_home: Home) -> None:
    empty_home.write("nothing")
    assert not executed(empty_home, corpus_document={"corpus": str(empty_home.path / "small.md")}).success
    with empty_home.instance() as instance:
        assert set(statuses(instance, "phase1_checkpoint").values()) == {None}


def test_a_run_with_a_stopped_training_is_no_success(empty_home: Home) -> None:
    empty_home.materialize("corpus_document", "corpus_examples", "english_corpus")
    run = executed(empty_home, "phase1_checkpoint", phase1_checkpoint={"lr": 10.0, "epochs": 3, "batch_size": 1})
    assert run.materialized == ["phase1_checkpoint"] and not run.success
    with empty_home.instance() as instance:
        record = instance.get_run_by_id(run.id)
        assert record is not None and record.status == dg.DagsterRunStatus.FAILURE
        assert record.tags[STOPPED_TAG].startswith("phase1_checkpoint: the training was stopped: ")
        (failed,) = (e for e in run.events if e.event_type == dg.DagsterEventType.RUN_FAILURE)
        assert "the training was stopped: " in str(failed.job_failure_data.error)
