"""Evaluation documents: sentences that no model is trained on, each with the values that count as right.

They are written like corpus documents. A sentence that occurs several times has several right values.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hlx_model.corpus.document import Document, read_document
from hlx_model.corpus.documents import is_composed, named_documents, require_different
from hlx_model.corpus.entries import CorpusError, DocumentRef, Entry, folded
from hlx_model.corpus.gates import quarantine_gate
from hlx_model.corpus.rules import max_quarantined_share
from hlx_model.environment import Environment
from hlx_model.files import digest_of, sha256_of
from hlx_model.language import Format
from hlx_model.model.sizes import POSITIONS

DEFAULT = Path(__file__).with_name("default.md")
"""The document of this project. It was written by hand, not by the composer."""
_PROJECT = "the evaluation document of hlx"


@dataclass(frozen=True)
class Question:
    """A sentence, and what is right in each format."""

    document: str
    section: str
    english: str
    right: Mapping[Format, tuple[str, ...]]
    """The canonical texts of its values by format, the first value first."""


@dataclass(frozen=True)
class EvaluationDocuments:
    """The sentences of one or several evaluation documents, in their order."""

    documents: tuple[DocumentRef, ...]
    questions: tuple[Question, ...]
    quarantined: int
    """Entries that are left out: with a defect, or longer than the model's positions."""

    @property
    def data_version(self) -> str:
        """Return the SHA-256 of what is evaluated: sentences, sections and right values."""
        return digest_of([[q.document, q.section, q.english, q.right[Format.HLXL]] for q in self.questions])


def documents_for(named: Sequence[Path], corpus: Iterable[DocumentRef]) -> list[Path]:
    """Return the evaluation documents for a model: those that are named, else those of `HLX_EVAL`, else the default.

    The default one is for models that learned composed entries. A model of other documents alone has no evaluation
    document unless one is named: it cannot know more than these say.

    Args:
        named: documents that somebody chose for this evaluation.
        corpus: the documents that the model learned from.
    """
    chosen = list(named) or named_documents(Environment.read("HLX_EVAL").eval)
    return chosen or ([DEFAULT] if any(map(is_composed, corpus)) else [])


def read_evaluation(paths: Sequence[Path]) -> EvaluationDocuments:
    """Read evaluation documents.

    Raises:
        CorpusError: a document is unusable, named twice, or has no sentence; or too many entries have a defect.
    """
    require_different(paths)
    read = [read_document(path, seq_length=POSITIONS, name=path.name) for path in paths]
    for document in read:
        gate = quarantine_gate(len(document.quarantined), document.entries_read, max_quarantined_share())
        if gate.outcome == "fail":
            first = document.quarantined[0]
            raise CorpusError(f"{document.name}: {gate.reason}; the first, line {first.line}: {first.reason}")
    refs = tuple(
        DocumentRef(name=path.name, sha256=sha256_of(path), bytes=path.stat().st_size, source=_source(path))
        for path in paths
    )
    questions = tuple(question for document in read for question in _questions(document))
    return EvaluationDocuments(refs, questions, sum(map(_left_out, read)))


def same_sentence(one: str, other: str) -> bool:
    """Return whether two sentences are one, but for case, spaces and a final stop."""
    return folded(one) == folded(other)


def _source(path: Path) -> str:
    return _PROJECT if path == DEFAULT else str(path.absolute())


def _left_out(document: Document) -> int:
    return len(document.quarantined) + sum(entry.left_out for entry in document.entries)


def _questions(document: Document) -> list[Question]:
    entries: dict[str, list[Entry]] = {}
    for entry in document.entries:
        if entry.english is not None and entry.texts and not entry.left_out:
            entries.setdefault(entry.english, []).append(entry)
    if not entries:
        raise CorpusError(f"{document.name}: no entry has a sentence: write `English:` above each value")
    return [
        Question(
            document.name, same[0].section, english,
            {format: tuple(dict.fromkeys(entry.texts[i] for entry in same)) for i, format in enumerate(Format)},
        )
        for english, same in entries.items()
    ]  # fmt: skip
