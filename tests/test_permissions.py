"""The umask decides who may read and write what the project writes, and a setgid folder decides its group."""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hlx_assets.watchdog.alert_record import RecordedAlert, record_alert
from hlx_model.cleanup.disk import is_leftover
from hlx_model.corpus import store
from hlx_model.corpus.build import build
from hlx_model.corpus.documents import keep_documents
from hlx_model.files import new_directory, staging, unfinished, utc_now, write_json
from hlx_model.history import write_history
from hlx_model.layout import Artifacts
from hlx_model.profiles import PROFILES
from hlx_model.provenance.events import Event, record_event
from hlx_model.release.card import write_card
from hlx_model.release.signing import sign
from hlx_model.runs.liveness import leave_tick
from hlx_model.training.events import Event as TrainingEvent
from hlx_model.training.events import Recorded
from hlx_model.training.loop import Interrupted, train
from hlx_model.training.plan import Overrides, plan_training
from tests.support.command import Hlx
from tests.support.curriculum import CPU
from tests.support.keys import key_pair

WRITTEN = {
    "model.safetensors", "optimizer.safetensors", "manifest.json", "state.json", "heartbeat.json", "metrics.parquet",
    "milestones.json", "lock", "training.log", "rows.parquet", "quarantine.parquet", "documents.json", "derived.json",
    "document.md", "document-2.md", "source.json", "report.json", "report.html", "report.md", "verdict.json",
    "loss.svg", "README.md", "config.json", "vocabulary.json", "provenance.json", "model.pt", "history.parquet",
    "materializations.jsonl", "watchdog.json", "composed.md", "evaluation.json", "alerts.jsonl",
}  # fmt: skip
"""Names of files that the tree must contain, so that the check of the whole tree covers them."""


@pytest.fixture(params=[0o077, 0o022, 0o002], ids="{:03o}".format)
def umask(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Set the umask for a test; `tmp_path` is made before."""
    before = os.umask(request.param)
    try:
        yield request.param
    finally:
        os.umask(before)


def wrong_modes(root: Path, umask: int) -> dict[str, str]:
    """Return by path each mode in a tree that is not 0666 (a file) or 0777 (a folder), less the umask."""
    wrong = {}
    for path in (root, *root.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode != (0o777 if path.is_dir() else 0o666) & ~umask:
            wrong[str(path.relative_to(root))] = f"{mode:04o}"
    return wrong


def test_every_file_and_folder_has_the_mode_that_the_umask_leaves(
    umask: int, hlx: Hlx, small_document: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    artifacts, training = Artifacts.at(root), root / "training"

    def interrupt(event: TrainingEvent) -> None:
        if isinstance(event, Recorded):
            signal.raise_signal(signal.SIGINT)

    inputs = plan_training(
        1, PROFILES["quick"], Overrides(epochs=1, batch_size=8), corpus=[small_document], training=training
    )
    with pytest.raises(Interrupted):
        train(inputs, execution=CPU, emit=interrupt)
    assert list(inputs.directory.glob("checkpoints/phase1_LAST_*/optimizer.safetensors"))
    assert wrong_modes(root, umask) == {}

    options = ("--epochs", "1", "--batch-size", "8", "--device", "cpu", "--checkpoint-dir", training)
    assert hlx("train", "--phase", "1", "--corpus", small_document, *options).code == 0
    (final,) = inputs.directory.glob("checkpoints/phase1_FINAL_*")
    ran = hlx("validate", "--checkpoint", final, "--device", "cpu", "--output", root / "evaluation.json")
    assert "report: " in ran.out
    write_card(final)
    for format in ("safetensors", "pt"):
        assert hlx("export", final, root / format, "--format", format, "--checkpoint-dir", training).code == 0
    copy = root / "model.pt"
    copy.write_bytes((root / "pt" / "model.pt").read_bytes())
    foreign = hlx("validate", "--checkpoint", copy, "--corpus", small_document, "--phase", "1")
    assert (root / "model.report" / "report.html").exists(), foreign.err
    keep_documents(artifacts, [small_document], composed=4, seed=1)
    assert hlx("corpus", "compose", root / "composed.md", "--entries", "4").code == 0
    record_event(root, Event("phase1_checkpoint", str(final.relative_to(root)), "the run", utc_now()))
    leave_tick(training)
    record_alert(root, RecordedAlert(time=0.0, subject="curriculum", problem=None, run_id=None, training_id=None))
    write_history(artifacts)

    assert {path.name for path in root.rglob("*")} >= WRITTEN
    assert wrong_modes(root, umask) == {}


def test_a_signature_has_the_mode_that_the_umask_leaves(umask: int, tmp_path: Path) -> None:
    pytest.importorskip("model_signing.signing", exc_type=ImportError)
    folder = tmp_path / "folder"
    write_json(folder / "config.json", {})
    private, _ = key_pair(tmp_path)
    assert sign(folder, private).exists()
    assert wrong_modes(folder, umask) == {}


def test_a_copy_of_a_corpus_has_not_the_modes_of_its_source(umask: int, small_document: Path, tmp_path: Path) -> None:
    source = build([small_document], Artifacts.at(tmp_path / "there"), seq_length=256).directories["english_corpus"]
    for path in source.iterdir():
        path.chmod(0o400)
    source.chmod(0o500)
    try:
        kept = store.keep(Artifacts.at(tmp_path / "here"), store.verify(source)).directory
    finally:
        source.chmod(0o700)
    assert {path.name for path in kept.iterdir()} == {"rows.parquet", "derived.json"}
    assert wrong_modes(tmp_path / "here", umask) == {}


def test_files_of_a_library_get_the_mode_that_the_umask_leaves(umask: int, tmp_path: Path) -> None:
    with new_directory(tmp_path / "made") as directory:
        (directory / "inner").mkdir()
        for path in (directory / "weights", directory / "inner" / "weights"):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        (directory / "open").touch()
        (directory / "open").chmod(0o666)
    assert wrong_modes(tmp_path / "made", umask) == {}


def test_folders_made_or_replaced_in_a_setgid_folder_inherit_its_bit(tmp_path: Path) -> None:
    root = tmp_path / "shared"
    root.mkdir()
    root.chmod(0o2775)
    for _ in range(2):
        with new_directory(root / "corpora" / "version") as directory:
            write_json(directory / "inner" / "record.json", {})
    with staging(root / "corpora") as temporary:
        assert temporary.stat().st_mode & stat.S_ISGID
    folders = [path for path in root.rglob("*") if path.is_dir()]
    assert len(folders) == 3 and all(path.stat().st_mode & stat.S_ISGID for path in folders)
    assert {path.stat().st_gid for path in root.rglob("*")} == {root.stat().st_gid}


@pytest.mark.parametrize(
    "name",
    ["phase1_FINAL_epoch2", "phase1_FINAL_epoch2.old", "a5" * 32, "heartbeat.json", "metrics.parquet", "README.md"],
)
def test_a_leftover_of_a_kill_is_known_by_its_name(name: str, tmp_path: Path) -> None:
    first, second = unfinished(tmp_path / name), unfinished(tmp_path / name)
    assert first != second and first.parent == tmp_path and not first.exists()
    assert is_leftover(first) and is_leftover(second)


def test_a_staging_folder_is_known_by_its_name_and_removed_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no space"), staging(tmp_path / "corpora") as temporary:
        (temporary / "rows.parquet").touch()
        assert is_leftover(temporary) and temporary.parent == tmp_path / "corpora"
        raise RuntimeError("no space")
    assert list((tmp_path / "corpora").iterdir()) == []
