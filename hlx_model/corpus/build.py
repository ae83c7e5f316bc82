"""Build corpora from documents: keep the documents, read them, split them, derive what each phase learns from.

Dagster takes the same steps, each in an asset of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hlx_model.corpus.documents import keep_documents, kept_documents, read_kept
from hlx_model.corpus.entries import Collection, DocumentRef
from hlx_model.corpus.store import VerifiedCorpus, store_derived, store_examples
from hlx_model.corpus.tables import DERIVED
from hlx_model.layout import EXAMPLES, Artifacts


@dataclass(frozen=True)
class BuiltCorpora:
    """Corpora that were just built from documents."""

    document: Path
    """The directory of the kept documents."""
    documents: tuple[DocumentRef, ...]
    collection: Collection
    """What was read, with quarantined entries and readings."""
    examples: VerifiedCorpus
    derived: dict[str, VerifiedCorpus]
    """By asset."""

    @property
    def directories(self) -> dict[str, Path]:
        """Return the directory of each corpus by its asset, without that of the documents."""
        return {EXAMPLES: self.examples.directory, **{asset: one.directory for asset, one in self.derived.items()}}


def read_documents(artifacts: Artifacts, document: Path, *, seq_length: int) -> tuple[VerifiedCorpus, Collection]:
    """Read kept documents, and keep their examples; return these and what was read.

    Raises:
        CorpusError: none of the entries of a document is usable.
        ValueError: no model has `seq_length`.
    """
    collection = read_kept(document, seq_length=seq_length)
    return store_examples(artifacts, collection, [d.to_ref() for d in kept_documents(document)]), collection


def build(documents: Sequence[Path], artifacts: Artifacts, *, seq_length: int) -> BuiltCorpora:
    """Build every corpus from documents.

    Raises:
        CorpusError: a document is unusable, or given twice.
        ValueError: no model has `seq_length`.
    """
    document = keep_documents(artifacts, documents)
    examples, collection = read_documents(artifacts, document, seq_length=seq_length)
    derived = {asset: store_derived(artifacts, asset, examples) for asset in DERIVED}
    return BuiltCorpora(document, tuple(d.to_ref() for d in kept_documents(document)), collection, examples, derived)
