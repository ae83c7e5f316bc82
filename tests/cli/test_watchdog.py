"""`hlx watchdog` and `hlx status` show the trainings, and whether the watchdog runs."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hlx_model
from hlx_model.layout import TICK
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.liveness import leave_tick
from hlx_model.runs.metrics import Metrics, MetricsRow
from tests.support.command import Hlx
from tests.support.curriculum import Curriculum
from tests.support.processes import ended_process

CURVES = Path(hlx_model.__file__).parent / "supervision" / "curves"


def running(root: Path, **changes: object) -> Path:
    """Write the heartbeat of a training that this process runs."""
    directory = root / "0123456789abcdef"
    directory.mkdir(parents=True, exist_ok=True)
    beat = Heartbeat("0123456789abcdef", 1, "tiny", 200, status="training", epoch=47, step=470, steps=2000)
    beat.train_loss, beat.held_out_loss, beat.eta_seconds = 2.3421, 2.4156, 12.3 * 3600
    for name, value in changes.items():
        setattr(beat, name, value)
    beat.write(directory)
    return directory


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def test_it_shows_epoch_losses_speed_and_remaining_time(hlx: Hlx, tmp_path: Path) -> None:
    running(tmp_path)
    ran = hlx("watchdog", "--once", "--checkpoint-dir", tmp_path)
    assert ran.code == 0
    for figure in ("training", "47/200", "(23.5%)", "2.342", "2.416", "12.3h", "s ago"):
        assert figure in ran.out


def test_it_fits_a_terminal_of_80_columns(hlx: Hlx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    running(tmp_path, status="quality_failed", size="100m", epoch=200, step=2000, eta_seconds=None)
    shown = hlx("status", "--checkpoint-dir", tmp_path).out
    assert "01234567 1 100m quality_failed 200/200 (100%) 2.342 2.416" in shown and "s ago" in shown


def test_it_exits_with_1_and_a_reason_if_a_training_is_in_trouble(hlx: Hlx, tmp_path: Path) -> None:
    gone = ended_process().pid
    running(tmp_path, pid=gone)
    ran = hlx("watchdog", "--once", "--checkpoint-dir", tmp_path)
    assert ran.code == 1
    assert f"0123456789abcdef: in trouble: process {gone} is gone: materialize again" in ran.out


def test_it_exits_with_1_if_a_watched_training_ends_badly(tmp_path: Path) -> None:
    running(tmp_path)
    program = [sys.executable, "-u", "-c", "from hlx_model.cli import app; app()", "watchdog"]
    program += ["--check-interval", "0.2", "--checkpoint-dir", str(tmp_path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        while "47/200" not in watching.stdout.readline():
            assert watching.poll() is None
        time.sleep(0.5)
        running(tmp_path, status="quality_failed", reason="gate copy_rate failed at epoch 1")
        said, _ = watching.communicate(timeout=60)
    assert watching.returncode == 1 and "quality_failed: gate copy_rate failed at epoch 1" in said


def test_a_training_that_had_ended_badly_before_is_no_problem(hlx: Hlx, tmp_path: Path) -> None:
    running(tmp_path, status="aborted", reason="loss is nan")
    assert hlx("watchdog", "--once", "--checkpoint-dir", tmp_path).code == 0


def test_a_folder_without_trainings_passes_and_a_missing_one_fails(hlx: Hlx, tmp_path: Path) -> None:
    empty = hlx("watchdog", "--once", "--checkpoint-dir", tmp_path)
    assert empty.code == 0 and "contains no training" in empty.out
    for command in (("watchdog", "--once"), ("status",)):
        absent = hlx(*command, "--checkpoint-dir", tmp_path / "nowhere")
        assert absent.code == 1 and "nowhere: no such folder, so nothing was trained here: name" in absent.error


def test_a_watchdog_that_sleeps_is_reported(hlx: Hlx, tmp_path: Path) -> None:
    assert "not watched" not in hlx("status", "--checkpoint-dir", tmp_path).out  # there is nothing to watch
    leave_tick(tmp_path)
    assert "the watchdog checked " in hlx("status", "--checkpoint-dir", tmp_path).out
    (tmp_path / TICK).unlink()
    running(tmp_path, run_id="0123")
    assert "not watched: the watchdog has never run here" in hlx("status", "--checkpoint-dir", tmp_path).out
    leave_tick(tmp_path)
    assert "the watchdog checked " in hlx("status", "--checkpoint-dir", tmp_path).out
    content = json.loads(hlx("status", "--checkpoint-dir", tmp_path, "--json").out)
    assert content["watchdog"]["awake"] and content["watchdog"]["last_tick"] > 0
    (training,) = content["trainings"]
    assert (training["trouble"], training["lost"], training["run_id"]) == (None, False, "0123")


def overfitted(root: Path) -> Path:
    """Write the heartbeat and the curve of a running training whose validation loss has risen."""
    directory = running(root)
    metrics = Metrics(directory)
    for epoch, held_out in ((1, 1.5), (2, 1.41), (3, 1.93)):
        row = MetricsRow(
            step=10 * epoch, epoch=epoch, train_loss=1.0, held_out_loss=held_out, learning_rate=0.001,
            tokens_per_second=None,
        )  # fmt: skip
        metrics.append(row)
    return directory


WARNING = (
    "validation loss 1.93 at epoch 3 is 0.5 nats or more above its best, 1.41 at epoch 2: the model learns its text"
)


def test_a_warning_is_shown_and_is_no_trouble(hlx: Hlx, tmp_path: Path) -> None:
    overfitted(tmp_path)
    for command in (("status",), ("watchdog", "--once")):
        ran = hlx(*command, "--checkpoint-dir", tmp_path)
        assert ran.code == 0 and f"0123456789abcdef: warning: {WARNING}" in ran.out
        assert "in trouble" not in ran.out
    (training,) = json.loads(hlx("status", "--checkpoint-dir", tmp_path, "--json").out)["trainings"]
    assert training["trouble"].startswith(WARNING) and training["lost"] is False


def test_a_replayed_curve_says_where_it_warns(hlx: Hlx, tmp_path: Path) -> None:
    directory = overfitted(tmp_path)
    ran = hlx("watchdog", "replay", directory)
    assert ran.code == 0 and f"at step 30: warning: {WARNING}" in ran.out and "3 records, no alarm" in ran.out
    content = json.loads(hlx("watchdog", "replay", directory, "--json").out)
    assert (content["spoken"], content["warned"]["step"], content["warned"]["epoch"]) == (None, 30, 3)
    stopped = json.loads(hlx("watchdog", "replay", CURVES / "diverged.parquet", "--json").out)
    assert stopped["spoken"]["step"] == 2 and stopped["warned"] is None, "the training would have ended there"


def test_a_curve_is_replayed(hlx: Hlx, curriculum: Curriculum, tmp_path: Path) -> None:
    ran = hlx("watchdog", "replay", CURVES / "rising.parquet")
    assert ran.code == 1 and "at step 90: training loss rose for 5 epochs in a row" in ran.out
    assert "(epoch 15)" in ran.out
    content = json.loads(hlx("watchdog", "replay", CURVES / "rising.parquet", "--json").out)
    assert (content["spoken"]["step"], content["spoken"]["epoch"]) == (90, 15)
    healthy = hlx("watchdog", "replay", curriculum.phases[2].checkpoint.parents[1])
    assert healthy.code == 0 and "no alarm" in healthy.out


def test_a_file_that_is_not_a_curve_is_one_line(hlx: Hlx, tmp_path: Path) -> None:
    (tmp_path / "metrics.parquet").write_text("no Parquet")
    for path, said in (
        (tmp_path / "absent", "no such file: name a metrics.parquet, or a training's directory"),
        (tmp_path, "not a Parquet file"),
    ):
        ran = hlx("watchdog", "replay", path)
        assert ran.code == 1 and ran.err == f"{ran.error}\n" and said in ran.error
