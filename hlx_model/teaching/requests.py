"""What a teacher is asked: values that models learn, each with a sentence of it, and what a new sentence must not be.

    known = Known.of(examples, written_by_teachers, evaluation)
    table = requests_table(examples, 200, written_by_teachers, evaluation)

Only training values are asked for. Which ones depends on nothing that a teacher wrote: its documents are left out. They
are taken from the end of the order by which values are held out from its beginning, so that a corpus to which a
teacher's document is added asks for the same.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa

from hlx_model.corpus.split import Split
from hlx_model.language import Format, parse
from hlx_model.teaching.literals import parts_of

REQUESTS_SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "value_sha256", str(Format.HLXL), "english")])
ID_CHARACTERS = 12
"""Of the SHA-256 of a value, which name it to a teacher."""
_WORD = re.compile(r"-?\d+(?:\.\d+)?|[a-z]+")


@dataclass(frozen=True)
class Known:
    """What is known of a corpus and of what models are evaluated on."""

    sentences: frozenset[str]
    """Every sentence, of held-out and evaluated values too (`bare`)."""
    training: frozenset[str]
    """The SHA-256 of the values that models learn."""
    held_out: frozenset[str]
    """The SHA-256 of the values that models are judged by."""
    written: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The sentences that a teacher wrote before (`bare`), with the SHA-256 of their values."""

    @classmethod
    def of(cls, examples: pa.Table, written: Collection[str], evaluation: pa.Table | None = None) -> "Known":
        """Return what is known.

        Args:
            examples: rows of `corpus_examples`.
            written: names of the documents among them that a teacher wrote. A sentence of them may be written again
                for its value, so that the same answers make the same document.
            evaluation: rows of `evaluation_examples`.
        """
        used: dict[str, set[str]] = {str(split): set() for split in Split}
        judged: set[str] = set()
        sentences: set[str] = set()
        before: defaultdict[str, set[str]] = defaultdict(set)
        for document, english, sha256, split in _cells(examples, "document", "english", "value_sha256", "split"):
            if document in written:
                before[bare(english or "")].add(sha256)
                continue
            if sha256 is not None:
                used[split].add(sha256)
            if english is not None:
                sentences.add(bare(english))
        for english, sha256 in _cells(evaluation, "english", "value_sha256") if evaluation is not None else ():
            judged.add(sha256)
            sentences.add(bare(english or ""))
        held_out = frozenset(used[Split.VALIDATION] | used[Split.TEST] | judged)
        training = frozenset(used[Split.TRAIN]) - held_out
        return cls(frozenset(sentences - {""}), training, held_out, before)

    def why_not_new(self, english: str, value_sha256: str) -> str | None:
        """Return why a sentence for a value is not new, as one line; None if it is."""
        same = bare(english)
        if same in self.sentences:
            return "the sentence is there already"
        if value_sha256 not in self.written.get(same, {value_sha256}):
            return "the sentence is there already, with another value"
        return None


def bare(sentence: str) -> str:
    """Return the words and numbers of a sentence: not its case, spaces and punctuation, which make no other one."""
    return " ".join(_WORD.findall(sentence.lower()))


def requests_table(examples: pa.Table, entries: int, written: Collection[str], evaluation: pa.Table | None) -> pa.Table:
    """Return the values to ask for, at most `entries`: id, SHA-256, HLXL, and the first sentence of each.

    Args:
        examples: rows of `corpus_examples`.
        entries: most of the values.
        written: names of the documents that a teacher wrote.
        evaluation: rows of `evaluation_examples`; their values are not asked for.
    """
    known = Known.of(examples, written, evaluation)
    first: dict[str, int] = {}
    for index, (document, english, sha256) in enumerate(_cells(examples, "document", "english", "value_sha256")):
        if sha256 in known.training and english is not None and document not in written:
            first.setdefault(sha256, index)
    rows = filter(None, (_request(examples, first[sha256]) for sha256 in sorted(first, reverse=True)))
    return pa.Table.from_pylist(list(islice(rows, entries)), REQUESTS_SCHEMA)


def _request(examples: pa.Table, index: int) -> dict[str, Any] | None:
    """Return the request for the value of a row; None if it contains bytes, which English does not say."""
    (row,) = examples.slice(index, 1).to_pylist()
    hlxl, sha256 = row[Format.HLXL], row["value_sha256"]
    if any(isinstance(part, bytes) for part in parts_of(parse(hlxl, Format.HLXL))):
        return None
    return dict(zip(REQUESTS_SCHEMA.names, (sha256[:ID_CHARACTERS], sha256, hlxl, row["english"]), strict=True))


def _cells(table: pa.Table, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield some columns of each row; not all rows at once, which a million would need much memory for."""
    for batch in table.select(list(columns)).to_batches(max_chunksize=50_000):
        yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
