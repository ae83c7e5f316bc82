"""The folder of the trainings: which one a command reads, and what it says if that does not exist or is empty."""

import json
import shutil
from pathlib import Path

import pytest

from hlx_model.corpus.build import build
from hlx_model.layout import Artifacts
from hlx_model.provenance.events import Event, record_event
from tests.support.command import Hlx
from tests.support.curriculum import Curriculum

READING = (
    ("status",), ("status", "--json"), ("history",), ("history", "--json"), ("watchdog", "--once"), ("clean",),
    ("clean", "--json"), ("lineage", "uses", "small.md"), ("lineage", "uses", "--text", "Search for documents"),
    ("translate", "Sort all users"), ("lineage", "show", "corpus_examples"),
)  # fmt: skip
"""Commands that need the folder."""
NAMING = (
    ("history", "compare", "0123abcd", "phase1_checkpoint"), ("lineage", "show", "0123abcd"),
    ("lineage", "verify", "phase3_checkpoint"), ("translate", "Sort all users", "--checkpoint", "0123abcd"),
    ("export", "0123abcd", "brain"), ("validate", "--checkpoint", "0123abcd"),
    ("train", "--phase", 2, "--resume-from", "0123abcd", "--corpus", "small.md"),
)  # fmt: skip
"""Commands that look a checkpoint up in it."""
WHAT_TO_DO = (
    "no such folder, so nothing was trained here: name the folder of the trainings with --checkpoint-dir, set "
    "DAGSTER_HOME, or run hlx in the project's folder"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one, without DAGSTER_HOME."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", [*READING, *NAMING], ids=lambda command: " ".join(map(str, command)))
def test_from_another_folder_the_missing_one_is_named(
    hlx: Hlx, here: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[object, ...]
) -> None:
    for home in (here / "dagster_home", here / "somewhere"):
        ran = hlx(*command)
        folder = home / "artifacts" / "training"
        assert ran.code == 1 and ran.out == "" and ran.err == f"{ran.error}\n"
        assert ran.error.endswith(f"{folder}: {WHAT_TO_DO}")
        assert command in READING or "0123abcd: no such checkpoint: /" in ran.error or "phase3_checkpoint" in ran.error
        monkeypatch.setenv("DAGSTER_HOME", str(here / "somewhere"))
    named = hlx(*command, "--checkpoint-dir", "relative")
    assert named.code == 1 and f"{here / 'relative'}: {WHAT_TO_DO}" in named.error
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("home", ["home", "./home", "../home", "~/home"])
def test_a_home_that_is_not_absolute_is_refused(
    hlx: Hlx, here: Path, monkeypatch: pytest.MonkeyPatch, home: str, small_document: Path
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", home)
    for command in (*READING, *NAMING, ("train", "--phase", 1, "--corpus", small_document)):
        ran = hlx(*command)
        assert ran.code == 1 and ran.err == f"error: DAGSTER_HOME is '{home}': it must be an absolute path\n", command
    assert list(here.iterdir()) == []


def test_an_empty_folder_is_no_error(hlx: Hlx, here: Path) -> None:
    training = here / "dagster_home" / "artifacts" / "training"
    training.mkdir(parents=True)
    for within in ((), ("--checkpoint-dir", "dagster_home/artifacts/training")):
        for command in (("status",), ("history",)):
            ran = hlx(*command, *within)
            assert (ran.code, ran.out, ran.err) == (0, f"{training} contains no training\n", "")
        shown = hlx("watchdog", "--once", *within).out.replace("\n", "")  # a terminal breaks a long line
        assert f"{training} contains no training" in shown
    assert json.loads(hlx("status", "--json").out)["trainings"] == []
    assert "run `make curriculum`, or name a checkpoint" in hlx("translate", "Sort all users").error


def test_a_checkpoint_is_found_by_its_path_from_anywhere(hlx: Hlx, here: Path, curriculum: Curriculum) -> None:
    checkpoint = curriculum.phases[3].checkpoint
    for command in (
        ("lineage", "show", checkpoint), ("lineage", "verify", checkpoint), ("export", checkpoint, "brain"),
        ("translate", "Sort all users", "--checkpoint", checkpoint),
        ("history", "compare", checkpoint, curriculum.phases[1].checkpoint, "--output", "figure.svg"),
    ):  # fmt: skip
        assert hlx(*command).code == 0, command
    named = hlx("lineage", "show", checkpoint, "--checkpoint-dir", "nowhere")
    assert named.code == 1 and f"{here / 'nowhere'}: no such folder" in named.error


def test_a_checkpoint_is_evaluated_and_translates_by_its_id(hlx: Hlx, curriculum: Curriculum, here: Path) -> None:
    training = Path(shutil.copytree(curriculum.root, here / "artifacts")) / "training"
    one = curriculum.phases[1]
    ran = hlx("validate", "--checkpoint", one.plan.id[:8], "--checkpoint-dir", training, "--device", "cpu")
    assert ran.code == 0 and f"report: {training.parent / 'reports' / one.plan.id}" in ran.out
    within = ("--checkpoint", curriculum.phases[3].plan.id, "--checkpoint-dir", "artifacts/training")
    assert hlx("translate", "Sort all users", *within).code == 0


def test_corpora_without_a_training_are_shown_and_cleaned(hlx: Hlx, here: Path, small_document: Path) -> None:
    """Dagster makes them first."""
    artifacts = Artifacts.at(here / "dagster_home" / "artifacts")
    examples = build([small_document], artifacts, seq_length=256).examples.directory
    record_event(artifacts.root, Event("corpus_examples", str(examples.relative_to(artifacts.root)), "run", "2026"))
    assert "small.md" in hlx("lineage", "show", "corpus_examples").out
    assert hlx("clean").code == 0
    assert "hlx_corpus was never materialized under" in hlx("lineage", "show", "hlx_corpus").error
