"""A home made by version 0.1.0 works with this version: it is shown, verified, cleaned, judged and continued.

Version 0.1.0 runs from a git worktree of its commit, with this version's virtual environment.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from hlx_assets.home import prepare
from hlx_model.files import sha256_of
from tests.support.command import Hlx
from tests.support.documents import tiny_text

COMMIT = "4fff01a"
ROOT = Path(__file__).parents[1]
PATIENCE = 120.0
MAIN = "from hlx_model.cli import app; app()"
MATERIALIZE = """
import dagster as dg
from hlx_assets.definitions import defs
keys = [dg.AssetKey(name) for name in ("corpus_document", "corpus_examples", "english_corpus")]
with dg.DagsterInstance.get() as instance:
    job = defs.resolve_implicit_global_asset_job_def()
    config = {"ops": {"corpus_document": {"config": {"corpus": "small.md"}}}}
    assert job.execute_in_process(instance=instance, asset_selection=keys, run_config=config).success
"""
SETTINGS = ("--profile", "quick", "--size", "tiny", "--device", "cpu", "--no-fp16", "--lr", "0.003")
GOOD = ("--phase", "1", *SETTINGS, "--epochs", "40", "--batch-size", "2")
"""Passes the gates of phase 1."""
LOST = (*GOOD, "--seed", "1", "--lr", "10")
"""Diverges and is stopped."""
KILLED = (*GOOD, "--seed", "2", "--epochs", "80")
"""Trains for seconds, so that it can be killed before its end."""

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class OldHome:
    """A home of version 0.1.0 in which trainings passed, were stopped, and were killed."""

    path: Path
    killed: str
    """The id of the training that was killed."""

    @property
    def training(self) -> Path:
        return self.path / "artifacts" / "training"

    def checkpoint(self, pattern: str) -> Path:
        (found,) = self.training.glob(f"*/checkpoints/{pattern}")
        return found


@dataclass(frozen=True)
class _Version:
    """Version 0.1.0 in a worktree, working on a home."""

    code: Path
    home: Path

    @property
    def environment(self) -> Mapping[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HLX_", "DAGSTER_"))}
        own = {"PYTHONPATH": str(self.code), "DAGSTER_HOME": str(self.home), "OMP_NUM_THREADS": "1"}
        return {**kept, **own, "HLX_SAVE_SECONDS": "0", "PYTHONWARNINGS": "ignore"}

    def start(self, program: str, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", program, *arguments]
        return subprocess.Popen(
            command, cwd=self.home, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, program: str, *arguments: str, codes: tuple[int, ...] = (0,)) -> None:
        process = self.start(program, *arguments)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode in codes, output

    def train(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> Path:
        """Train; the directory of the training."""
        before = set(self.home.glob("artifacts/training/*/"))
        self.run(MAIN, "train", "--corpus", "small.md", *arguments, codes=codes)
        (made,) = set(self.home.glob("artifacts/training/*/")) - before
        return made


def _killed(version: _Version) -> str:
    """Train, and kill the trainer as soon as it has a checkpoint to resume from; the training's id."""
    before = set(version.home.glob("artifacts/training/*/"))
    process = version.start(MAIN, "train", "--corpus", "small.md", *KILLED)
    deadline = time.monotonic() + PATIENCE
    while not (found := list(version.home.glob("artifacts/training/*/checkpoints/phase1_LAST_*/manifest.json"))):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (made,) = set(version.home.glob("artifacts/training/*/")) - before
    assert found and not list(made.glob("checkpoints/*_FINAL_*"))
    return made.name


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldHome]:
    """The home, made once."""
    if subprocess.run(["git", "-C", ROOT, "cat-file", "-e", f"{COMMIT}^{{commit}}"], capture_output=True).returncode:
        pytest.skip(f"version 0.1.0 (commit {COMMIT}) is not in this clone: git fetch --unshallow")
    folder = tmp_path_factory.mktemp("version-0.1.0")
    code, home = folder / "code", folder / "home"
    worktree = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*worktree, "add", "--detach", code, COMMIT], check=True, capture_output=True)
    try:
        home.mkdir()
        shutil.copy(code / "dagster_home" / "dagster.yaml", home)
        (home / "small.md").write_text(tiny_text(), encoding="utf-8")
        version = _Version(code, home)
        version.run(MATERIALIZE)
        (phase1,) = version.train(*GOOD).glob("checkpoints/phase1_FINAL_*")
        version.run(MAIN, "validate", "--checkpoint", str(phase1), "--device", "cpu", codes=(0, 2))
        phase2 = ("--phase", "2", *SETTINGS, "--epochs", "2", "--batch-size", "2", "--resume-from", str(phase1))
        (checkpoint,) = version.train(*phase2).glob("checkpoints/phase2_FINAL_*")
        version.run(MAIN, "validate", "--checkpoint", str(checkpoint), "--device", "cpu", codes=(0, 1, 2))
        version.train(*LOST, codes=(1,))
        yield OldHome(home, _killed(version))
    finally:
        subprocess.run([*worktree, "remove", "--force", code], check=True, capture_output=True)


@pytest.fixture
def old_home(made: OldHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OldHome:
    """A copy of the home, which is `DAGSTER_HOME`."""
    shutil.copytree(made.path, tmp_path / "home")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "home")
    return OldHome(tmp_path / "home", made.killed)


def test_status_shows_every_training_of_the_older_version(old_home: OldHome, hlx: Hlx) -> None:
    ran = hlx("status", "--json")
    assert ran.code == 0, ran.err
    found = {training["training_id"]: training["status"] for training in json.loads(ran.out)["trainings"]}
    assert sorted(found.values()) == ["aborted", "completed", "completed", "training"]
    assert found[old_home.killed] == "training"


def test_history_lists_every_training_of_the_older_version(old_home: OldHome, hlx: Hlx) -> None:
    ran = hlx("history", "--json")
    assert ran.code == 0, ran.err
    for directory in old_home.training.glob("*/heartbeat.json"):
        assert directory.parent.name in ran.out


def test_lineage_of_an_older_checkpoint_is_shown_and_verifies(old_home: OldHome, hlx: Hlx) -> None:
    checkpoint = old_home.checkpoint("phase2_FINAL_*")
    parent = old_home.checkpoint("phase1_FINAL_*")
    shown = hlx("lineage", "show", checkpoint)
    assert shown.code == 0 and parent.name in shown.out, shown.err
    verified = hlx("lineage", "verify", checkpoint)
    assert verified.code == 0, verified.out + verified.err


def test_cleaning_an_older_home_keeps_what_its_checkpoints_need(old_home: OldHome, hlx: Hlx) -> None:
    checkpoint = old_home.checkpoint("phase2_FINAL_*")
    cleaned = hlx("clean", "--yes")
    assert cleaned.code == 0, cleaned.err
    assert hlx("lineage", "verify", checkpoint).code == 0
    assert list(old_home.training.glob(f"{old_home.killed}/checkpoints/*_LAST_*"))


def test_an_older_verdict_is_void_until_the_checkpoint_is_judged_by_new_gates(old_home: OldHome, hlx: Hlx) -> None:
    parent = old_home.checkpoint("phase1_FINAL_*")
    arguments = ("--phase", 2, *SETTINGS, "--epochs", 1, "--batch-size", 2, "--resume-from", parent)
    refused = hlx("train", "--corpus", "small.md", *arguments)
    assert refused.code == 1 and "it was not judged by new gates" in refused.error
    judged = hlx("validate", "--checkpoint", parent, "--device", "cpu")
    assert judged.code in (0, 2), judged.out + judged.err
    assert "judged by new gates: the verdict of version" in judged.err
    assert hlx("train", "--corpus", "small.md", *arguments).code == 0


def test_a_corpus_that_dagster_kept_is_trained_on(old_home: OldHome, hlx: Hlx) -> None:
    (kept,) = old_home.path.glob("artifacts/corpora/english_corpus/*")
    ran = hlx("train", "--corpus", kept, "--phase", 1, *SETTINGS, "--epochs", 1, "--batch-size", 2)
    assert ran.code in (0, 1) and "error:" not in ran.err, ran.err


def test_the_same_command_trains_anew_and_leaves_the_older_training(old_home: OldHome, hlx: Hlx) -> None:
    older = old_home.checkpoint("phase1_FINAL_*")
    weights = sha256_of(older / "model.safetensors")
    assert hlx("train", "--corpus", "small.md", *GOOD).code == 0
    assert sha256_of(older / "model.safetensors") == weights
    assert len(list(old_home.training.glob("*/checkpoints/phase1_FINAL_epoch40"))) == 2


@pytest.mark.parametrize(("kind", "epochs"), [("FINAL", 42), ("LAST", 80)])
def test_a_checkpoint_of_the_older_version_is_trained_longer(
    old_home: OldHome, hlx: Hlx, kind: str, epochs: int
) -> None:
    ended = old_home.checkpoint("phase1_FINAL_*").parents[1].name
    training = ended if kind == "FINAL" else old_home.killed
    (older,) = old_home.training.glob(f"{training}/checkpoints/*_{kind}_*")
    ran = hlx("train", "--corpus", "small.md", *GOOD, "--epochs", epochs, "--resume-from", older)
    assert ran.code == 0, ran.err
    (longer,) = old_home.training.glob(f"*/checkpoints/phase1_FINAL_epoch{epochs}")
    assert f"gates at epoch {epochs}: pass" in ran.err and hlx("lineage", "verify", longer).code == 0


@pytest.mark.parametrize("replaced", [False, True])
def test_dagster_finds_the_runs_and_materializations_of_the_older_version(old_home: OldHome, replaced: bool) -> None:
    if replaced:
        (line,) = prepare(old_home.path)
        assert "was of version 0.1.0 and is replaced" in line
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("english_corpus"))
        assert event is not None and instance.get_run_by_id(event.run_id) is not None
