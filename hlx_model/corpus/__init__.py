"""Corpora: read documents or compose them, and derive the tables that the phases learn from.

Data moves one way: a document gives entries, the entries examples with their split, the examples
the corpora of the three phases.
"""

from hlx_model.composer.sampling import compose, compose_lines
from hlx_model.corpus import rules
from hlx_model.corpus.document import DEFAULT_SEQ_LENGTH, Document, parse_document, read_document
from hlx_model.corpus.documents import collect, read_corpus
from hlx_model.corpus.entries import Collection, CorpusError, Entry, Quarantined, Reading, operation_of
from hlx_model.corpus.prompts import ENGLISH, Example, conversion, prompt, translations, value_sha256
from hlx_model.corpus.rules import is_english, parses, same_value
from hlx_model.corpus.split import Split, assign_splits
from hlx_model.corpus.tables import DERIVED, ENGLISH_CORPUS, HLX_CORPUS, PAIRED_CORPUS, examples_table, quarantine_table
from hlx_model.corpus.versions import DataVersion, data_version

__all__ = [
    "DEFAULT_SEQ_LENGTH", "DERIVED", "ENGLISH", "ENGLISH_CORPUS", "HLX_CORPUS", "PAIRED_CORPUS", "Collection",
    "CorpusError", "DataVersion", "Document", "Entry", "Example", "Quarantined", "Reading", "Split",
    "assign_splits", "collect", "compose", "compose_lines", "conversion", "data_version",
    "examples_table", "is_english", "operation_of", "parse_document", "parses", "prompt",
    "quarantine_table", "read_corpus", "read_document", "rules", "same_value", "translations", "value_sha256",
]  # fmt: skip
