"""The rules that a corpus keeps as a whole: nothing twice, nothing both in train and held out.

They are gathered slice by slice, as 64-bit hashes: the texts of a million entries would not fit in memory. Only if
hashes coincide the texts are compared, in another pass, and the rows that break a rule are found.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.corpus import rules
from hlx_model.corpus.row_rules import Rule
from hlx_model.corpus.split import Split
from hlx_model.corpus.tables import PLACE
from hlx_model.layout import EXAMPLES

_SPANS = [*PLACE, "first_line", "last_line"]
Slices = Callable[[], Iterable[pa.RecordBatch]]
"""Reads the rows of a corpus once more, slice by slice."""


@dataclass(frozen=True)
class _Corpus:
    """What the rules on one corpus are about."""

    once: str
    """The name of the rule that no two rows have the same key."""
    reason: str
    key: tuple[str, ...]
    held_out: tuple[str, ...]
    """Columns whose texts are in train or held out, never in both."""
    found: tuple[str, ...]


_CORPORA = {
    EXAMPLES: _Corpus(
        rules.SENTENCE_ONCE, "the sentence occurs twice", ("english",), ("value_sha256", "english"), ("english",)
    ),
    "english_corpus": _Corpus(
        rules.SENTENCE_ONCE, "the sentence occurs twice", ("english",), ("english",), ("english",)
    ),
    "hlx_corpus": _Corpus(
        "line_once", "the line occurs twice", ("format", "text"), ("value_sha256", "text"), ("format", "text")
    ),
    "paired_corpus": _Corpus(
        "pair_once", "the pair occurs twice", (*PLACE, "target", "source"), ("prompt",), ("prompt", "answer")
    ),
}
_LEAKS = {"value_sha256": "value", "english": "sentence", "text": "line", "prompt": "prompt"}


class WholeRules:
    """Gathers what the rules on a whole corpus must know, and then names the rows that break them."""

    def __init__(self, asset: str) -> None:
        self._corpus = _CORPORA[asset]
        self._keys = array("q")
        self._train = {column: array("q") for column in self._corpus.held_out}
        self._apart = {column: array("q") for column in self._corpus.held_out}
        self._spans: list[pa.RecordBatch] | None = [] if asset == EXAMPLES else None

    def add(self, rows: pa.RecordBatch) -> None:
        """Take in the next rows."""
        self._keys.extend(hash(key) for key in _keys(rows, self._corpus.key))
        train = pc.fill_null(pc.equal(rows["split"], str(Split.TRAIN)), False)
        for column in self._corpus.held_out:
            self._train[column].extend(map(hash, _texts(rows[column], train)))
            self._apart[column].extend(map(hash, _texts(rows[column], pc.invert(train))))
        if self._spans is not None:
            self._spans.append(rows.select(_SPANS))

    def broken(self, slices: Slices) -> list[Rule]:
        """Return the rules that some row breaks; their rows are found by evaluating them on every slice."""
        found = [*self._repeated(slices), *self._leaks(slices)]
        if overlapping := _overlapping(self._spans or []):
            reason = "its lines are also another entry's, or its line is outside of them"
            found.append(_keyed("lines_of_one_entry_only", reason, PLACE, overlapping, ("first_line", "last_line")))
        return found

    def _repeated(self, slices: Slices) -> Iterator[Rule]:
        counts = pc.value_counts(_integers(self._keys))
        alike = set(pc.filter(counts.field("values"), pc.greater(counts.field("counts"), 1)).to_pylist())
        if alike:
            keys = Counter(key for rows in slices() for key in _keys(rows, self._corpus.key) if hash(key) in alike)
            if repeated := {key for key, count in keys.items() if count > 1}:
                corpus = self._corpus
                yield _keyed(corpus.once, corpus.reason, corpus.key, repeated, corpus.found)

    def _leaks(self, slices: Slices) -> Iterator[Rule]:
        for column in self._corpus.held_out:
            train = _integers(self._train[column])
            alike = set(pc.filter(train, pc.is_in(train, _integers(self._apart[column]))).to_pylist())
            if not alike:
                continue
            held_out = {
                text
                for rows in slices()
                for text in _texts(rows[column], pc.not_equal(rows["split"], str(Split.TRAIN)))
                if hash(text) in alike
            }
            if held_out:
                yield _leak(column, held_out)


def _keyed(name: str, reason: str, columns: tuple[str, ...], wrong: set[Hashable], found: tuple[str, ...]) -> Rule:
    """Return a rule that the rows with some keys break."""

    def broken(rows: pa.RecordBatch) -> pa.BooleanArray:
        return pa.array([key in wrong for key in _row_keys(rows, columns)], pa.bool_())

    return Rule(name, reason, found, broken)


def _leak(column: str, held_out: set[str]) -> Rule:
    def broken(rows: pa.RecordBatch) -> pa.BooleanArray:
        return pc.and_(
            pc.equal(rows["split"], str(Split.TRAIN)), pc.is_in(rows[column], pa.array(sorted(held_out), pa.string()))
        )

    return Rule(f"{column}_not_in_train_and_held_out", f"a held-out {_LEAKS[column]} is in train", (column,), broken)


def _row_keys(rows: pa.RecordBatch, columns: tuple[str, ...]) -> Iterator[Hashable]:
    """Yield the key of every row: one text, or a tuple."""
    cells = [rows[column].to_pylist() for column in columns]
    return iter(cells[0]) if len(cells) == 1 else zip(*cells, strict=True)


def _keys(rows: pa.RecordBatch, columns: tuple[str, ...]) -> Iterator[Hashable]:
    """Yield the keys of the rows that have one."""
    return (key for key in _row_keys(rows, columns) if key is not None)


def _texts(column: pa.Array, wanted: pa.BooleanArray) -> Iterator[str]:
    """Yield the texts of the wanted rows that have one."""
    return iter(pc.drop_null(pc.filter(column, wanted)).to_pylist())


def _integers(hashes: "array[int]") -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), len(hashes), [None, pa.py_buffer(hashes)])


def _overlapping(spans: list[pa.RecordBatch]) -> set[Hashable]:
    """Return document and line of entries with a line that another entry has too, or with `line` outside their own."""
    found: set[Hashable] = set()
    if not spans:
        return found
    table = pa.Table.from_batches(spans)
    outside = pc.or_(pc.less(table["line"], table["first_line"]), pc.greater(table["line"], table["last_line"]))
    found |= set(_row_keys(table.filter(outside), PLACE))
    table = table.sort_by([("document", "ascending"), ("first_line", "ascending")])
    before: tuple[str | None, int, tuple[str | None, int]] | None = None  # document, last line so far, its entry
    for document, line, first, last in zip(*(table[name].to_pylist() for name in _SPANS), strict=True):
        if before is not None and before[0] == document and first <= before[1]:
            found |= {(document, line), before[2]}
        if before is None or before[0] != document or last > before[1]:
            before = document, last, (document, line)
    return found
