"""Trainings as jobs of a real Slurm: the same bytes, and the same end for whatever ends them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hlx_assets.launchers.launcher import Launcher
from hlx_assets.launchers.setting import launcher_of
from hlx_assets.watchdog.runs import worker_of
from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.runs.metrics import read_metrics
from tests.support.dagster_home import SETTINGS, Home, curriculum_program, make_home, opened
from tests.support.live_dagster import Ui, beat_of, corpora, make_ui, resumed, running_training, start_phase1
from tests.support.slurm import Cluster, slurm
from tests.support.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.system
LIVE = {"HLX_WATCHDOG_SECONDS": "5", "HLX_SAVE_SECONDS": "0", "HLX_TRAINER": "slurm cpus=1"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of one node."""
    with slurm() as cluster:
        yield cluster
        wait_for(lambda: not cluster.jobs, "for squeue to be empty")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home in which phase 1 can be trained, two trainings at a time."""
    path = tmp_path_factory.mktemp("slurm") / "home"
    make_home(path)
    with opened(path) as home:
        corpora(home)
        with home.instance() as instance:
            instance.event_log_storage.set_concurrency_slots("training", 2)
        yield home


@pytest.fixture(scope="module")
def ui(home: Home, cluster: Cluster) -> Iterator[Ui]:
    """A live Dagster whose trainings are jobs."""
    with make_ui(home, {**LIVE, **cluster.environment}) as ui:
        yield ui


def resumes(home: Home, ui: Ui, cluster: Cluster) -> None:
    """Require that nothing is left in the queue, and that the training resumes when it is materialized again."""
    wait_for(lambda: not cluster.jobs, "for squeue to be empty")
    before = resumed(home)
    run_id = start_phase1(ui)
    wait_for(lambda: resumed(home) > before, "for the training to resume")
    running_training(home, run_id)
    ui.terminate(run_id)
    assert ui.ended(run_id)[0] == "CANCELED"


def test_terminate_lets_a_job_write_its_checkpoint(home: Home, ui: Ui, cluster: Cluster) -> None:
    run_id = start_phase1(ui)
    beat = running_training(home, run_id)
    assert cluster.names == [f"hlx-{run_id}-phase1_checkpoint"]
    ui.terminate(run_id)
    assert ui.ended(run_id)[0] == "CANCELED"
    ended = beat_of(home, run_id)
    assert ended is not None and ended.status == "interrupted" and ended.step > beat.step
    resumes(home, ui, cluster)


def test_a_job_that_is_cancelled_in_slurm_fails_with_what_to_do(home: Home, ui: Ui, cluster: Cluster) -> None:
    run_id = start_phase1(ui)
    running_training(home, run_id)
    cluster.run("scancel", f"--name={cluster.names[0]}")
    status, why = ui.ended(run_id)
    assert status == "FAILURE" and "materialize again to resume" in why
    ended = beat_of(home, run_id)
    assert ended is not None and ended.status == "interrupted"
    resumes(home, ui, cluster)


def test_a_node_that_goes_down_and_comes_up(home: Home, ui: Ui, cluster: Cluster) -> None:
    run_id = start_phase1(ui)
    running_training(home, run_id)
    cluster.set_node(State="DOWN", Reason="test")
    status, why = ui.ended(run_id)
    assert status == "FAILURE" and "node failure" in why.lower() and "materialize again to resume" in why
    resumes(home, ui, cluster)


def test_a_job_ends_with_the_process_of_its_run(home: Home, ui: Ui, cluster: Cluster) -> None:
    run_id = start_phase1(ui)
    running_training(home, run_id)
    with home.instance() as instance:
        run = instance.get_run_by_id(run_id)
        worker = worker_of(run) if run else None
    assert worker is not None and worker.kill()
    wait_for(lambda: not cluster.jobs, "for squeue to be empty")
    assert ui.ended(run_id)[0] == "FAILURE"
    resumes(home, ui, cluster)


def test_two_trainings_have_two_slots_and_a_third_waits(home: Home, ui: Ui, cluster: Cluster) -> None:
    with home.instance() as instance:
        instance.event_log_storage.set_concurrency_slots("training", 3)
    runs = [start_phase1(ui, seed=seed) for seed in (1, 2, 3)]
    wait_for(lambda: sorted(cluster.jobs) == ["PENDING", "RUNNING", "RUNNING"], "for two jobs of three to run")
    running = {run_id for run_id in runs if any(run_id in name for name in cluster.names)}
    (waiting,) = set(runs) - running
    for run_id in running:
        running_training(home, run_id)
    with home.instance() as instance:
        said = "\n".join(entry.user_message for entry in instance.all_logs(waiting))
    assert re.search(r"srun: job \d+ queued and waiting for resources", said)
    ui.terminate(waiting)
    assert ui.ended(waiting)[0] == "CANCELED"
    assert cluster.jobs == ["RUNNING", "RUNNING"]
    for run_id in running:
        ui.terminate(run_id)
    for run_id in running:
        assert ui.ended(run_id)[0] == "CANCELED"
    wait_for(lambda: not cluster.jobs, "for squeue to be empty")


def test_a_wrong_partition_is_one_line(home: Home, ui: Ui, cluster: Cluster) -> None:
    status, why = ui.ended(start_phase1(ui, trainer="slurm partition=gpu"))
    assert status == "FAILURE" and "Invalid partition name specified" in why
    status, why = ui.ended(start_phase1(ui, trainer="slurm partitions=gpu"))
    assert status == "FAILURE" and "slurm has no option 'partitions': its options are gpus" in why
    assert not cluster.jobs


@pytest.mark.slow
def test_a_job_that_is_over_its_time_resumes(home: Home, ui: Ui, cluster: Cluster) -> None:
    run_id = start_phase1(ui, trainer="slurm cpus=1 time=1")
    running_training(home, run_id)
    status, why = ui.ended(run_id)
    assert status == "FAILURE" and "DUE TO TIME LIMIT" in why and "materialize again to resume" in why
    ended = beat_of(home, run_id)
    assert ended is not None and ended.status == "interrupted"
    resumes(home, ui, cluster)


def test_a_curriculum_has_the_same_bytes_through_srun(cluster: Cluster, tmp_path: Path) -> None:
    found: dict[str, list[str]] = {}
    for trainer in ("local", "slurm cpus=1"):
        make_home(tmp_path / trainer)
        with opened(tmp_path / trainer) as home:
            file = home.path / "run.json"
            settings = {**SETTINGS, "corpus_document": {"corpus": str(home.path / "small.md")}}
            file.write_text(json.dumps({"ops": {name: {"config": given} for name, given in settings.items()}}))
            environment = {**cluster.environment, "HLX_TRAINER": trainer, "OMP_NUM_THREADS": "1"}
            with curriculum_program("--config", file, **environment) as process:
                said, _ = process.communicate(timeout=PATIENCE)
            finals = home.path.glob("artifacts/training/*/checkpoints/phase*_FINAL_*")
            found[trainer] = sorted(f"{path.name[:6]} {read_manifest(path).weights_sha256}" for path in finals)
            assert len(found[trainer]) == 3, said
    assert found["local"] == found["slurm cpus=1"]


def losses(folder: Path, document: Path, launcher: Launcher, environment: dict[str, str]) -> list[float]:
    """The losses of three short phases in fp32, each from the one before, that a launcher trained."""
    found, parent = list[float](), list[str]()
    for phase in (1, 2, 3):
        # A low rate: rounding grows with each step.
        options = ["--epochs=1", "--batch-size=2", "--lr=5e-5", "--no-fp16", "--device=cpu", "--yes", *parent]
        paths = [f"--corpus={document}", f"--checkpoint-dir={folder}"]
        with launcher.start([f"--phase={phase}", *options, *paths], environment, f"hlx-{phase}") as trainer:
            wait_for(lambda: trainer.poll() is not None)
            assert trainer.poll() == 0, trainer.errors()
        (final,) = folder.glob(f"*/checkpoints/phase{phase}_FINAL_*")
        rows = read_metrics(final.parents[1])
        found += [value for row in rows for value in (row["train_loss"], row["held_out_loss"]) if value is not None]
        parent = [f"--resume-from={final}", "--ungated"]
    return found


def test_two_processes_have_the_losses_of_one(
    cluster: Cluster, small_document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    one, *others = (
        losses(tmp_path / str(number), small_document, launcher_of(text), cluster.environment)
        for number, text in enumerate(("local", "torchrun processes=2", "slurm cpus=1 processes=2"))
    )
    assert len(one) > 20
    for two in others:
        assert two == pytest.approx(one, abs=1e-5)
