"""Evaluation documents: sentences that no model is trained on, each with the values that count as right.

    corpora/evaluation_document/<data version>/   the documents, and which of them could not be read
    corpora/evaluation_examples/<data version>/   a row for each right value of a sentence

They are written like corpus documents. A sentence that occurs several times has several right values. The documents are
kept, read and judged like those of a corpus, by the graph or by `hlx validate`. Models are evaluated on examples that
passed their gates; no training waits for them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hlx_model.composer.spelling import folded
from hlx_model.corpus import store
from hlx_model.corpus.document import Document, read_document
from hlx_model.corpus.documents import (
    is_composed,
    keep_evaluation_documents,
    kept_documents,
    unreadable_documents,
)
from hlx_model.corpus.entries import Collection, CorpusError, DocumentRef, Quarantined
from hlx_model.corpus.rules import FITS
from hlx_model.corpus.setting import evaluation_of
from hlx_model.corpus.store import VerifiedCorpus
from hlx_model.corpus.verdict import require_corpus_passed
from hlx_model.language import Format
from hlx_model.layout import Artifacts
from hlx_model.model.sizes import POSITIONS

DEFAULT = Path(__file__).with_name("default.md")
"""The document of this project. It was written by hand, not by the composer."""
_PROJECT = "the evaluation document of hlx"
_TOO_LONG = f"an example has over {POSITIONS} tokens, the positions of the model"
NAME_ONE = "name one with HLX_EVAL (make … EVAL=exam.md)"


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
    data_version: str
    """The version of `evaluation_examples`: of sentences, sections, right values and quarantined entries."""


class Evaluation(NamedTuple):
    """What a report evaluates a model on."""

    documents: EvaluationDocuments | None
    note: str | None = None
    """One line: why there are none, or why they are not the newest ones."""


class KeptExamples(NamedTuple):
    """Evaluation examples that the graph has made."""

    directory: Path | None
    """None if none has passed its gates."""
    problem: str | None = None
    """One line: why there are none, or why newer ones cannot be used."""


NO_EVALUATION = Evaluation(None)
"""That of a model that does not translate."""


def documents_for(
    named: Sequence[Path], corpus: Iterable[DocumentRef], artifacts: Artifacts | None = None
) -> list[Path]:
    """Return the evaluation documents for a model: named ones, else of `HLX_EVAL`, else of its home, else the default.

    Args:
        named: documents that somebody chose for this evaluation.
        corpus: the documents that the model learned from.
        artifacts: of the home, if it is in one.
    """
    chosen = list(named) or evaluation_of(artifacts)
    return chosen or ([DEFAULT] if _learned_composed(corpus) else [])


def _learned_composed(corpus: Iterable[DocumentRef]) -> bool:
    """Return whether the default document is for a model: it cannot know more than its documents say."""
    return any(map(is_composed, corpus))


def keep_documents(artifacts: Artifacts, paths: Sequence[Path]) -> Path:
    """Copy evaluation documents, and return the directory that contains them and names those that cannot be read."""
    return keep_evaluation_documents(artifacts, paths, {DEFAULT: _PROJECT})


def keep_examples(artifacts: Artifacts, document: Path) -> VerifiedCorpus:
    """Read kept evaluation documents, and keep their sentences and right values.

    A document that cannot be used at all is in quarantine, so that the gate `quarantine` fails.

    Args:
        artifacts: where they are kept.
        document: the directory of the documents.
    """
    kept, read = kept_documents(document), list[Document]()
    refused = [_unusable(one.name, one.reason) for one in unreadable_documents(document)]
    for one in kept:
        try:
            read.append(_answerable(read_document(document / one.file, seq_length=POSITIONS, name=one.name)))
        except CorpusError as error:
            refused.append(_unusable(one.name, str(error)))
    entries = tuple(entry for one in read for entry in one.entries)
    quarantined = (*refused, *(row for one in read for row in one.quarantined))
    return store.store_evaluation(artifacts, Collection(entries, quarantined, ()), [one.to_ref() for one in kept])


def load_evaluation(directory: Path) -> EvaluationDocuments:
    """Return the sentences of kept evaluation examples that passed their gates; they are judged if nobody has yet.

    Raises:
        GateClosed: a gate failed; the message names it with its figure.
        CorpusError: the examples are missing or damaged.
    """
    require_corpus_passed(directory)
    right: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for row in store.load(directory).to_pylist():
        right.setdefault((row["document"], row["english"]), []).append(row)
    questions = tuple(_question(*key, rows) for key, rows in right.items())
    quarantined = store.quarantined(directory).num_rows
    return EvaluationDocuments(store.sources_of(directory), questions, quarantined, directory.name)


def same_sentence(one: str, other: str) -> bool:
    """Return whether two sentences are one, but for case, spaces and a final stop."""
    return folded(one) == folded(other)


def read_evaluation(paths: Sequence[Path], artifacts: Artifacts | None = None) -> EvaluationDocuments:
    """Read evaluation documents, keep them and judge them.

    Args:
        paths: the documents.
        artifacts: where they are kept. By default they are not.

    Raises:
        CorpusError: a document cannot be read, or is named twice.
        GateClosed: a gate on the examples failed: too many entries have a defect, or none has a sentence.
    """
    if artifacts is None:
        with TemporaryDirectory() as root:
            return read_evaluation(paths, Artifacts.at(Path(root)))
    document = keep_documents(artifacts, paths)
    if unreadable := unreadable_documents(document):
        raise CorpusError(unreadable[0].reason)
    return load_evaluation(keep_examples(artifacts, document).directory)


def named_for(named: Sequence[Path], learned: Iterable[DocumentRef], artifacts: Artifacts | None = None) -> Evaluation:
    """Return the evaluation of a model on documents that are named, on those of `HLX_EVAL`, or on the default one.

    Args:
        named: documents that somebody chose.
        learned: the documents that the model learned from.
        artifacts: where the documents are kept, if they are.

    Raises:
        ValueError: a document is unusable (`CorpusError`, `GateClosed`).
    """
    paths = documents_for(named, learned, artifacts)
    return Evaluation(read_evaluation(paths, artifacts)) if paths else Evaluation(None, _NOT_COMPOSED)


def kept_for(examples: KeptExamples, learned: Iterable[DocumentRef]) -> Evaluation:
    """Return the evaluation of a model that learned from some documents on kept examples.

    Raises:
        ValueError: the examples are damaged.
    """
    if examples.directory is None:
        return Evaluation(None, f"no evaluation document: {examples.problem}")
    if not is_for(store.sources_of(examples.directory), learned):
        return Evaluation(None, _NOT_COMPOSED)
    problem = examples.problem and f"not on the newest evaluation documents: {examples.problem}"
    return Evaluation(load_evaluation(examples.directory), problem)


def is_for(documents: Iterable[DocumentRef], learned: Iterable[DocumentRef]) -> bool:
    """Return whether evaluation documents are for a model: the default one only if it learned composed entries."""
    return [document.source for document in documents] != [_PROJECT] or _learned_composed(learned)


_NOT_COMPOSED = (
    f"no evaluation document: that of hlx is for models that learned composed entries; {NAME_ONE} for this one"
)


def _question(document: str, english: str, rows: Sequence[Mapping[str, str]]) -> Question:
    right = {format: tuple(dict.fromkeys(row[format] for row in rows)) for format in Format}
    return Question(document, rows[0]["section"], english, right)


def _unusable(name: str, reason: str) -> Quarantined:
    return Quarantined(name, 1, None, "document_is_usable", reason, "")


def _answerable(document: Document) -> Document:
    """Return a document with the entries that have a sentence and a value.

    One with examples that are longer than the model's positions goes to quarantine: it has no answer in every format.

    Raises:
        CorpusError: there is none.
    """
    entries = [entry for entry in document.entries if entry.english is not None and entry.texts]
    if not entries:
        raise CorpusError(f"{document.name}: no entry has a sentence and a value: write `English:` above each value")
    too_long = tuple(
        Quarantined(entry.document, entry.line, entry.english, FITS, _TOO_LONG, entry.texts[0])
        for entry in entries
        if entry.left_out
    )
    fitting = tuple(entry for entry in entries if not entry.left_out)
    return replace(document, entries=fitting, quarantined=(*document.quarantined, *too_long))
