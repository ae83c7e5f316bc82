"""`hlx clean` shows what it would remove, with size and reason, and removes it with --yes."""

import json
import shutil
from pathlib import Path

import pytest

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.evaluation.verdict import require_passed
from tests.support.command import Hlx
from tests.support.curriculum import Curriculum


@pytest.fixture
def training(curriculum: Curriculum, tmp_path: Path) -> Path:
    return shutil.copytree(curriculum.root, tmp_path / "artifacts") / "training"


def test_it_shows_what_it_would_remove_why_and_the_command(hlx: Hlx, curriculum: Curriculum, training: Path) -> None:
    before = sorted(training.parent.rglob("*"))
    ran = hlx("clean", "--checkpoint-dir", training)
    assert ran.code == 0 and sorted(training.parent.rglob("*")) == before
    title, *_, total, how = ran.out.splitlines()
    assert title.startswith("checkpoints: ") and total.startswith("in all: ") and total.endswith("MB")
    (line,) = [line for line in ran.out.splitlines() if "phase1_epoch10 " in line]
    assert line.startswith(f"  training/{curriculum.phases[1].plan.id}/checkpoints/phase1_epoch10  ")
    assert line.endswith("EPOCH of a training that has ended; nothing kept was made from it")
    assert how == f"nothing was removed; `hlx clean --checkpoint-dir {training} --yes` removes it"


def test_with_yes_it_removes_it_and_leaves_the_rest_intact(hlx: Hlx, curriculum: Curriculum, training: Path) -> None:
    ran = hlx("clean", "--checkpoint-dir", training, "--yes")
    assert ran.code == 0 and ran.out.splitlines()[-1].startswith("removed: ")
    assert not list(training.glob("*/checkpoints/phase?_epoch*"))
    for path in training.glob("*/checkpoints/*"):
        verify_checkpoint(path)
    for trained in curriculum.phases.values():
        require_passed(verify_checkpoint(training / trained.plan.id / "checkpoints" / trained.checkpoint.name))
    again = hlx("clean", "--checkpoint-dir", training, "--yes")
    assert again.code == 0 and again.out.startswith("nothing to remove")


def test_json_has_the_plan_and_the_result(hlx: Hlx, training: Path) -> None:
    shown = json.loads(hlx("clean", "--checkpoint-dir", training, "--json").out)
    assert shown["removed"] is None and shown["bytes"] == sum(item["bytes"] for item in shown["goes"])
    assert {item["group"] for item in shown["goes"]} == {"checkpoint"}
    assert {"path", "reason"} == set(shown["stays"][0])
    done = json.loads(hlx("clean", "--checkpoint-dir", training, "--json", "--yes").out)
    assert done["removed"] == [item["path"] for item in shown["goes"]] and done["failed"] == done["spared"] == []


def test_an_unreadable_manifest_is_why_nothing_is_removed(hlx: Hlx, training: Path) -> None:
    manifest = next(training.glob("*/checkpoints/phase1_epoch10/manifest.json"))
    manifest.write_text("{}")
    ran = hlx("clean", "--checkpoint-dir", training)
    assert ran.code == 0 and f"{manifest.parent} is kept: its manifest cannot be read" in ran.out
    assert "nothing to remove" in ran.out


def test_a_wrong_folder_is_one_line(hlx: Hlx, tmp_path: Path) -> None:
    for folder, said in ((tmp_path / "nowhere", "no such folder"), (tmp_path, "contains no training: name the folder")):
        ran = hlx("clean", "--checkpoint-dir", folder)
        assert ran.code == 1 and f"{folder}" in ran.error and said in ran.error
