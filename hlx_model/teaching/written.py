"""The document of a teacher, and who wrote each of its sentences.

    corpora/teacher_document/<version>/teacher.md          a corpus document: what was admitted
    corpora/teacher_document/<version>/written.json        provider, model, prompt and cost of each sentence
    corpora/teacher_document/<version>/quarantine.parquet  what was refused, with the reason

A person adds `teacher.md` to a corpus as any other document. The lineage knows it by its content.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hlx_model.corpus.entries import DocumentRef
from hlx_model.files import digest_of, new_directory, sha256_of, write_json, write_lines
from hlx_model.json_model import JsonModel
from hlx_model.language import Format, convert
from hlx_model.layout import QUARANTINE, TAUGHT, TEACHER_DOCUMENT, WRITTEN, Artifacts

QUARANTINE_SCHEMA = pa.schema([
    (name, pa.string()) for name in ("id", str(Format.HLXL), "english", "reason", "provider", "model", "question")
])  # fmt: skip


class AskedQuestion(JsonModel):
    """A question that was put to a teacher."""

    provider: str
    model: str
    system: str
    user: str
    cost_nanodollars: int
    """Of the whole answer."""
    entries: int
    """Of the question."""


class WrittenSentence(JsonModel):
    """A sentence that a teacher wrote."""

    english: str
    hlxl: str
    question: str
    """The digest of the question that it answers."""


class Written(JsonModel):
    """Who wrote what of a document."""

    sentences: tuple[WrittenSentence, ...]
    questions: dict[str, AskedQuestion]
    """By digest; those of the sentences."""
    judge: str | None
    """Who compared the meaning of each sentence; None for nobody."""


def write_document(
    artifacts: Artifacts, admitted: Sequence[Mapping[str, Any]], refused: Iterable[tuple[Mapping[str, Any], str]],
    questions: Mapping[str, AskedQuestion], judge: str | None,
) -> Path:  # fmt: skip
    """Keep what was admitted as a document, and what was refused beside it; return their directory.

    Args:
        artifacts: where it is kept.
        admitted: rows of `teacher_proposals`.
        refused: other rows of it, each with the reason.
        questions: by digest.
        judge: provider and model of the judge.

    Raises:
        ValueError: nothing was admitted. The quarantine is kept.
    """
    rows = sorted(admitted, key=lambda row: (row[Format.HLXL], row["english"]))
    sentences = tuple(
        WrittenSentence(english=row["english"], hlxl=row[Format.HLXL], question=row["question"]) for row in rows
    )
    used = {digest: questions[digest] for digest in sorted({row["question"] for row in rows})}
    written = Written(sentences=sentences, questions=used, judge=judge)
    quarantine = quarantine_table(refused)
    version = digest_of([written.to_json(), quarantine.to_pylist()])
    target = artifacts.corpus(TEACHER_DOCUMENT, version)
    with new_directory(target, keep=lambda folder: (folder / WRITTEN).is_file()) as made:
        if rows:
            write_lines(made / TAUGHT, document_lines(rows))
        pq.write_table(quarantine, made / QUARANTINE)
        write_json(made / WRITTEN, written.to_json())
    if not rows:
        often = Counter(quarantine["reason"].to_pylist()).most_common(1)
        most = f", most often because {often[0][0]}" if often else ""
        raise ValueError(f"nothing that the teacher wrote is admitted{most}: all reasons are in {target / QUARANTINE}")
    return target


def quarantine_table(refused: Iterable[tuple[Mapping[str, Any], str]]) -> pa.Table:
    """Return what was refused as a table, with the reasons."""
    return pa.Table.from_pylist([{**row, "reason": reason} for row, reason in refused], QUARANTINE_SCHEMA)


def written_documents(artifacts: Artifacts) -> Iterator[tuple[str, Written]]:
    """Yield the SHA-256 of each document that a teacher wrote, and who wrote what of it; damaged ones are skipped."""
    for directory in sorted(artifacts.corpus(TEACHER_DOCUMENT, "any").parent.glob("[!.]*/")):
        with suppress(ValueError, OSError):
            yield sha256_of(directory / TAUGHT), Written.read(directory / WRITTEN)


def names_of_written(artifacts: Artifacts, documents: Iterable[DocumentRef]) -> frozenset[str]:
    """Return the names of those documents of a corpus that a teacher wrote."""
    known = {sha256 for sha256, _ in written_documents(artifacts)}
    return frozenset(document.name for document in documents if document.sha256 in known)


def document_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of a corpus document of proposals: an entry each, in all formats."""
    yield "# Written by a language model\n\nThe values were known; the sentences are new.\n\n"
    for row in rows:
        yield f"English: {row['english']}\n"
        for format in Format:
            yield f"{format}: {convert(row[Format.HLXL], Format.HLXL, format)}\n"
        yield "\n"
