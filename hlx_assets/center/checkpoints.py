"""The checkpoints that trainings pass on: listed, tried, exported, and what is recorded of them.

A request names a training by its id, and never a path. A text is translated by the command `hlx translate` in a process
of its own: its memory is freed, and a crash ends nothing else.
"""

import io
import itertools
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import dagster as dg
from typing_extensions import Buffer

from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.models import CheckpointRow, ExportAnswer, TestAnswer
from hlx_assets.center.requests import ExportRequest, TestRequest
from hlx_assets.center.trainings import checkpoint_in, judged_on, training_named
from hlx_assets.curriculum.session import SESSION
from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.cli.lineage import tree_text
from hlx_model.environment import Environment
from hlx_model.files import new_directory, staging
from hlx_model.layout import CHECKPOINTS, EXPORT_FOLDER, PAGE, PASSED_ON
from hlx_model.phases import PHASES, phases_that_write
from hlx_model.provenance.lookup import readable_manifest
from hlx_model.provenance.record import CheckpointRecord, record_of
from hlx_model.provenance.tree import of_checkpoint
from hlx_model.release.export import FORMATS, WEIGHTS_FORMATS
from hlx_model.release.export import export as export_checkpoint
from hlx_model.reporting.conclusion import conclusion
from hlx_model.runs.heartbeat import heartbeats, running_here
from hlx_model.runs.passing import pass_on_of
from hlx_model.shown import one_line

EXPORTS = "exports"
"""The folder in a home with the models that were exported, by training."""
TEST_SECONDS = 120
_NICE = "10"
"""A running training comes first."""
_PIECE = 1 << 20
_TESTING, _EXPORTING = threading.Lock(), threading.Lock()


def checkpoints(center: Center, limit: int) -> list[CheckpointRow]:
    """Return the checkpoints of the trainings that ended last, the newest first, at most `limit`.

    The heartbeats, which are in memory, tell which trainings these are: only their other files are read. A training
    without a heartbeat was imported, and is read in any case.
    """
    folder = center.artifacts.training
    times = {beat.training_id: beat.time for beat in heartbeats(folder)}
    found = [path for path in folder.glob("[!.]*/") if path.name not in times]
    rows = [row for path in found if (row := _row(center, path)) is not None]
    newest_first = sorted(times, key=lambda training: times[training], reverse=True)
    ended = (row for training in newest_first if (row := _row(center, folder / training)) is not None)
    rows += itertools.islice(ended, limit)
    rows.sort(key=lambda row: (row.created is not None, row.created, row.id), reverse=True)
    return _with_sessions(center, rows[:limit])


def _with_sessions(center: Center, rows: Sequence[CheckpointRow]) -> list[CheckpointRow]:
    """Return rows with the pages of their sessions, with one query for all."""
    ids = [row.run_id for row in rows if row.run_id is not None]
    runs = center.instance.get_runs(dg.RunsFilter(run_ids=ids)) if ids else ()
    sessions = {run.run_id for run in runs if SESSION in run.tags}
    pages = [f"/center/sessions/{row.run_id}" if row.run_id in sessions else None for row in rows]
    return [row.model_copy(update={"session": page}) for row, page in zip(rows, pages, strict=True)]


def find(center: Center, training_id: str) -> CheckpointRow:
    """Return the checkpoint that a training passes on.

    Raises:
        CenterError: 422: this is no training's id; 404: there is none, or it has not ended.
    """
    if (row := _row(center, training_named(center, training_id))) is None:
        raise CenterError(
            404, f"training {training_id} has not ended with a checkpoint: GET /api/checkpoints lists them"
        )
    return _with_sessions(center, [row])[0]


def test(center: Center, training_id: str, request: TestRequest) -> TestAnswer:
    """Translate a text with the checkpoint that a training passes on; on the CPU if a training has the GPU.

    Raises:
        CenterError: 422: the text cannot be translated, or the checkpoint does not translate; 404: there is no such
            checkpoint; 503: another text is being translated, or there is no answer in time.
    """
    checkpoint = _checkpoint(center, training_id)
    if "\0" in request.text or "\0" in request.to:
        raise CenterError(422, "the text has a character that no program can be given: U+0000")
    hidden = dict.fromkeys(Environment.secret_names(), "")
    if any(beat.gpu_memory_total for beat in running_here(center.artifacts.training)):
        hidden["CUDA_VISIBLE_DEVICES"] = ""
    command = [
        "nice", "-n", _NICE, sys.executable, "-m", "hlx_model", "translate", f"--checkpoint={checkpoint}",
        f"--to={request.to}", "--json", "--", request.text,
    ]  # fmt: skip
    with _one_at_a_time(_TESTING, "another text is being translated: try again in a moment"):
        try:
            ran = subprocess.run(
                command, capture_output=True, encoding="utf-8", errors="replace", stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONUTF8": "1", **hidden}, timeout=TEST_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise CenterError(503, f"no answer within {TEST_SECONDS} seconds: the machine is busy, try later") from None
        except UnicodeEncodeError:
            raise CenterError(422, "the text is not valid Unicode: a surrogate stands alone in it") from None
    named = f"{training_id}/{checkpoint.name}"
    said = ran.stderr.replace(str(checkpoint), named).splitlines()
    if ran.returncode:
        last = said[-1] if said else f"the process that translates ended with exit code {ran.returncode}"
        own = last.startswith("error: ")
        raise CenterError(422 if own else 503, one_line(last.removeprefix("error: ")))
    answer = json.loads(ran.stdout)
    return TestAnswer(
        text=answer["text"], to=answer["to"], parses=answer["parses"], checkpoint=named, trust=said
    )  # fmt: skip


def export(center: Center, training_id: str, request: ExportRequest) -> ExportAnswer:
    """Export the checkpoint that a training passes on into the home; an earlier export of it is replaced.

    Raises:
        CenterError: 422: there is no such format here; 404: no such checkpoint; 409: it did not pass its gates, or
            something else lies in its place; 503: the disk refuses, or another export is being written.
    """
    checkpoint, target = _exportable(center, training_id, request), center.home / EXPORTS / training_id
    before = target.exists()
    if before and not EXPORT_FOLDER.describes(target):
        raise CenterError(409, f"{target} is no exported model: move it away")
    with _exporting(), new_directory(target) as folder:
        record = export_checkpoint(checkpoint, folder, request.format)
    said = ["the export that was there is replaced"] if before else []
    notes = [*said, *map(one_line, record.objections()), *([conclusion(record.report)] if record.report else [])]
    files = sorted(path.name for path in target.iterdir())
    return ExportAnswer(directory=str(target), files=files, note="; ".join(notes) or None)


def export_zip(center: Center, training_id: str, request: ExportRequest) -> tuple[str, Iterator[bytes]]:
    """Return an exported checkpoint as the name and the pieces of a zip file; nothing of it stays in the home.

    Errors as for `export`; they are raised before the first piece.
    """
    pieces = _zipped(center, _exportable(center, training_id, request), request.format, training_id)
    next(pieces)  # the export itself
    return f"{training_id}.zip", pieces


def report_page(center: Center, training_id: str) -> str:
    """Return the page of the report on the checkpoint that a training passes on; `CenterError` 404 without one."""
    checkpoint = _checkpoint(center, training_id)
    asset = PHASES[_phase(checkpoint)].report_asset
    advice = f"materialize {asset}, or run `hlx validate --checkpoint {training_id}`"
    return _text(center.artifacts.report(checkpoint) / PAGE, f"{training_id} was never evaluated: {advice}")


def card(center: Center, training_id: str) -> str:
    """Return the model card of the checkpoint that a training passes on, Markdown; `CenterError` 404 without one."""
    checkpoint = _checkpoint(center, training_id)
    asset = PHASES[_phase(checkpoint)].card_asset
    missing = f"{training_id} has no model card: if its gates passed, materialize {asset}"
    return _text(center.artifacts.card(checkpoint), missing)


def lineage(center: Center, training_id: str) -> str:
    """Return what the checkpoint that a training passes on was made from, as `hlx lineage show` prints it."""
    try:
        return tree_text(of_checkpoint(_checkpoint(center, training_id)))
    except CheckpointError as error:
        raise CenterError(404, one_line(error)) from None


def _row(center: Center, training: Path) -> CheckpointRow | None:
    """Return the row of a training, without its session; None if it has not ended or cannot be read."""
    checkpoint = checkpoint_in(training) if _ended(training) else None
    m = readable_manifest(checkpoint) if checkpoint else None
    if checkpoint is None or m is None or not (m.kind in ("FINAL", "STOPPED") or pass_on_of(checkpoint)):
        return None
    verdict, report = judged_on(checkpoint, m)
    figures, evaluation = (report.translation, report.evaluation) if report else (None, None)
    pages, reported = f"/center/checkpoints/{training.name}", center.artifacts.report(checkpoint) / PAGE
    return CheckpointRow(
        id=training.name,
        name=checkpoint.name,
        phase=m.phase,
        size=m.size,
        epoch=m.epoch,
        epochs=m.epochs,
        kind=m.kind,
        created=datetime.fromisoformat(m.created),
        verdict=verdict.outcome if verdict else None,
        grade=report.grade.letter if report else None,
        conclusion=conclusion(report) if report else None,
        evaluation=evaluation.all_to_hlx.exact_match if evaluation and evaluation.all_to_hlx.samples else None,
        exact_match_to_hlx=figures.all_to_hlx.exact_match if figures and figures.all_to_hlx.samples else None,
        exact_match_to_english=figures.all_to_english.exact_match
        if figures and figures.all_to_english.samples
        else None,
        translates=m.phase in phases_that_write("translations"),
        run_id=m.run_id,
        session=None,
        report=f"{pages}/report" if reported.is_file() else None,
        card=f"{pages}/card" if center.artifacts.card(checkpoint).is_file() else None,
        lineage=f"{pages}/lineage",
    )


def _ended(training: Path) -> bool:
    """Whether a training may have ended, by the names of its files: hundreds may be running."""
    with suppress(OSError):
        names = [path.name for path in (training / CHECKPOINTS).iterdir()]
        return any("_FINAL_" in name or "_STOPPED_" in name for name in names) or (training / PASSED_ON).exists()
    return False


def _checkpoint(center: Center, training_id: str) -> Path:
    checkpoint = checkpoint_in(training_named(center, training_id))
    if checkpoint is None or readable_manifest(checkpoint) is None:
        raise CenterError(404, f"training {training_id} has no checkpoint that can be read")
    return checkpoint


def _phase(checkpoint: Path) -> int:
    manifest = readable_manifest(checkpoint)
    assert manifest is not None
    return manifest.phase


def _text(path: Path, missing: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CenterError(404, missing) from None


def _exportable(center: Center, training_id: str, request: ExportRequest) -> Path:
    """Return the checkpoint of a training, if others may get it."""
    if request.format in FORMATS and request.format not in WEIGHTS_FORMATS:
        command = f"hlx export {training_id} DIR --format {request.format}"
        raise CenterError(422, f"format {request.format} is written by the command line alone: {command}")
    if request.format not in WEIGHTS_FORMATS:
        raise CenterError(422, f"format is {request.format!r}: choose one of {', '.join(WEIGHTS_FORMATS)}")
    checkpoint = _checkpoint(center, training_id)
    record = _record(checkpoint)
    if why := record.not_passed:
        name = record.tree.name
        raise CenterError(409, f"{name} {why}: to export it all the same, name it: hlx export {name} DIR")
    return checkpoint


def _record(checkpoint: Path) -> CheckpointRecord:
    try:
        return record_of(checkpoint)
    except CheckpointError as error:
        raise CenterError(409, one_line(error)) from None


@contextmanager
def _one_at_a_time(lock: threading.Lock, busy: str) -> Iterator[None]:
    if not lock.acquire(blocking=False):
        raise CenterError(503, busy)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _exporting() -> Iterator[None]:
    """Let one export be written at a time, and turn what goes wrong into an answer."""
    try:
        with _one_at_a_time(_EXPORTING, "another export is being written: try again in a moment"):
            yield
    except ValueError as error:
        raise CenterError(409, one_line(error)) from None
    except OSError as error:
        raise CenterError(503, f"the export cannot be written: {one_line(error)}") from None


def _zipped(center: Center, checkpoint: Path, format: str, name: str) -> Iterator[bytes]:
    """Yield nothing once the checkpoint is exported, and then the pieces of a zip file of the folder."""
    with staging(center.home / EXPORTS) as folder:
        with _exporting():
            export_checkpoint(checkpoint, folder / name, format)
        yield b""
        written = _Pieces()
        with zipfile.ZipFile(written, "w") as archive:
            for path in sorted((folder / name).iterdir()):
                entry = zipfile.ZipInfo.from_file(path, f"{name}/{path.name}")
                with path.open("rb") as source, archive.open(entry, "w") as target:
                    while piece := source.read(_PIECE):
                        target.write(piece)
                        yield written.taken()
        yield written.taken()


class _Pieces(io.RawIOBase):
    """A file that is written from its beginning to its end, and whose bytes are taken out piece by piece."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def write(self, data: Buffer, /) -> int:
        self._bytes += data
        return memoryview(data).nbytes

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        found, self._bytes = bytes(self._bytes), bytearray()
        return found
