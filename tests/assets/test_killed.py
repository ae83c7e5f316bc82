"""Real processes that are really killed: `make curriculum`'s program, and its trainer."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import yaml

from hlx_assets.watchdog.runs import UNFINISHED, close_dead_runs
from hlx_model.runs.heartbeat import Heartbeat
from tests.support.dagster_home import SETTINGS, Home, curriculum_program
from tests.support.waiting import PATIENCE, wait_for


@contextmanager
def make_curriculum(home: Home, **phase1: object) -> Iterator["subprocess.Popen[str]"]:
    """Run the program of `make curriculum` on phase 1 in a process group of its own; it is killed at the end."""
    ops = {**SETTINGS, "corpus_document": {"corpus": str(home.path / "small.md")}}
    ops["phase1_checkpoint"] = {**SETTINGS["phase1_checkpoint"], **phase1}
    config = home.path / "run.yaml"
    config.write_text(yaml.safe_dump({"ops": {name: {"config": value} for name, value in ops.items()}}))
    with curriculum_program("--config", config, HLX_SAVE_SECONDS=0) as process:
        yield process


def beats(home: Home) -> list[Heartbeat]:
    """The heartbeats of all trainings."""
    directories = home.path.glob("artifacts/training/*/heartbeat.json")
    return [beat for path in directories if (beat := Heartbeat.read(path.parent))]


def running_training(home: Home) -> Heartbeat:
    """The heartbeat of the training, as soon as it has made ten steps."""

    def running() -> list[Heartbeat]:
        return [beat for beat in beats(home) if beat.status == "training" and beat.step > 10]

    wait_for(lambda: bool(running()))
    return running()[0]


def training_log(home: Home) -> str:
    return "".join(p.read_text() for p in (home.path / "artifacts" / "training").glob("*/training.log"))


LONG = {"epochs": 100_000}


def kill_curriculum(home: Home) -> Heartbeat:
    """Start a long training, and end `make curriculum` with SIGKILL during it."""
    with make_curriculum(home, **LONG) as process:
        beat = running_training(home)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
    return beat


def test_a_killed_run_ends_its_trainer_and_the_next_one_resumes_the_training(empty_home: Home) -> None:
    beat = kill_curriculum(empty_home)
    wait_for(lambda: beat.trainer.is_gone)
    with make_curriculum(empty_home, **LONG) as again:
        wait_for(lambda: "resuming from phase1_LAST" in training_log(empty_home))
        running_training(empty_home)
        again.send_signal(signal.SIGKILL)
        said, _ = again.communicate(timeout=PATIENCE)
    assert "whose process is gone" in said


def test_a_killed_trainer_fails_the_step_with_what_to_do(empty_home: Home) -> None:
    with make_curriculum(empty_home, **LONG) as process:
        beat = running_training(empty_home)
        os.kill(beat.pid, signal.SIGKILL)
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "materialize again to resume" in said


def test_only_runs_whose_process_is_gone_are_closed(empty_home: Home) -> None:
    with make_curriculum(empty_home, **LONG) as process, empty_home.instance() as instance:
        running_training(empty_home)
        assert close_dead_runs(instance) == []
        os.kill(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
        (record,) = instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED))
        assert close_dead_runs(instance) == [record.dagster_run.run_id]
        assert instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)) == []
        run = instance.get_run_by_id(record.dagster_run.run_id)
        assert run is not None and run.status == dg.DagsterRunStatus.FAILURE
        info = instance.event_log_storage.get_concurrency_info("training")
        assert info.claimed_slots == []


def test_an_interrupt_leaves_a_checkpoint_to_resume_from(empty_home: Home) -> None:
    with make_curriculum(empty_home, **LONG) as process:
        running_training(empty_home)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE)
    assert "phase1_checkpoint: interrupted at step " in said and "its checkpoint is written" in said
    assert "Traceback" not in said
    (beat,) = beats(empty_home)
    assert beat.status == "interrupted"
    wait_for(lambda: beat.trainer.is_gone)
