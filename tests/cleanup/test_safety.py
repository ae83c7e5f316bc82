"""What is running, foreign, linked or unreadable is kept, with everything that it may need."""

import shutil
from pathlib import Path

import pytest

from hlx_model.checkpoints.manifest import CorpusVersion, read_manifest
from hlx_model.cleanup import carry_out, disk, plan_cleanup
from hlx_model.files import write_json
from hlx_model.runs.directory import AlreadyRunning, training_lock
from hlx_model.runs.heartbeat import Heartbeat
from tests.support.copies import ArtifactsCopy, age, locked, new_corpus


@pytest.mark.parametrize("how", ["lock", "heartbeat"])
def test_everything_of_a_running_training_stays(home: ArtifactsCopy, how: str) -> None:
    directory = home.of(1)
    (directory / "checkpoints" / "phase1_epoch29").mkdir()
    shutil.copytree(directory / "checkpoints", directory / "stopped-1")
    before = {path for path in home.files() if directory.name in path}
    found = plan_cleanup(home.training)
    assert any(item.training == directory for item in found.goes)
    if how == "lock":
        with locked(directory):
            assert not any(item.training == directory for item in plan_cleanup(home.training).goes)
            done = carry_out(found)  # it started after the plan was made
    else:
        Heartbeat(directory.name, 1, "tiny", 30, status="training").write(directory)
        assert not any(item.training == directory for item in plan_cleanup(home.training).goes)
        done = carry_out(found)
    assert {path for path in home.files() if directory.name in path} == before
    assert {item.path for item in done.spared} >= {item.path for item in found.goes if item.training == directory}


def test_no_trainer_can_start_while_checkpoints_are_removed(home: ArtifactsCopy) -> None:
    with disk.hold_lock(home.of(1)) as free:
        assert free and disk.is_active(home.of(1))
        with disk.hold_lock(home.of(1)) as twice:
            assert not twice
        with pytest.raises(AlreadyRunning), training_lock(home.of(1)):
            pass
    assert not disk.is_active(home.of(1))


def test_a_training_that_just_started_keeps_everything(home: ArtifactsCopy) -> None:
    new_corpus(home)
    started = home.training / "0123456789abcdef"
    started.mkdir()
    with locked(started):
        found = plan_cleanup(home.training)
        assert found.goes == () and any("is running" in note for note in found.notes)
    assert plan_cleanup(home.training).goes


def test_an_unreadable_manifest_keeps_everything_it_might_name(home: ArtifactsCopy) -> None:
    new_corpus(home)
    epoch = home.of(1) / "checkpoints" / "phase1_epoch10"
    manifest = epoch / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"size": "tiny"', '"size": "vast"'))
    found = plan_cleanup(home.training)
    assert found.goes == ()
    assert f"{epoch} is kept: its manifest cannot be read" in found.notes
    assert {item.path: item.reason for item in found.stays}[epoch] == "its manifest cannot be read"


def test_files_that_hlx_did_not_write_stay(home: ArtifactsCopy) -> None:
    checkpoints = home.of(1) / "checkpoints"
    notes = checkpoints / "phase1_epoch10" / "notes.md"
    notes.write_text("the best for songs")
    best = checkpoints / "for-songs"
    shutil.copytree(checkpoints / "phase1_epoch20", best)
    old = new_corpus(home)["english_corpus"]
    (old / "notes.md").write_text("…")
    others = [home.root / "corpora" / "notes.md", home.root / "corpora" / "mine" / ("0" * 64), home.training / "a"]
    others += [home.root / "reports" / "mine" / "phase1_FINAL_epoch3" / "mine.txt", home.root / "training.bak"]
    others += [home.of(2) / "stopped-1" / "mine.txt", home.of(1) / ".notes.md.original", checkpoints / "phase1_mine"]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("…")
        age(path)
    carry_out(plan_cleanup(home.training))
    assert all(path.exists() for path in (notes, best, old / "notes.md", *others))
    assert not (checkpoints / "phase1_epoch20").exists()


def test_links_are_not_followed_but_what_is_behind_them_counts(home: ArtifactsCopy, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(home.of(1), outside / "training")
    (home.training / "aaaaaaaaaaaaaaaa").symlink_to(outside / "training")
    checkpoints = home.of(1) / "checkpoints"
    shutil.move(checkpoints / "phase1_epoch10", outside / "phase1_epoch10")
    (checkpoints / "phase1_epoch10").symlink_to(outside / "phase1_epoch10")
    old = new_corpus(home)
    used = read_manifest(outside / "phase1_epoch10").replace(
        corpora={"english_corpus": CorpusVersion(data_version=old["english_corpus"].name, path="elsewhere")}
    )
    write_json(outside / "phase1_epoch10" / "manifest.json", used.to_json())
    shutil.move(home.root / "corpora" / "hlx_corpus", outside / "hlx_corpus")
    (home.root / "corpora" / "hlx_corpus").symlink_to(outside / "hlx_corpus")
    before = {path: path.lstat().st_mtime_ns for path in outside.rglob("*") if path.is_file()}
    done = carry_out(plan_cleanup(home.training))
    assert done.removed and {path: path.lstat().st_mtime_ns for path in outside.rglob("*") if path.is_file()} == before
    assert old["english_corpus"].is_dir() and old["corpus_examples"].is_dir() and not old["paired_corpus"].exists()


def test_a_folder_without_a_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="contains no training"):
        plan_cleanup(tmp_path)
    with pytest.raises(ValueError, match="nowhere: no such folder, so nothing was trained here: name the folder"):
        plan_cleanup(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file"):
        plan_cleanup(tmp_path / "file")
    with pytest.raises(ValueError, match="name the folder"):
        plan_cleanup(tmp_path / "..")
