"""What is removed is removed as a whole, also if the removal is killed; leftovers of kills go a day later."""

import shutil
import signal
import subprocess
import sys

import pytest

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.cleanup import carry_out, plan_cleanup
from hlx_model.corpus import store
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.evaluation.verdict import require_passed
from tests.support.copies import ArtifactsCopy, age, intact, new_corpus


def test_what_cannot_be_removed_is_reported(home: ArtifactsCopy) -> None:
    found = plan_cleanup(home.training)
    (home.of(1) / "lock").unlink()
    (home.of(1) / "lock").mkdir()
    done = carry_out(found)
    assert [item.path for item in done.failed] == [home.of(1)]
    assert all(item.path.exists() for item in found.goes if item.training == home.of(1))


def test_leftovers_of_kills_go_after_a_day(home: ArtifactsCopy) -> None:
    version = next((home.root / "corpora" / "english_corpus").iterdir())
    checkpoints = home.of(1) / "checkpoints"
    places = [
        checkpoints / ".phase1_epoch30.ab12_xyz" / "model.safetensors",
        version.parent / ".new-ab12_xyz" / "rows.parquet",
        version.parent / f".{version.name}.ab12_xyz" / "rows.parquet",
        version.parent / f".{version.name}.old.ab12_xyz" / version.name / "rows.parquet",
        version / ".derived.json.ab12_xyz",
        home.of(1) / ".heartbeat.json.ab12_xyz",
        home.training / ".watchdog.json.ab12_xyz",
        home.root / "reports" / home.of(1).name / home.curriculum.phases[1].checkpoint.name / ".loss.svg.ab12_xyz",
    ]
    for path in places:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("…")
    assert home.going("leftover") == set(), "they may be being written"
    for path in places:
        age(path)
        if path.parent.name.startswith("."):
            age(path.parent)
        if path.parents[1].name.startswith("."):
            age(path.parents[1])
    assert len(home.going("leftover")) == len(places)
    half = checkpoints / "phase1_epoch27"
    shutil.copytree(checkpoints / "phase1_epoch10", half)
    (half / "manifest.json").unlink()
    assert str(half.relative_to(home.root)) in home.going("leftover")
    carry_out(plan_cleanup(home.training))
    assert not half.exists() and not any(path.exists() for path in places)
    intact(home)


def test_a_checkpoint_whose_removal_was_killed_is_a_leftover_and_keeps_nothing(home: ArtifactsCopy) -> None:
    epoch = home.of(1) / "checkpoints" / "phase1_epoch10"
    hidden = epoch.rename(epoch.with_name(f".{epoch.name}.ab12cd34"))
    age(hidden)
    assert str(hidden.relative_to(home.root)) in home.going("leftover")
    assert hidden not in {stays.path for stays in plan_cleanup(home.training).stays}


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from hlx_model.cleanup import carry_out, plan_cleanup
left = int(sys.argv[2])
def audit(event, arguments):
    global left
    if event in ("os.remove", "os.rename", "os.rmdir"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
found = plan_cleanup(Path(sys.argv[1]))
sys.addaudithook(audit)
carry_out(found)
"""


@pytest.mark.parametrize("after", [0, 1, 2, 5, 9, 20, 26, 30])
def test_a_killed_removal_keeps_what_is_needed_and_can_be_repeated(home: ArtifactsCopy, after: int) -> None:
    old = new_corpus(home)
    evaluate(home.of(1) / "checkpoints" / "phase1_epoch10")
    kept = {stays.path for stays in plan_cleanup(home.training).stays}
    ran = subprocess.run([sys.executable, "-c", KILLED, str(home.training), str(after)], check=False)
    assert ran.returncode == -signal.SIGKILL
    assert all(path.exists() for path in kept)
    for phase in (1, 2, 3):
        require_passed(verify_checkpoint(home.final(phase)))
    for asset, directory in old.items():
        if asset != "corpus_document" and directory.exists():
            store.verify(directory)
    for hidden in home.root.rglob(".*"):
        age(hidden)
    carry_out(plan_cleanup(home.training))
    intact(home)
    assert plan_cleanup(home.training).goes == () and not list(home.root.rglob(".*"))
