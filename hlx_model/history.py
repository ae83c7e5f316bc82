"""The history of all trainings: a table of one row a training, made of what stands in their directories.

    <root>/history.parquet

A row remembers the files that it was made from, by their times and sizes, and is read anew where one of them is
another now: of a thousand trainings that ended long ago only these times are looked at.
"""

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hlx_model.checkpoints.manifest import CheckpointError, Manifest, read_manifest
from hlx_model.checkpoints.seal import list_checkpoints
from hlx_model.files import digest_of, read_json, write_bytes
from hlx_model.layout import HEARTBEAT, HISTORY, MANIFEST, STATE, Artifacts
from hlx_model.reporting.numbers import finite
from hlx_model.runs.heartbeat import Heartbeat

log = logging.getLogger(__name__)

_VERSION = b"hlx-history"
_STRING, _INTEGER, _FLOAT, _BOOLEAN = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_SETTINGS = {
    "batch_size": _INTEGER, "seq_length": _INTEGER, "learning_rate": _FLOAT, "seed": _INTEGER, "replay": _FLOAT,
    "mixed_precision": _BOOLEAN, "optimizer": _STRING, "warmup": _FLOAT, "weight_decay": _FLOAT, "clip": _FLOAT,
    "prompt_weight": _FLOAT,
}  # fmt: skip
_CORPORA = ("english_corpus", "hlx_corpus", "paired_corpus")
HISTORY_SCHEMA = pa.schema(
    [
        ("training_id", _STRING),
        ("phase", _INTEGER),
        ("size", _STRING),
        ("status", _STRING),  # as the heartbeat says it, with its reason
        ("reason", _STRING),
        ("started", _STRING),  # UTC, ISO 8601: when the process that last trained it began
        ("ended", _STRING),  # its last sign of life; None while it says that it is at work
        ("epochs", _INTEGER),  # asked for
        ("epoch", _INTEGER),  # the last one that was begun
        ("step", _INTEGER),
        ("steps", _INTEGER),
        ("train_loss", _FLOAT),  # nats, the last one
        ("held_out_loss", _FLOAT),
        ("best_held_out_loss", _FLOAT),
        *((f"setting_{name}", kind) for name, kind in _SETTINGS.items()),
        *((f"{asset}_version", _STRING) for asset in _CORPORA),
        ("parent_training_id", _STRING),
        ("parent_checkpoint", _STRING),
        (
            "ungated",
            pa.list_(pa.field("element", _STRING)),
        ),  # `element` as Parquet calls it, for the schemas to be equal
        ("run_id", _STRING),
        ("device", _STRING),
        ("code_version", _STRING),
        ("code_commit", _STRING),
        ("code_dirty", _BOOLEAN),
        ("checkpoint", _STRING),  # FINAL or STOPPED, else the newest
        ("checkpoint_kind", _STRING),
        ("verdict", _STRING),  # `pass`, `warn` or `fail`; this and what follows None where it was never judged
        ("gates_version", _STRING),
        ("grade", _STRING),
        ("exact_match_to_hlx", _FLOAT),  # of all held-out pairs that were asked; None in phases 1 and 2
        ("exact_match_to_english", _FLOAT),
        ("stamp", _STRING),  # of the files that the row was made from; empty where one could not be read
    ],
    metadata={_VERSION: b"1"},
)
"""The columns. The version is raised by hand when a row would be made otherwise of the same files."""

_ENDED = ("FINAL", "STOPPED")
_UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError)
"""Whatever stands in a file that is not what it should be."""


def history(training: Path) -> pa.Table:
    """The trainings under a folder as they are now, the oldest first, with the columns of `HISTORY_SCHEMA`.

    What cannot be read is passed over with a warning in the log; what an older manifest does not say is None.
    """
    return _looked(Artifacts(training))[0]


def kept_history(training: Path) -> pa.Table:
    """`history`, and kept for the next time where it has changed and can be written."""
    artifacts = Artifacts(training)
    table, changed = _looked(artifacts)
    if changed and table.num_rows:
        try:
            _write(artifacts, table)
        except (OSError, ValueError) as error:
            log.warning("the history is not kept: %s", error)
    return table


def newest_first(table: pa.Table, most: int | None = None) -> list[dict[str, Any]]:
    """The rows for programs and people, the newest first: so many at most, without the stamp."""
    shown = table.drop_columns(["stamp"])
    rows: list[dict[str, Any]] = shown.slice(max(0, shown.num_rows - most) if most else 0).to_pylist()
    return rows[::-1]


def write_history(artifacts: Artifacts) -> Path:
    """Bring `<root>/history.parquet` up to date, by atomic rename; its path.

    Raises `ValueError` where a file of that name is no history of trainings.
    """
    table, changed = _looked(artifacts)
    if changed:
        _write(artifacts, table)
    return artifacts.root / HISTORY


def _write(artifacts: Artifacts, table: pa.Table) -> None:
    path = artifacts.root / HISTORY
    # The folder of the trainings may be any; a file of the users' beside it stays theirs.
    if path.exists() and not _is_history(path):
        raise ValueError(f"{path} is no history of trainings: move it away")
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_bytes(path, buffer.getvalue())


def _is_history(path: Path) -> bool:
    try:
        return _VERSION in (pq.read_schema(path).metadata or {})
    except (OSError, pa.ArrowInvalid):
        return False


def _kept(path: Path) -> pa.Table | None:
    """The table that was kept; None where there is none, or one of another version."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid):
        return None
    return table if table.schema.equals(HISTORY_SCHEMA, check_metadata=True) else None


def _looked(artifacts: Artifacts) -> tuple[pa.Table, bool]:
    """The table, and whether it is another than the one that is kept."""
    kept = _kept(artifacts.root / HISTORY)
    kept_rows = () if kept is None else kept.select(["training_id", "checkpoint", "stamp"]).to_pylist()
    known = {row["training_id"]: (i, row["checkpoint"], row["stamp"]) for i, row in enumerate(kept_rows)}
    fresh, rows = [], []
    for directory in _directories(artifacts.training):
        i, checkpoint, stamp = known.get(directory.name, (-1, None, ""))
        if stamp and stamp == digest_of([_seen(path) for path in _files(artifacts, directory, checkpoint)]):
            fresh.append(i)
        elif row := _read(artifacts, directory):
            rows.append(row)
    if kept is not None and not rows and len(fresh) == kept.num_rows:
        return kept, False
    parts = [_table(rows)] if kept is None else [_take(kept, fresh), _table(rows)]
    table = pa.concat_tables(parts)
    order = [(row["started"] or "", row["training_id"]) for row in table.select(["started", "training_id"]).to_pylist()]
    return _take(table, sorted(range(len(order)), key=order.__getitem__)), True


def _take(table: pa.Table, rows: Sequence[int]) -> pa.Table:
    return table.take(pa.array(rows, pa.int64()))


def _directories(training: Path) -> list[Path]:
    return [p for p in training.iterdir() if p.is_dir() and not p.name.startswith(".")] if training.is_dir() else []


def _table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """The rows as a table; one whose values are not of their columns' types is passed over."""
    try:
        return pa.Table.from_pylist(rows, HISTORY_SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        if len(rows) == 1:
            log.warning("passed over: training %s: %s", rows[0]["training_id"], error)
            return HISTORY_SCHEMA.empty_table()
        return pa.concat_tables([_table([row]) for row in rows])


def _files(artifacts: Artifacts, directory: Path, checkpoint: str | None) -> list[Path]:
    """What a row is made from; a checkpoint that is added or removed shows in its folder's time."""
    folder = directory / "checkpoints"
    return [directory / HEARTBEAT, folder, *(_files_of(artifacts, folder / checkpoint) if checkpoint else ())]


def _files_of(artifacts: Artifacts, checkpoint: Path) -> list[Path]:
    report = artifacts.report(checkpoint)
    return [checkpoint / MANIFEST, checkpoint / STATE, report / "verdict.json", report / "report.json"]


def _seen(path: Path) -> list[int] | None:
    """What changes when a file does, without reading it."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_ctime_ns, found.st_size]


@contextmanager
def _passed_over(path: Path, trouble: list[str]) -> Iterator[None]:
    """Note what cannot be read, and go on without it."""
    try:
        yield
    except _UNREADABLE as error:
        trouble.append(f"{path} cannot be read ({type(error).__name__}: {error})")


def _read(artifacts: Artifacts, directory: Path) -> dict[str, Any] | None:
    """The row of one training; None where there is nothing of one in its directory that can be read."""
    seen = [_seen(path) for path in _files(artifacts, directory, None)]
    trouble: list[str] = []
    row: dict[str, Any] = {}
    beat = Heartbeat.read(directory)
    if beat is None and seen[0] is not None:
        trouble.append(f"{directory / HEARTBEAT} cannot be read")
    checkpoint, manifest = _checkpoint(directory, trouble)
    if manifest is not None and checkpoint is not None:
        # Before it is read: what changes meanwhile is read again.
        seen += [_seen(path) for path in _files_of(artifacts, checkpoint)]
        row |= _of_manifest(checkpoint, manifest)
        with _passed_over(checkpoint / STATE, trouble):
            row["best_held_out_loss"] = finite(read_json(checkpoint / STATE)["best_loss"])
        with _passed_over(artifacts.report(checkpoint), trouble):
            row |= _of_report(artifacts.report(checkpoint), manifest)
    if beat is not None:
        with _passed_over(directory / HEARTBEAT, trouble):
            row |= _of_heartbeat(beat, ended=row.get("checkpoint_kind") in _ENDED)
    for said in trouble:
        log.warning("passed over: %s", said)
    if not row:
        return None
    return {**row, "training_id": directory.name, "stamp": "" if trouble else digest_of(seen)}


def _checkpoint(directory: Path, trouble: list[str]) -> tuple[Path | None, Manifest | None]:
    """The checkpoint that a training ended with, else its newest, of those that can be read."""
    found = reversed(list_checkpoints(directory / "checkpoints"))
    for path in sorted(found, key=lambda path: "_FINAL_" not in path.name and "_STOPPED_" not in path.name):
        try:
            manifest = read_manifest(path)
            if manifest.training_id == directory.name:
                return path, manifest
            trouble.append(f"{path}: a checkpoint of training {manifest.training_id}")
        except (CheckpointError, OSError) as error:
            trouble.append(str(error))
    return None, None


def _of_manifest(checkpoint: Path, manifest: Manifest) -> dict[str, Any]:
    """What the manifest says, also of how the training ended: its heartbeat, where it is there, knows better."""
    m, parent, ended = manifest, manifest.parent, manifest.kind in _ENDED
    badly = "quality_failed" if (m.stopped or "").startswith("gate ") else "aborted"
    return {
        "phase": m.phase,
        "size": m.size,
        "status": (badly if m.stopped else "completed") if ended else None,
        "reason": m.stopped,
        "started": m.started or None,
        "ended": m.created if ended else None,
        "epochs": m.epochs,
        "epoch": m.epoch,
        "step": m.step,
        **{f"setting_{name}": m.settings.get(name) for name in _SETTINGS},
        **{f"{asset}_version": m.corpora[asset].data_version for asset in _CORPORA if asset in m.corpora},
        "parent_training_id": parent.training_id if parent else None,
        "parent_checkpoint": parent.name if parent else None,
        "ungated": list(m.ungated),
        "run_id": m.run_id,
        "device": m.device or None,
        **{f"code_{name}": m.code.get(name) for name in ("version", "commit", "dirty")},
        "checkpoint": checkpoint.name,
        "checkpoint_kind": m.kind,
    }


def _of_heartbeat(beat: Heartbeat, *, ended: bool) -> dict[str, Any]:
    """What the heartbeat says; of a trainer that was killed when it had just `ended`, not that it is at work."""
    names = ["phase", "size", "epochs", "epoch", "step", "steps", "train_loss", "held_out_loss"]
    said = {name: getattr(beat, name) for name in names} | {"started": _iso(beat.started)}
    if not (ended and beat.running):
        said |= {"status": beat.status, "reason": beat.reason, "ended": None if beat.running else _iso(beat.time)}
    return said | ({"run_id": beat.run_id} if beat.run_id else {})


def _of_report(directory: Path, manifest: Manifest) -> dict[str, Any]:
    """The verdict and the figures of the report; nothing where it was never judged, or other weights were."""
    if not (directory / "verdict.json").exists():
        return {}
    verdict, report = read_json(directory / "verdict.json"), read_json(directory / "report.json")
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
