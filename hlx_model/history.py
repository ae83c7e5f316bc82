"""The history of all trainings: one row a training, computed from the files in their directories.

`<root>/history.parquet` is a copy of it for other programs (`pyarrow.parquet.read_table`); hlx does not read it.
"""

import io
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ConfigDict

from hlx_model.checkpoints.manifest import CheckpointError, Manifest, read_manifest
from hlx_model.checkpoints.seal import list_checkpoints
from hlx_model.corpus.documents import short_name
from hlx_model.files import read_json, skipping, write_bytes
from hlx_model.json_model import JsonModel
from hlx_model.layout import CHECKPOINTS, HEARTBEAT, HISTORY, REPORT, STATE, VERDICT, Artifacts
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.reporting.numbers import finite
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.passing import pass_on_of, passed_on

log = logging.getLogger(__name__)

_ENDED = ("FINAL", "STOPPED")


class TrainingRow(JsonModel):
    """One training. The fields are the columns of history.parquet; None for what its files do not say."""

    # Manifests say more than these columns.
    model_config = ConfigDict(strict=True, extra="ignore")

    training_id: str
    phase: int | None = None
    size: str | None = None
    status: str | None = None
    """As in its heartbeat."""
    reason: str | None = None
    """Why it ended with this status."""
    started: str | None = None
    """When the process that last trained it started: UTC, ISO 8601."""
    ended: str | None = None
    """When its heartbeat was last written; None while it is running."""
    epochs: int | None = None
    """Planned."""
    epoch: int | None = None
    """The last one that started."""
    step: int | None = None
    steps: int | None = None
    train_loss: float | None = None
    """The last one, in nats a token."""
    held_out_loss: float | None = None
    """The last validation loss, in nats a token."""
    best_held_out_loss: float | None = None
    setting_batch_size: int | None = None
    setting_seq_length: int | None = None
    setting_learning_rate: float | None = None
    setting_seed: int | None = None
    setting_replay: float | None = None
    setting_mixed_precision: bool | None = None
    setting_optimizer: str | None = None
    setting_warmup: float | None = None
    setting_weight_decay: float | None = None
    setting_clip: float | None = None
    setting_prompt_weight: float | None = None
    setting_english_weight: float | None = None
    setting_document_weight: float | None = None
    english_corpus_version: str | None = None
    hlx_corpus_version: str | None = None
    paired_corpus_version: str | None = None
    documents: list[str] | None = None
    """The documents of its phase's corpus: the names of files, and `composed 30,000`."""
    parent_training_id: str | None = None
    parent_checkpoint: str | None = None
    ungated: list[str] | None = None
    run_id: str | None = None
    device: str | None = None
    code_version: str | None = None
    code_commit: str | None = None
    code_dirty: bool | None = None
    checkpoint: str | None = None
    """The one that it passes on: FINAL, BEST or STOPPED; else the newest."""
    checkpoint_kind: str | None = None
    verdict: str | None = None
    """`pass`, `warn` or `fail`; this and the following are None if the checkpoint was not evaluated."""
    gates_version: str | None = None
    grade: str | None = None
    """The letter; None if nothing was held out, too."""
    exact_match_to_hlx: float | None = None
    """On all test pairs that were evaluated, from 0 to 1; None in phases 1 and 2."""
    exact_match_to_english: float | None = None


_ARROW: dict[object, pa.DataType] = {
    str: pa.string(), str | None: pa.string(), int | None: pa.int64(), float | None: pa.float64(),
    bool | None: pa.bool_(), list[str] | None: pa.list_(pa.field("element", pa.string())),  # named as Parquet names it
}  # fmt: skip
_MARK = b"hlx-history"
"""The key in the file's metadata by which hlx knows its own file."""
HISTORY_SCHEMA = pa.schema(
    [(name, _ARROW[field.annotation]) for name, field in TrainingRow.model_fields.items()], metadata={_MARK: b"3"}
)
"""The columns. The version is raised when one is added or removed."""


def history(training: Path) -> list[TrainingRow]:
    """Return the trainings under a folder, the oldest first. What cannot be read is logged as a warning and skipped.

    Args:
        training: the folder of the trainings.
    """
    rows = map(row_of, training.glob("[!.]*/"))
    return sorted(filter(None, rows), key=lambda row: (row.started or "", row.training_id))


def row_of(directory: Path) -> TrainingRow | None:
    """Return the row of the training in a directory; None if it contains nothing of one that can be read."""
    values, artifacts = dict[str, object](), Artifacts(directory.parent)
    newest = None
    with skipping(directory, log.warning):
        newest = _checkpoint(directory)
    if newest is not None:
        checkpoint, manifest = newest
        values |= _of_manifest(checkpoint, manifest)
        with skipping(checkpoint / STATE, log.warning):
            values["best_held_out_loss"] = finite(read_json(checkpoint / STATE)["best_loss"])
        with skipping(artifacts.report(checkpoint), log.warning):
            values |= _of_report(artifacts.report(checkpoint), manifest)
    with skipping(directory / HEARTBEAT, log.warning):
        if (directory / HEARTBEAT).exists():
            values |= _of_heartbeat(directory, ended=values.get("status") is not None)
    try:
        return TrainingRow.from_json({**values, "training_id": directory.name}) if values else None
    except ValueError as error:
        log.warning("skipped: %s: %s", directory, error)
        return None


def history_with_copy(training: Path) -> list[TrainingRow]:
    """Return `history`, and copy it to history.parquet. If that cannot be written, a warning is logged."""
    rows = history(training)
    if rows:
        try:
            _write(Artifacts(training), rows)
        except (OSError, ValueError, OverflowError) as error:
            log.warning("history.parquet is not written: %s", error)
    return rows


def write_history(artifacts: Artifacts) -> list[TrainingRow]:
    """Return `history`, and copy it to history.parquet.

    Raises:
        ValueError: a file of that name was not written by hlx.
        OSError: it cannot be written.
    """
    rows = history(artifacts.training)
    _write(artifacts, rows)
    return rows


def _write(artifacts: Artifacts, rows: Sequence[TrainingRow]) -> None:
    path, buffer = artifacts.root / HISTORY, io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row.model_dump() for row in rows], HISTORY_SCHEMA), buffer)
    # The folder of the trainings may be anywhere, and a user's file beside it must not be lost.
    if path.exists() and path.stat().st_size and not _is_history(path):
        raise ValueError(f"{path} is not a history of trainings: move it away")
    if not path.exists() or path.read_bytes() != buffer.getvalue():
        write_bytes(path, buffer.getvalue())


def _is_history(path: Path) -> bool:
    try:
        return _MARK in (pq.read_schema(path).metadata or {})
    except (OSError, pa.ArrowInvalid):
        return False


def _checkpoint(directory: Path) -> tuple[Path, Manifest] | None:
    """Return the checkpoint that a training passes on, else its newest, of those that can be read."""
    newest_first, best = reversed(list_checkpoints(directory / CHECKPOINTS)), passed_on(directory)
    ended = [f"_{kind}_" for kind in _ENDED]
    for path in sorted(newest_first, key=lambda path: (path != best, not any(kind in path.name for kind in ended))):
        try:
            manifest = read_manifest(path)
            if manifest.training_id == directory.name:
                return path, manifest
            log.warning("skipped: %s: a checkpoint of training %s", path, manifest.training_id)
        except (CheckpointError, OSError) as error:
            log.warning("skipped: %s", error)
    return None


def _of_manifest(checkpoint: Path, m: Manifest) -> dict[str, object]:
    """Return what the manifest says, also of how the training ended; the heartbeat, if there is one, is newer."""
    ended, own = m.kind in _ENDED, m.corpora.get(CORPUS_OF_PHASE.get(m.phase, ""))
    completed = ended or pass_on_of(checkpoint) is not None
    return {
        **dict(m),
        **{f"setting_{name}": value for name, value in m.settings.items()},
        **{f"{asset}_version": version.data_version for asset, version in m.corpora.items()},
        **{f"code_{name}": value for name, value in m.code.items()},
        "status": m.end_status if completed else None,
        "reason": m.stopped,
        "started": m.started or None,
        "ended": m.created if ended else None,
        "documents": [short_name(document) for document in own.documents] if own else None,
        "parent_training_id": m.parent.training_id if m.parent else None,
        "parent_checkpoint": m.parent.name if m.parent else None,
        "ungated": list(m.ungated),
        "device": m.device or None,
        "checkpoint": checkpoint.name,
        "checkpoint_kind": m.kind,
    }


def _of_heartbeat(directory: Path, *, ended: bool) -> dict[str, object]:
    """Return what the heartbeat says. If the training has `ended`, a running status is old: the trainer was killed."""
    beat = Heartbeat.load(directory)
    values = {**vars(beat), "started": _iso(beat.started), "ended": None if beat.running else _iso(beat.time)}
    old = ("status", "reason", "ended") if ended and beat.running else ()
    return {name: value for name, value in values.items() if name not in old and (name, value) != ("run_id", None)}


def _of_report(directory: Path, manifest: Manifest) -> dict[str, object]:
    """Return the verdict and the report's figures; nothing if there is no verdict, or it is on other weights."""
    if not (directory / VERDICT).exists():
        return {}
    verdict, report = read_json(directory / VERDICT), read_json(directory / REPORT)
    if not verdict["weights_sha256"] == manifest.weights_sha256 == report["weights_sha256"]:
        return {}
    return {
        "verdict": verdict["outcome"],
        "gates_version": verdict.get("gates_version"),
        "grade": report.get("grade", {}).get("letter"),
        "exact_match_to_hlx": _exact_match(report["figures"].get("all_to_hlx")),
        "exact_match_to_english": _exact_match(report["figures"].get("all_to_english")),
    }


def _exact_match(rates: Any) -> float | None:
    return finite(rates.get("exact_match")) if rates and rates.get("samples") else None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
