"""`hlx train` from the command line: gates, mistakes, and a real process that is interrupted."""

import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from hlx_model.checkpoints.progress import read_state
from hlx_model.checkpoints.seal import newest_resumable, verify_checkpoint
from hlx_model.cli.train import _log_above
from hlx_model.composer.sampling import compose
from hlx_model.evaluation.evaluate import evaluate
from tests.support.command import Hlx
from tests.support.curriculum import Curriculum
from tests.support.processes import beat_in
from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[2]


def test_an_interrupted_trainer_saves_and_a_second_one_is_refused(
    small_document: Path, tmp_path: Path, hlx: Hlx
) -> None:
    training = tmp_path / "training"
    command = (
        "--phase",
        1,
        "--corpus",
        small_document,
        "--checkpoint-dir",
        training,
        "--epochs",
        200,
        "--batch-size",
        1,
    )
    with subprocess.Popen(
        [sys.executable, "-m", "hlx_model.training", *map(str, command)], cwd=ROOT, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "HLX_SAVE_SECONDS": "0"},
    ) as child:  # fmt: skip
        wait_for(lambda: any(training.glob("*/checkpoints/*_LAST_*/manifest.json")), "for a checkpoint")
        second = hlx("train", *command)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate()
    (directory,) = training.iterdir()
    assert second.code == 1
    assert second.error == f"error: {directory}: process {child.pid} runs this training: wait for it"
    assert child.returncode == 130
    assert "interrupted: SIGINT at step" in said and "the same command resumes" in said
    beat = beat_in(directory)
    assert beat.status == "interrupted"
    newest = newest_resumable(directory / "checkpoints", directory.name)
    assert newest is not None and newest.path.name == f"phase1_LAST_step{beat.step}"


def test_phase_after_phase_is_trained_if_the_gate_is_open(curriculum: Curriculum, tmp_path: Path, hlx: Hlx) -> None:
    """From the command line alone: train, validate, train the next phase from it."""
    training = tmp_path / "training"
    common = ("--corpus", curriculum.document, "--checkpoint-dir", training, "--no-fp16")
    first = hlx("train", "--phase", 1, *common, "--epochs", 30, "--batch-size", 1, "--lr", 3e-3)
    assert first.code == 0, first.err
    (checkpoint,) = training.glob("*/checkpoints/*FINAL*")
    assert f"hlx validate --checkpoint {checkpoint}" in first.err
    milestones = read_state(checkpoint).milestones
    assert [one.epoch for one in milestones] == [1, 5, 10, 20, 30]
    assert all(one.summary in " ".join(first.err.split()) for one in milestones)
    second = ("train", "--phase", 2, *common, "--resume-from", checkpoint, "--epochs", 1)
    refused = hlx(*second)
    assert refused.code == 1
    assert refused.error.startswith(f"error: the gate of {checkpoint.name} is closed: no verdict: ")
    assert f"hlx validate --checkpoint {checkpoint}" in refused.error
    assert list(training.glob("*")) == [checkpoint.parents[1]]  # nothing was started
    assert hlx("validate", "--checkpoint", checkpoint, "--device", "cpu").code != 1
    assert hlx(*second).code == 0
    again = hlx(*second)
    assert again.code == 0 and "has already ended" in again.err


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("composed") / "composed.md"
    path.write_text(compose(320, seed=0), encoding="utf-8")
    return path


def test_a_model_that_was_trained_too_little_fails_and_says_how_to_continue(
    small_document: Path, tmp_path: Path, hlx: Hlx
) -> None:
    training = tmp_path / "training"
    common = ("--checkpoint-dir", training, "--no-fp16", "--batch-size", 1)
    assert hlx("train", "--phase", 1, "--corpus", small_document, *common, "--epochs", 1).code == 0
    (short,) = training.glob("*/checkpoints/*FINAL*")
    judged = hlx("validate", "--checkpoint", short, "--device", "cpu", "--json")
    assert judged.code == 1
    reason = next(gate["reason"] for gate in json.loads(judged.out)["gates"] if gate["name"] == "perplexity")
    name = f"{short.parents[1].name}/{short.name}"
    command = f"hlx train --phase 1 --resume-from {name} --epochs 2 --profile quick --batch-size 1"
    assert reason.endswith(f"; train longer: {command} (launchpad: continue_from, tokens)")
    # The corpus is that of the checkpoint.
    assert hlx(*command.split()[1:], "--checkpoint-dir", training, "--no-fp16").code == 0
    (longer,) = training.glob("*/checkpoints/*FINAL_epoch2")
    manifest, before = verify_checkpoint(longer).manifest, verify_checkpoint(short).manifest
    assert manifest.resumed == (name,) and manifest.corpora == before.corpora
    # 3000 tokens are four epochs of its 745.
    ran = hlx("train", "--phase", 1, "--resume-from", f"{longer.parents[1].name}", "--tokens", 3000, *common)
    assert ran.code == 0, ran.err
    assert len(list(training.glob("*/checkpoints/*FINAL_epoch6"))) == 1


def test_a_far_too_high_learning_rate_is_stopped_and_closes_the_gate(composed: Path, tmp_path: Path, hlx: Hlx) -> None:
    training = tmp_path / "training"
    common = ("--corpus", composed, "--checkpoint-dir", training)
    ran = hlx("train", "--phase", 1, *common, "--epochs", 20, "--lr", 10)
    assert ran.code == 1
    (stopped,) = training.glob("*/checkpoints/*STOPPED*")
    manifest = verify_checkpoint(stopped).manifest
    assert manifest.stopped is not None and manifest.epoch == 1
    assert f"stopped: {manifest.stopped}" in ran.err and str(stopped) in ran.err
    beat = beat_in(stopped.parents[1])
    assert beat.status in ("quality_failed", "aborted") and beat.reason == manifest.stopped
    next_phase = ("train", "--phase", 2, *common, "--resume-from", stopped, "--epochs", 1)
    unjudged = hlx(*next_phase)
    assert unjudged.code == 1 and manifest.stopped in unjudged.error
    evaluation = evaluate(stopped)
    assert evaluation.verdict.outcome == "fail"
    refused = hlx(*next_phase)
    assert refused.code == 1
    assert f"the gate of {stopped.name} is closed: training_completed" in refused.error
    assert manifest.stopped in refused.error and str(evaluation.directory) in refused.error
    assert hlx("train", "--phase", 1, *common, "--epochs", 20, "--lr", 10).code == 1  # found, and final
    assert json.loads((evaluation.directory / "verdict.json").read_text())["outcome"] == "fail"


def test_ungated_training_is_possible_and_recorded_for_good(small_document: Path, tmp_path: Path, hlx: Hlx) -> None:
    training = tmp_path / "training"
    common = ("--corpus", small_document, "--checkpoint-dir", training, "--epochs", 1)

    def final(phase: int) -> list[Path]:
        return list(training.glob(f"*/checkpoints/phase{phase}_FINAL_*"))

    assert hlx("train", "--phase", 1, *common).code == 0
    (first,) = final(1)
    second = ("train", "--phase", 2, *common, "--resume-from", first)
    assert "no verdict" in hlx(*second).error and not final(2)
    assert hlx(*second, "--ungated").code == 0
    (unjudged,) = final(2)
    passed_over = [f"{first.parents[1].name}/{first.name}"]
    assert verify_checkpoint(unjudged).manifest.ungated == tuple(passed_over)
    lineage = next(gate for gate in evaluate(unjudged).verdict.gates if gate.name == "lineage")
    assert lineage.outcome == "warn" and passed_over[0] in lineage.reason
    assert hlx("train", "--phase", 3, *common, "--resume-from", unjudged, "--ungated").code == 0
    (third,) = final(3)
    assert verify_checkpoint(third).manifest.ungated[0] == passed_over[0]


@pytest.fixture
def bad(tmp_path: Path, small_document: Path, curriculum: Curriculum) -> dict[str, Path]:
    """Return paths that a user may name by mistake."""
    (tmp_path / "empty.md").write_text("")
    (tmp_path / "prose.md").write_text("# Notes\n\nNothing to learn from.\n")
    (tmp_path / "unreadable.md").write_text("English: One\nHLXL: {{\n")
    (tmp_path / "latin1.md").write_bytes("English: Müller\n".encode("latin-1"))
    (tmp_path / "few.md").write_text(compose(5, seed=0))
    return {
        **{path.name: path for path in tmp_path.iterdir()},
        "missing.md": tmp_path / "missing.md",
        "folder": tmp_path,
        "good": small_document,
        "phase 1": curriculum.phases[1].checkpoint,
    }


@pytest.mark.parametrize(
    ("corpus", "options", "said"),
    [
        ("missing.md", (), "missing.md: no such file"),
        ("folder", (), "is a directory"),
        ("empty.md", (), "empty.md: is empty"),
        ("prose.md", (), "prose.md: no entry found"),
        ("unreadable.md", (), "unreadable.md: none of its 1 entries is usable"),
        ("latin1.md", (), "latin1.md: not UTF-8 at byte offset 10"),
        ("few.md", (), "few.md: the gate of corpus_examples is closed: coverage"),
        ("good", ("--size", "2b"), "size is '2b': choose one of tiny, 10m, 50m, 100m, 250m, 500m, 1b"),
        ("good", ("--epochs", 0), "epochs is 0: it must be at least 1"),
        ("good", ("--tokens", 0), "tokens is 0: it must be at least 1"),
        ("good", ("--tokens", 1000, "--epochs", 2), "epochs is 2 and tokens is 1000: set one of them"),
        ("good", ("--gate-every", -1), "gate_every is -1: it must be a number of epochs, 0 for none"),
        ("good", ("--batch-size", 0), "batch_size is 0: it must be at least 1"),
        ("good", ("--seq-length", 513), "seq_length is 513: it must be 3 to 512"),
        ("good", ("--seq-length", 10), "none of its 48 entries is usable"),
        ("good", ("--lr", 0), "learning_rate is 0.0: it must be above 0"),
        ("good", ("--lr", "nan"), "learning_rate is nan: it must be above 0"),
        ("good", ("--profile", "fast"), "profile is 'fast': choose one of quick, production"),
        ("good", ("--phase", 2), "phase 2 starts from a checkpoint of phase 1: name it with --resume-from"),
        ("good", ("--phase", 7), "phase is 7: it must be 1, 2 or 3"),
        ("good", ("--phase", 2, "--resume-from", "nowhere"), "nowhere: no such checkpoint"),
        ("good", ("--phase", 2, "--resume-from", "phase 1", "--size", "10m"), "is of size tiny, not 10m"),
        ("good", ("--phase", 3, "--resume-from", "phase 1"), "is of phase 1: phase 3 starts from one of phase 2 or 3"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    bad: dict[str, Path], tmp_path: Path, hlx: Hlx, corpus: str, options: tuple[object, ...], said: str
) -> None:
    options = tuple(bad.get(str(option), option) for option in options)
    training = tmp_path / "artifacts" / "training"
    ran = hlx("train", "--phase", 1, "--corpus", bad[corpus], "--checkpoint-dir", training, *options)
    assert ran.code == 1 and ran.out == ""
    assert ran.err.count("\n") == 1 and ran.error == ran.err.rstrip("\n")
    assert said in ran.error
    assert not training.exists()


def test_in_a_terminal_the_log_is_above_the_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, stderr = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    with _log_above(Progress(console=Console(file=terminal, force_terminal=True, width=60))) as bar:
        bar.add_task("epoch 9/20")
        bar.refresh()
        logging.getLogger("hlx_model").warning("validation loss 1.81")
    logging.getLogger().removeHandler(handler)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()).replace("\r", "\n")
    assert "validation loss 1.81" in shown.splitlines() and "epoch 9/20" in shown
    assert (stderr.getvalue(), handler.stream) == ("", stderr)


def test_a_corpus_must_be_named(hlx: Hlx, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "no corpus: name a document with --corpus" in hlx("train", "--phase", 1).error
    monkeypatch.setenv("HLX_CORPUS", str(tmp_path / "chosen.md"))
    assert "chosen.md: no such file" in hlx("train", "--phase", 1, "--checkpoint-dir", tmp_path / "training").error


def test_a_truncated_parent_is_refused(curriculum: Curriculum, tmp_path: Path, hlx: Hlx) -> None:
    spoilt = tmp_path / "training" / "0123" / "checkpoints" / "phase1_FINAL_epoch30"
    spoilt.mkdir(parents=True)
    for path in curriculum.phases[1].checkpoint.iterdir():
        (spoilt / path.name).write_bytes(path.read_bytes())
    os.truncate(spoilt / "model.safetensors", 1000)
    ran = hlx(
        "train", "--phase", 2, "--corpus", curriculum.document, "--checkpoint-dir", tmp_path / "training",
        "--resume-from", spoilt,
    )  # fmt: skip
    assert ran.code == 1
    assert f"{spoilt / 'model.safetensors'}: 1000 bytes, " in ran.error


def test_a_large_model_on_a_cpu_wants_a_yes(hlx: Hlx, small_document: Path, tmp_path: Path) -> None:
    ran = hlx(
        "train", "--phase", 1, "--corpus", small_document, "--checkpoint-dir", tmp_path / "training",
        "--size", "10m", "--epochs", 1, "--device", "cpu",
    )  # fmt: skip
    assert ran.code == 1 and ran.error.startswith("error: 10m on a CPU takes ")
    assert ran.error.endswith("nothing was trained; to train all the same, repeat with --yes")
    assert not list(tmp_path.glob("training/*/checkpoints/*"))
