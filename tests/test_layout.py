"""The table of folders describes what hlx writes, and finds it."""

from pathlib import Path

import pytest

from hlx_model.corpus import store
from hlx_model.layout import (
    CHECKPOINT_FOLDER,
    CORPUS_FOLDER,
    CORPUS_REPORT_FOLDER,
    FOLDERS,
    REPORT_FOLDER,
    TRAINING_FOLDER,
    Artifacts,
)
from tests.support.curriculum import Curriculum


def test_a_checkpoint_finds_its_corpora_and_its_report_from_its_own_path(tmp_path: Path) -> None:
    checkpoint = tmp_path / "runs" / "0123abcd" / "checkpoints" / "phase1_FINAL_epoch2"
    artifacts = Artifacts.of_checkpoint(checkpoint)
    assert artifacts == Artifacts(tmp_path / "runs")
    assert artifacts.root == tmp_path
    assert artifacts.corpus("english_corpus", "77") == tmp_path / "corpora/english_corpus/77"
    assert artifacts.report(checkpoint) == tmp_path / "reports/0123abcd/phase1_FINAL_epoch2"
    assert artifacts.corpus_report("english_corpus", "77") == tmp_path / "reports/corpora/english_corpus/77"


@pytest.mark.parametrize("path", ["/", "/brain", "/tmp/brain"])
def test_a_checkpoint_near_the_root_has_a_place_for_its_report(path: str) -> None:
    checkpoint = Path(path)
    assert Artifacts.of_checkpoint(checkpoint).report(checkpoint).is_relative_to("/reports")
    assert store.report_folder(checkpoint) is None


def test_every_file_that_hlx_writes_is_declared(curriculum: Curriculum) -> None:
    for path in curriculum.root.rglob("*"):
        if path.is_file():
            kinds = [kind for kind in FOLDERS if kind.is_place(path.parent)]
            assert kinds and any(kind.has(path.name) and kind.describes(path.parent) for kind in kinds), path


def test_folders_are_found_in_their_places(curriculum: Curriculum) -> None:
    trained = list(curriculum.phases.values())
    assert {one.plan.directory for one in trained} <= set(TRAINING_FOLDER.find(curriculum.root))
    assert {one.evaluation.directory for one in trained} <= set(REPORT_FOLDER.find(curriculum.root))
    assert {path.parent.name for path in CORPUS_FOLDER.find(curriculum.root)} >= {
        "corpus_document", "corpus_examples", "english_corpus", "hlx_corpus", "paired_corpus",
    }  # fmt: skip


def test_a_place_is_known_by_the_whole_name() -> None:
    assert CHECKPOINT_FOLDER.is_place(Path("a/checkpoints/phase1_LAST_step30"))
    assert not CHECKPOINT_FOLDER.is_place(Path("a/checkpoints/phase1_mine"))
    assert not REPORT_FOLDER.is_place(Path("reports/corpora/english_corpus"))
    assert CORPUS_REPORT_FOLDER.is_place(Path("reports/corpora/english_corpus", "0" * 64))
    assert not CORPUS_FOLDER.is_place(Path("corpora/english_corpus", "0" * 63))
