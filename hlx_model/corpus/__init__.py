"""Corpora: read documents or compose them, and derive the tables that the phases learn from.

Data moves one way: a document gives entries, the entries examples with their split, the examples
the corpora of the three phases.
"""

from hlx_model.corpus.compose import capacity, compose
from hlx_model.corpus.document import (
    DEFAULT_SEQ_LENGTH,
    CorpusError,
    Document,
    Entry,
    Quarantined,
    parse_document,
    read_document,
)
from hlx_model.corpus.prompts import ENGLISH, Example, conversion, prompt, translations, value_sha256
from hlx_model.corpus.rules import held_out_leaks, in_vocabulary, parses, same_value, within
from hlx_model.corpus.split import Split, assign_splits
from hlx_model.corpus.tables import (
    data_version,
    english_table,
    examples_table,
    hlx_table,
    operation_of,
    paired_table,
    quarantine_table,
)

__all__ = [
    "DEFAULT_SEQ_LENGTH",
    "ENGLISH",
    "CorpusError",
    "Document",
    "Entry",
    "Example",
    "Quarantined",
    "Split",
    "assign_splits",
    "capacity",
    "compose",
    "conversion",
    "data_version",
    "english_table",
    "examples_table",
    "held_out_leaks",
    "hlx_table",
    "in_vocabulary",
    "operation_of",
    "paired_table",
    "parse_document",
    "parses",
    "prompt",
    "quarantine_table",
    "read_document",
    "same_value",
    "translations",
    "value_sha256",
    "within",
]
