"""The rules that a corpus keeps as a whole: nothing twice, nothing both in train and held out.

They are gathered slice by slice, as 64-bit hashes: the texts of a million entries would not fit in memory. Only if
hashes coincide the texts are compared, in another pass, and the rows that break a rule are found.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.composer.spelling import folded
from hlx_model.corpus.row_rules import Rule
from hlx_model.corpus.split import Split
from hlx_model.corpus.tables import PLACE
from hlx_model.layout import EVALUATION, EXAMPLES

Slices = Callable[[], Iterable[pa.RecordBatch]]
"""Reads the rows of a corpus once more, slice by slice."""


_MISSING = {"null_handling": "replace", "null_replacement": "\0"}
_Key: TypeAlias = tuple[Any, ...]
_SPAN = (*PLACE, "first_line", "last_line")


class _Corpus(NamedTuple):
    """What the rules on one corpus are about."""

    unique: str
    """What occurs once: a sentence, a line or a pair."""
    key: tuple[str, ...]
    """The columns that no two rows have alike."""
    found: tuple[str, ...]
    """The columns that show a row that occurs twice."""
    apart: tuple[str, ...]
    """Columns whose texts are in train or held out, never in both."""


_CORPORA = {
    EXAMPLES: _Corpus("sentence", ("english",), ("english",), ("value_sha256", "english")),
    EVALUATION: _Corpus("answer", ("document", "english", "HLXL"), ("english", "HLXL"), ()),
    "english_corpus": _Corpus("sentence", ("english",), ("english",), ("english",)),
    "hlx_corpus": _Corpus("line", ("format", "text"), ("format", "text"), ("value_sha256", "text")),
    "paired_corpus": _Corpus("pair", (*PLACE, "target", "source"), ("prompt", "answer"), ("prompt",)),
}
_NAMES = {"value_sha256": "value", "english": "sentence", "text": "line", "prompt": "prompt"}


class WholeRules:
    """Gathers what the rules on a whole corpus must know, and then names the rows that break them."""

    def __init__(self, asset: str) -> None:
        self._corpus = _CORPORA[asset]
        self._keys = array("q")
        self._train = {column: array("q") for column in self._corpus.apart}
        self._held_out = {column: array("q") for column in self._corpus.apart}
        self._spans: list[pa.RecordBatch] = []

    def add(self, rows: pa.RecordBatch) -> None:
        """Take in the next rows."""
        self._keys.extend(_hashes(rows, self._corpus.key))
        train = pc.fill_null(pc.equal(rows["split"], Split.TRAIN), False)
        for column in self._corpus.apart:
            for hashes, wanted in ((self._train, train), (self._held_out, pc.invert(train))):
                texts = rows[column].filter(wanted).drop_null().to_pylist()
                hashes[column].extend(map(hash, map(_AS_ONE.get(column, _same), texts)))
        if "first_line" in rows.schema.names:
            self._spans.append(rows.select(_SPAN))

    def broken(self, slices: Slices) -> list[Rule]:
        """Return the rules that some row breaks; their rows are found by evaluating them on every slice."""
        found, corpus = [], self._corpus
        counts = pc.value_counts(_integers(self._keys))
        if alike := set(counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist()):
            keys = Counter(
                key
                for rows in slices()
                for key, hashed in zip(_keys(rows, corpus.key), _hashes(rows, corpus.key), strict=True)
                if hashed in alike
            )
            twice = {key for key, count in keys.items() if count > 1}
            reason = f"the {corpus.unique} occurs twice"
            found.append(_keyed(f"{corpus.unique}_once", reason, corpus.key, twice, corpus.found))
        for column in corpus.apart:
            train = _integers(self._train[column])
            if alike := set(train.filter(pc.is_in(train, _integers(self._held_out[column]))).to_pylist()):
                as_one = _AS_ONE.get(column, _same)
                texts = ((split, as_one(text)) for rows in slices() for split, text in _keys(rows, ("split", column)))
                # The rows in train are reported.
                leaked = {(Split.TRAIN, text) for split, text in texts if split != Split.TRAIN and hash(text) in alike}
                name, reason = f"{column}_not_in_train_and_held_out", f"a held-out {_NAMES[column]} is in train"
                found.append(_keyed(name, reason, ("split", column), leaked, (column,), as_one))
        if overlapping := _overlapping(self._spans):
            reason = "its lines are also another entry's, or its line is outside of them"
            found.append(_keyed("lines_of_one_entry_only", reason, PLACE, overlapping, ("first_line", "last_line")))
        return found


def _same(text: Any) -> Any:
    return text


_AS_ONE: dict[str, Callable[[Any], Any]] = {"english": lambda text: text and folded(text)}
"""Texts of a column count as one if this is the same."""


def _keyed(
    name: str, reason: str, columns: tuple[str, ...], wrong: set[_Key], found: tuple[str, ...],
    as_one: Callable[[Any], Any] = _same,
) -> Rule:  # fmt: skip
    """Return a rule that the rows with some keys break; the last cell of a key is compared by `as_one`."""

    def broken(rows: pa.RecordBatch) -> pa.BooleanArray:
        return pa.array([(*key[:-1], as_one(key[-1])) in wrong for key in _cells(rows, columns)], pa.bool_())

    return Rule(name, reason, found, broken)


def _cells(rows: pa.RecordBatch | pa.Table, columns: Iterable[str]) -> Iterator[_Key]:
    """Yield the cells of every row."""
    return zip(*(rows[column].to_pylist() for column in columns), strict=True)


def _keys(rows: pa.RecordBatch, columns: tuple[str, ...]) -> Iterator[_Key]:
    """Yield the cells of every row that has a key: a missing sentence is none, a pair without a place has one."""
    return (key for key in _cells(rows, columns) if key != (None,))


def _hashes(rows: pa.RecordBatch, columns: tuple[str, ...]) -> Iterator[int]:
    """Yield a hash of each of `_keys`: of its cells as one text, without a tuple for them."""
    if columns[1:]:
        texts = pc.binary_join_element_wise(*(rows[name].cast(pa.string()) for name in columns), "\n", **_MISSING)
    else:
        texts = rows[columns[0]].drop_null()
    return map(hash, texts.to_pylist())


def _integers(hashes: "array[int]") -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), len(hashes), [None, pa.py_buffer(hashes)])


def _overlapping(spans: list[pa.RecordBatch]) -> set[_Key]:
    """Return document and line of entries with a line that another entry has too, or with `line` outside their own."""
    if not spans:
        return set()
    table = pa.Table.from_batches(spans).sort_by([("document", "ascending"), ("first_line", "ascending")])
    outside = pc.or_(pc.less(table["line"], table["first_line"]), pc.greater(table["line"], table["last_line"]))
    found = set(_cells(table.filter(outside), PLACE))
    entries = [key for key in _cells(table, _SPAN) if None not in key]
    # For each entry, the one above it that ends last. Tuples compare by document first, and the table is sorted by it.
    ending_last = accumulate(((document, last, line) for document, line, _, last in entries), max)
    for (its_document, its_end, its_line), (document, line, first, _) in zip(ending_last, entries[1:], strict=False):
        if its_document == document and first <= its_end:
            found |= {(document, line), (document, its_line)}
    return found
