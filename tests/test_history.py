"""The history of all trainings, and the file that it is copied to."""

import json
import logging
import math
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hlx_model import history as module
from hlx_model.files import digest_of, read_json, write_json
from hlx_model.history import HISTORY_SCHEMA, history, history_with_copy, write_history
from hlx_model.layout import HISTORY, Artifacts
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.training.settings import Settings
from tests.support.command import Hlx
from tests.support.curriculum import Curriculum
from tests.support.processes import beat_in

ID = "0123456789abcdef"


@pytest.fixture
def copied(curriculum: Curriculum, tmp_path: Path) -> Artifacts:
    """The curriculum's artifacts, to be changed; without weights and corpora, which the history does not read."""
    unread = shutil.ignore_patterns("*.safetensors", "corpora")
    shutil.copytree(curriculum.root, tmp_path / "artifacts", ignore=unread)
    return Artifacts.at(tmp_path / "artifacts")


def rows(artifacts: Artifacts) -> dict[str, dict[str, Any]]:
    """The rows by training."""
    return {row.training_id: row.model_dump() for row in history(artifacts.training)}


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


def test_every_training_is_a_row_from_its_files_the_oldest_first(curriculum: Curriculum) -> None:
    found = [row.model_dump() for row in history(curriculum.training)]
    assert [row["phase"] for row in found] == [1, 2, 3]
    for row, (phase, trained) in zip(found, curriculum.phases.items(), strict=True):
        manifest, report = trained.outcome.manifest, trained.evaluation.report.to_json()
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


def test_a_report_without_a_letter_has_a_dash(hlx: Hlx, curriculum: Curriculum, copied: Artifacts) -> None:
    path = copied.report(checkpoint(curriculum, copied, 1)) / "report.json"
    content = read_json(path)
    write_json(path, content | {"grade": content["grade"] | {"letter": None, "capped": "nothing was held out"}})
    assert rows(copied)[curriculum.phases[1].plan.id]["grade"] is None
    assert f" {content['outcome']} – " in hlx("history", "--checkpoint-dir", copied.training).out


def test_every_setting_of_a_training_is_a_column() -> None:
    planned = {f"setting_{f.name}" for f in fields(Settings) if f.name not in ("phase", "size", "epochs")}
    assert planned == {name for name in HISTORY_SCHEMA.names if name.startswith("setting_")}


def test_the_file_contains_the_history_and_is_written_only_if_it_changes(
    curriculum: Curriculum, copied: Artifacts
) -> None:
    path, rows = copied.root / HISTORY, write_history(copied)
    assert rows == history(copied.training)
    assert pq.read_table(path).to_pylist() == [row.model_dump() for row in rows]
    assert pq.read_schema(path).equals(HISTORY_SCHEMA, check_metadata=True)
    written = path.stat().st_ino, path.stat().st_mtime_ns
    write_history(copied)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == written
    verdict = copied.report(checkpoint(curriculum, copied, 2)) / "verdict.json"
    write_json(verdict, {**read_json(verdict), "outcome": "fail"})
    write_history(copied)
    assert pq.read_table(path)["verdict"].to_pylist().count("fail") == 1


def test_a_deleted_training_is_gone_and_a_new_one_is_there(curriculum: Curriculum, copied: Artifacts) -> None:
    assert len(rows(copied)) == 3
    beat(copied)
    shutil.rmtree(copied.training / curriculum.phases[3].plan.id)
    found = rows(copied)
    assert list(found) == [ID, *(curriculum.phases[phase].plan.id for phase in (1, 2))]
    shutil.rmtree(copied.training)
    assert rows(copied) == {}


def test_a_training_that_continues_and_is_evaluated_changes_its_row(curriculum: Curriculum, copied: Artifacts) -> None:
    path, name = checkpoint(curriculum, copied, 3), curriculum.phases[3].plan.id
    report, aside = copied.report(path), copied.root / "aside"
    shutil.move(report, aside)
    shutil.move(path, copied.root / "end")
    written = beat_in(path.parents[1])
    written.status = "training"
    written.write(path.parents[1])
    row = rows(copied)[name]
    assert (row["status"], row["ended"], row["verdict"]) == ("training", None, None)
    assert row["checkpoint_kind"] in ("BEST", "EPOCH") and row["setting_batch_size"] == 4
    shutil.move(copied.root / "end", path)
    row = rows(copied)[name]
    # The trainer was killed when it had just ended.
    assert (row["status"], row["checkpoint"], row["verdict"]) == ("completed", path.name, None)
    assert row["ended"] == curriculum.phases[3].outcome.manifest.created
    shutil.move(aside, report)
    assert rows(copied)[name]["verdict"] == curriculum.phases[3].evaluation.report.to_json()["outcome"]


def test_a_verdict_on_other_weights_is_none(curriculum: Curriculum, copied: Artifacts) -> None:
    verdict = copied.report(checkpoint(curriculum, copied, 1)) / "verdict.json"
    write_json(verdict, {**read_json(verdict), "weights_sha256": "0" * 64})
    row = rows(copied)[curriculum.phases[1].plan.id]
    assert (row["verdict"], row["grade"]) == (None, None)


def test_the_heartbeat_gives_the_row_of_a_training_without_checkpoint(tmp_path: Path) -> None:
    artifacts = Artifacts.at(tmp_path)
    beat(artifacts, status="aborted", reason="loss is nan", train_loss=math.nan, held_out_loss=3.5)
    row = rows(artifacts)[ID]
    assert (row["status"], row["reason"], row["phase"]) == ("aborted", "loss is nan", 1)
    assert math.isnan(row["train_loss"]) and row["held_out_loss"] == 3.5
    assert row["checkpoint"] is None and row["setting_seed"] is None and row["ungated"] is None


def test_an_unreadable_file_is_skipped_with_a_warning_until_it_is_mended(
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
            assert "skipped" in caplog.text and str(broken.parent) in caplog.text
        broken.write_bytes(whole)
        mended = rows(copied)[name]
        assert mended == before[name]


def test_a_heartbeat_of_other_types_takes_no_other_training_with_it(
    copied: Artifacts, caplog: pytest.LogCaptureFixture
) -> None:
    directory = beat(copied)
    content = read_json(directory / "heartbeat.json")
    for changed in ({"epoch": "four"}, {"started": "long ago"}, {"status": 7}, {"started": 1e300}):
        (directory / "heartbeat.json").write_text(json.dumps({**content, **changed}))
        caplog.clear()
        assert ID not in rows(copied) and len(rows(copied)) == 3
        assert "skipped" in caplog.text and ID in caplog.text


def test_other_folders_are_not_trainings(copied: Artifacts) -> None:
    (copied.training / "notes").mkdir()
    (copied.training / ".trash").mkdir()
    (copied.training / "watchdog.json").write_text("{}")
    assert len(rows(copied)) == 3


def test_what_an_older_manifest_does_not_record_is_none(curriculum: Curriculum, copied: Artifacts) -> None:
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


def test_an_older_file_is_replaced_and_a_file_of_the_user_is_kept(
    copied: Artifacts, caplog: pytest.LogCaptureFixture
) -> None:
    path = copied.root / HISTORY
    write_history(copied)
    old = pq.read_table(path).replace_schema_metadata({b"hlx-history": b"1"}).drop_columns(["grade"])
    pq.write_table(old, path)
    write_history(copied)
    assert pq.read_schema(path).equals(HISTORY_SCHEMA, check_metadata=True)
    for of_user in (old.replace_schema_metadata(None), None):
        if of_user is None:
            path.write_text("our history")
        else:
            pq.write_table(of_user, path)
        content = path.read_bytes()
        with pytest.raises(ValueError, match="is not a history of trainings: move it away"):
            write_history(copied)
        assert len(history_with_copy(copied.training)) == 3 and "is not written" in caplog.text
        assert path.read_bytes() == content


def test_nothing_is_written_for_a_folder_without_trainings(tmp_path: Path) -> None:
    assert history_with_copy(tmp_path / "absent" / "training") == []
    assert not list(tmp_path.iterdir())


def test_the_history_is_shown_also_if_the_disk_is_full(
    copied: Artifacts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(module, "write_bytes", full)
    assert len(history_with_copy(copied.training)) == 3
    assert "history.parquet is not written: [Errno 28] No space left on device" in caplog.text


def test_a_figure_of_another_type_takes_no_other_training_with_it(
    curriculum: Curriculum, copied: Artifacts, caplog: pytest.LogCaptureFixture
) -> None:
    report = copied.report(checkpoint(curriculum, copied, 2)) / "report.json"
    write_json(report, {**read_json(report), "grade": {"letter": 7}})
    assert [row.phase for row in history(copied.training)] == [1, 3]
    assert "grade" in caplog.text and curriculum.phases[2].plan.id in caplog.text
