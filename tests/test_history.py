"""The history of all trainings, and the table that is kept of it."""

import json
import logging
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hlx_model import history as module
from hlx_model.files import digest_of, read_json, write_json
from hlx_model.history import (
    HISTORY_SCHEMA,
    history,
    kept_history,
    newest_first,
    write_history,
)
from hlx_model.layout import HISTORY, Artifacts
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.training.settings import Settings
from tests.conftest import Curriculum

ID = "0123456789abcdef"


@pytest.fixture
def copied(curriculum: Curriculum, tmp_path: Path) -> Artifacts:
    """The curriculum's artifacts, to be changed; without weights and corpora, which the history does not look at."""
    unread = shutil.ignore_patterns("*.safetensors", "corpora")
    shutil.copytree(curriculum.root, tmp_path / "artifacts", ignore=unread)
    return Artifacts.at(tmp_path / "artifacts")


def rows(artifacts: Artifacts) -> dict[str, dict[str, Any]]:
    """The rows by training, as they are found with the table that is kept; the same as without it."""
    write_history(artifacts)
    found = {row["training_id"]: row for row in history(artifacts.training).to_pylist()}
    (artifacts.root / HISTORY).unlink()
    anew = {row["training_id"]: row for row in history(artifacts.training).to_pylist()}
    write_history(artifacts)
    assert repr(found) == repr(anew) and list(found) == list(anew)
    return found


def checkpoint(curriculum: Curriculum, artifacts: Artifacts, phase: int) -> Path:
    return artifacts.root / curriculum.phases[phase].checkpoint.relative_to(curriculum.root)


def beat(artifacts: Artifacts, **changes: Any) -> Path:
    """A training of which there is a heartbeat alone."""
    directory = artifacts.training / ID
    directory.mkdir(parents=True, exist_ok=True)
    written = Heartbeat(ID, 1, "tiny", 200, status="training", epoch=4, step=40, started=1e9)
    for name, value in changes.items():
        setattr(written, name, value)
    written.write(directory)
    return directory


def test_every_training_is_a_row_with_what_its_files_say_the_oldest_first(curriculum: Curriculum) -> None:
    found = history(curriculum.training).to_pylist()
    assert [row["phase"] for row in found] == [1, 2, 3]
    for row, (phase, trained) in zip(found, curriculum.phases.items(), strict=True):
        manifest, report = trained.outcome.manifest, trained.judgement.report.to_json()
        curve = [point["held_out_loss"] for point in report["curve"] if point["held_out_loss"] is not None]
        assert row["training_id"] == trained.plan.id and row["checkpoint"] == trained.checkpoint.name
        assert (row["status"], row["reason"], row["run_id"]) == ("completed", None, "the run")
        assert (row["epochs"], row["epoch"], row["step"]) == (manifest.epochs, manifest.epoch, manifest.step)
        assert row["started"].endswith("+00:00") and row["started"] <= row["ended"]
        assert (row["held_out_loss"], row["best_held_out_loss"]) == (curve[-1], min(curve))
        kept = {name: row[f"setting_{name}"] for name in manifest.settings if f"setting_{name}" in row}
        assert kept == {k: v for k, v in manifest.settings.items() if k not in ("phase", "size", "epochs")}
        versions = {asset: version.data_version for asset, version in manifest.corpora.items()}
        assert {a: row[f"{a}_version"] for a in ("english_corpus", "hlx_corpus", "paired_corpus")} == {
            asset: versions.get(asset) for asset in ("english_corpus", "hlx_corpus", "paired_corpus")
        }
        parent = curriculum.phases[phase - 1] if phase > 1 else None
        assert row["parent_training_id"] == (parent.plan.id if parent else None)
        assert row["parent_checkpoint"] == (parent.checkpoint.name if parent else None)
        assert (row["device"], row["code_commit"]) == ("cpu", manifest.code["commit"])
        assert (row["verdict"], row["grade"]) == (report["outcome"], report["grade"]["letter"])
        for name in ("to_hlx", "to_english"):
            rates = report["figures"].get(f"all_{name}")
            assert row[f"exact_match_{name}"] == (rates["exact_match"] if rates else None)


def test_every_setting_of_a_training_is_a_column() -> None:
    asked = {f"setting_{f.name}" for f in fields(Settings) if f.name not in ("phase", "size", "epochs")}
    assert asked == {name for name in HISTORY_SCHEMA.names if name.startswith("setting_")}


def test_the_table_is_kept_and_only_what_has_changed_is_read_again(
    curriculum: Curriculum, copied: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_history(copied)
    assert path == copied.root / HISTORY and pq.read_table(path).equals(history(copied.training))
    read: list[str] = []
    really: Callable[[Artifacts, Path], Any] = module._read

    def noted(artifacts: Artifacts, directory: Path) -> Any:
        read.append(directory.name)
        return really(artifacts, directory)

    monkeypatch.setattr(module, "_read", noted)
    written = path.stat().st_ino, path.stat().st_mtime_ns
    assert write_history(copied) == path and not read
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == written
    changed = checkpoint(curriculum, copied, 2)
    verdict = copied.report(changed) / "verdict.json"
    write_json(verdict, {**read_json(verdict), "outcome": "fail"})
    write_history(copied)
    assert read == [curriculum.phases[2].plan.id]
    assert [row["verdict"] for row in pq.read_table(path).to_pylist()].count("fail") == 1


def test_a_training_that_is_deleted_is_gone_and_a_new_one_is_there(curriculum: Curriculum, copied: Artifacts) -> None:
    assert len(rows(copied)) == 3
    beat(copied)
    shutil.rmtree(copied.training / curriculum.phases[3].plan.id)
    found = rows(copied)
    assert list(found) == [ID, *(curriculum.phases[phase].plan.id for phase in (1, 2))]
    shutil.rmtree(copied.training)
    assert rows(copied) == {}


def test_a_training_goes_on_and_is_judged(curriculum: Curriculum, copied: Artifacts) -> None:
    path, name = checkpoint(curriculum, copied, 3), curriculum.phases[3].plan.id
    report, aside = copied.report(path), copied.root / "aside"
    shutil.move(report, aside)
    shutil.move(path, copied.root / "end")
    beat_of = Heartbeat.read(path.parents[1])
    assert beat_of is not None
    beat_of.status = "training"
    beat_of.write(path.parents[1])
    row = rows(copied)[name]
    assert (row["status"], row["ended"], row["verdict"]) == ("training", None, None)
    assert row["checkpoint_kind"] in ("BEST", "EPOCH") and row["setting_batch_size"] == 4
    shutil.move(copied.root / "end", path)
    row = rows(copied)[name]
    # The trainer was killed when it had just ended.
    assert (row["status"], row["checkpoint"], row["verdict"]) == ("completed", path.name, None)
    assert row["ended"] == curriculum.phases[3].outcome.manifest.created
    shutil.move(aside, report)
    assert rows(copied)[name]["verdict"] == curriculum.phases[3].judgement.report.to_json()["outcome"]


def test_a_verdict_on_other_weights_is_none(curriculum: Curriculum, copied: Artifacts) -> None:
    verdict = copied.report(checkpoint(curriculum, copied, 1)) / "verdict.json"
    write_json(verdict, {**read_json(verdict), "weights_sha256": "0" * 64})
    row = rows(copied)[curriculum.phases[1].plan.id]
    assert (row["verdict"], row["grade"]) == (None, None)


def test_of_a_training_without_a_checkpoint_the_heartbeat_says_all_there_is(tmp_path: Path) -> None:
    artifacts = Artifacts.at(tmp_path)
    beat(artifacts, status="aborted", reason="loss is nan", train_loss=math.nan, held_out_loss=3.5)
    row = rows(artifacts)[ID]
    assert (row["status"], row["reason"], row["phase"]) == ("aborted", "loss is nan", 1)
    assert math.isnan(row["train_loss"]) and row["held_out_loss"] == 3.5
    assert row["checkpoint"] is None and row["setting_seed"] is None and row["ungated"] is None


def test_what_cannot_be_read_is_passed_over_with_a_word_and_taken_when_it_is_mended(
    curriculum: Curriculum, copied: Artifacts, caplog: pytest.LogCaptureFixture
) -> None:
    path, name = checkpoint(curriculum, copied, 1), curriculum.phases[1].plan.id
    before = rows(copied)
    for broken, lost in (
        (path / "manifest.json", "checkpoint"),
        (path / "state.json", "best_held_out_loss"),
        (path.parents[1] / "heartbeat.json", "train_loss"),
        (copied.report(path) / "report.json", "grade"),
        (copied.report(path) / "verdict.json", "verdict"),
    ):
        whole = broken.read_bytes()
        for content in (whole[: len(whole) // 2], b"[]", b"\xff", b"{}"):
            if content == b"{}" and broken.name == "heartbeat.json":
                content = b'{"training_id": "x"}'
            broken.write_bytes(content)
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                found = rows(copied)
            assert set(found) == set(before), broken
            assert found[name][lost] != before[name][lost], broken
            assert "passed over" in caplog.text and str(broken.parent) in caplog.text
        broken.write_bytes(whole)
        mended = rows(copied)[name]
        assert {**mended, "stamp": ""} == {**before[name], "stamp": ""}


def test_a_heartbeat_of_other_types_takes_no_other_training_with_it(
    copied: Artifacts, caplog: pytest.LogCaptureFixture
) -> None:
    directory = beat(copied)
    content = read_json(directory / "heartbeat.json")
    for changed in ({"epoch": "four"}, {"started": "long ago"}, {"status": 7}, {"started": 1e300}):
        (directory / "heartbeat.json").write_text(json.dumps({**content, **changed}))
        caplog.clear()
        assert ID not in rows(copied) and len(rows(copied)) == 3
        assert "passed over" in caplog.text and ID in caplog.text


def test_folders_that_are_no_trainings_are_none(copied: Artifacts) -> None:
    (copied.training / "notes").mkdir()
    (copied.training / ".trash").mkdir()
    (copied.training / "watchdog.json").write_text("{}")
    assert len(rows(copied)) == 3


def test_what_an_older_manifest_does_not_say_is_none(curriculum: Curriculum, copied: Artifacts) -> None:
    path = checkpoint(curriculum, copied, 2) / "manifest.json"
    content = read_json(path)
    for later in ("digest", "started", "device", "code", "milestones", "ungated"):
        del content[later]
    del content["settings"]["prompt_weight"]
    for version in content["corpora"].values():
        version.pop("documents"), version.pop("examples")
    write_json(path, {**content, "digest": digest_of(content)})
    row = rows(copied)[curriculum.phases[2].plan.id]
    assert row["checkpoint"] == path.parent.name and row["hlx_corpus_version"]
    assert (row["device"], row["code_commit"], row["code_dirty"], row["setting_prompt_weight"]) == (None,) * 4


def test_a_table_of_another_version_is_made_anew_and_a_file_of_the_users_is_left_alone(
    copied: Artifacts, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_history(copied)
    old = pq.read_table(path).replace_schema_metadata({b"hlx-history": b"0"}).drop_columns(["grade"])
    pq.write_table(old, path)
    assert pq.read_table(write_history(copied)).schema.equals(HISTORY_SCHEMA, check_metadata=True)
    for theirs in (old.replace_schema_metadata(None), None):
        if theirs is None:
            path.write_text("our history")
        else:
            pq.write_table(theirs, path)
        content = path.read_bytes()
        with pytest.raises(ValueError, match="is no history of trainings: move it away"):
            write_history(copied)
        assert kept_history(copied.training).num_rows == 3 and "not kept" in caplog.text
        assert path.read_bytes() == content


def test_where_there_is_no_training_nothing_is_written_by_looking(tmp_path: Path) -> None:
    assert kept_history(tmp_path / "absent" / "training").num_rows == 0
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_is_read_all_the_same(
    copied: Artifacts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(module, "write_bytes", full)
    assert kept_history(copied.training).num_rows == 3
    assert "the history is not kept: [Errno 28] No space left on device" in caplog.text


def test_for_people_the_newest_come_first_and_no_more_than_asked(curriculum: Curriculum) -> None:
    table = history(curriculum.training)
    assert [row["phase"] for row in newest_first(table)] == [3, 2, 1]
    assert [row["phase"] for row in newest_first(table, 2)] == [3, 2]
    assert "stamp" not in newest_first(table)[0]


def test_to_look_at_the_history_loads_no_pytorch() -> None:
    program = "import sys, hlx_model.cli.history; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
