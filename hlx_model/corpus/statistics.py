"""What a corpus holds: counts by section, operation, depth and length, and how held-out was chosen.

Everything is counted in Arrow, a batch of rows at a time, so a million entries take seconds. What a
value holds is read off its LC-R: there only strings have quotes, and each bracket is one glyph.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.composer.spelling import NUMBER_WORDS
from hlx_model.corpus.split import Split
from hlx_model.language import GRAMMARS, Format

BySplit = Mapping[str, int]
"""A count for each of train, validation and test."""

_BATCH = 65_536

_STRING = r'"(?:[^"\\]|\\.)*"'
# A string that holds a mark of some format, or a character that is written with a backslash.
_MARKS = "".join(re.escape(mark) for mark in sorted({"\\", "→"}.union(*(g.marks for g in GRAMMARS.values()))))
_AWKWARD = rf'^(?:[^"]|{_STRING})*"[^"\\]*[{_MARKS}]'
_NEGATIVE = r"(?:^|[ 🜃])-\d"
_FLOAT = r"(?:^|[ 🜃])-?\d+[.e]"
_DIGITS = r"\b\d"
_SPELLED = rf"(?i)\b(?:{'|'.join(NUMBER_WORDS)}|million)\b"


@dataclass(frozen=True)
class Lengths:
    """How long texts are, in characters, which are the model's tokens."""

    shortest: int
    median: int
    ninety_percent: int
    """Nine texts in ten are no longer."""
    longest: int
    mean: float


@dataclass(frozen=True)
class Statistics:
    """What a table of examples holds."""

    entries: int
    sentences: int
    values: int
    entries_by_split: BySplit
    values_by_split: BySplit
    sections: Mapping[str, BySplit]
    """Entries of each section, in the order of the document."""
    operations: Mapping[str, BySplit]
    """Entries of each operation, the most frequent first."""
    depths: Mapping[int, BySplit]
    """Entries by the number of arrays, objects and contracts around the innermost part."""
    sentence_lengths: Lengths | None
    hlxl_lengths: Lengths | None
    digits: int
    """Sentences with a number in digits."""
    spelled: int
    """Sentences with a number word."""
    number: int
    """Sentences with either."""
    negative: int
    """Entries whose value holds a number below zero, or -0.0."""
    floating: int
    """Entries whose value holds a float."""
    awkward: int
    """Entries with a string that holds a mark of some format, or a character that needs a backslash."""
    phrasings: Mapping[int, int]
    """How many values have so many sentences."""
    rendered: Mapping[str, int]
    """Entries of which the document lacked the format."""

    def to_json(self) -> dict[str, Any]:
        """The same as JSON holds it: keys are strings."""
        figures = asdict(self)
        for name in ("depths", "phrasings"):
            figures[name] = {str(key): count for key, count in figures[name].items()}
        return figures


def statistics(examples: pa.Table) -> Statistics:
    """What `examples` holds: a table as `examples_table` gives it."""
    counts: Counter[str] = Counter()
    depths: Counter[tuple[int, str]] = Counter()
    sentence_lengths: Counter[int] = Counter()
    hlxl_lengths: Counter[int] = Counter()
    for batch in examples.to_batches(max_chunksize=_BATCH):
        sentences = pc.drop_null(batch["english"])
        digits, spelled = _matching(sentences, _DIGITS), _matching(sentences, _SPELLED)
        counts["sentences"] += len(sentences)
        counts["digits"] += _true(digits)
        counts["spelled"] += _true(spelled)
        counts["number"] += _true(pc.or_(digits, spelled))
        notation = pc.replace_substring_regex(batch[Format.LC_R], _STRING, "")
        counts["negative"] += _true(_matching(notation, _NEGATIVE))
        counts["floating"] += _true(_matching(notation, _FLOAT))
        counts["awkward"] += _true(_matching(batch[Format.LC_R], _AWKWARD))
        depths.update(zip(_depths(notation).to_pylist(), batch["split"].to_pylist(), strict=True))
        sentence_lengths.update(pc.utf8_length(sentences).to_pylist())
        hlxl_lengths.update(pc.utf8_length(batch[Format.HLXL]).to_pylist())
    operations = _crosstab(_counted(examples, "operation"))
    of_value = examples.group_by("value_sha256", use_threads=False).aggregate(
        [("english", "count"), ("split", "first")]
    )
    return Statistics(
        entries=examples.num_rows,
        sentences=counts["sentences"],
        values=of_value.num_rows,
        entries_by_split=_by_split(_value_counts(examples["split"])),
        values_by_split=_by_split(_value_counts(of_value["split_first"])),
        sections=_crosstab(_counted(examples, "section")),
        operations=dict(sorted(operations.items(), key=lambda item: (-sum(item[1].values()), item[0]))),
        depths=dict(sorted(_crosstab((*key, count) for key, count in depths.items()).items())),
        sentence_lengths=_lengths(sentence_lengths),
        hlxl_lengths=_lengths(hlxl_lengths),
        digits=counts["digits"],
        spelled=counts["spelled"],
        number=counts["number"],
        negative=counts["negative"],
        floating=counts["floating"],
        awkward=counts["awkward"],
        phrasings=dict(sorted(_value_counts(of_value["english_count"]).items())),
        rendered=_rendered(examples["rendered"]),
    )


def _matching(texts: pa.Array, pattern: str) -> pa.Array:
    return pc.match_substring_regex(texts, pattern)


def _true(booleans: pa.Array) -> int:
    return int(pc.sum(booleans).as_py() or 0)


def _depths(notation: pa.Array) -> pa.Array:
    """The depth of each value, from LC-R without its strings: how often its innermost brackets can be taken away."""
    brackets = pc.replace_substring_regex(notation, "[^🜊🜂🜃🜄◇◆]", "")
    brackets = pc.replace_substring_regex(brackets, "[🜊🜃◇]", "(")
    brackets = pc.replace_substring_regex(brackets, "[🜂🜄◆]", ")")
    depths = pc.multiply(pc.binary_length(brackets), 0)
    while _true(remain := pc.not_equal(brackets, "")):
        depths = pc.add(depths, pc.cast(remain, depths.type))
        brackets = pc.replace_substring(brackets, "()", "")
    return depths


def _counted(examples: pa.Table, column: str) -> Iterator[tuple[str, str, int]]:
    """Each content of `column` and each split with its number of rows, in the order of the rows."""
    counted = examples.group_by([column, "split"], use_threads=False).aggregate([([], "count_all")])
    yield from zip(*(counted[name].to_pylist() for name in (column, "split", "count_all")), strict=True)


def _crosstab(counted: Iterable[tuple[Any, str, int]]) -> dict[Any, dict[str, int]]:
    table: dict[Any, dict[str, int]] = {}
    for name, split, count in counted:
        table.setdefault(name, _by_split({}))[split] = count
    return table


def _by_split(counts: Mapping[str, int]) -> dict[str, int]:
    return {str(split): counts.get(split, 0) for split in Split}


def _value_counts(column: pa.ChunkedArray) -> dict[Any, int]:
    counted = pc.value_counts(column)
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def _lengths(counts: Counter[int]) -> Lengths | None:
    if not counts:
        return None
    total = counts.total()
    at_most = 0
    median = ninety_percent = 0
    for length in sorted(counts):
        # Ranks are those of the lower median and of the nearest rank above nine tenths.
        median = length if at_most < (total + 1) // 2 else median
        ninety_percent = length if at_most < -(-total * 9 // 10) else ninety_percent
        at_most += counts[length]
    mean = sum(length * count for length, count in counts.items()) / total
    return Lengths(min(counts), median, ninety_percent, max(counts), mean)


def _rendered(column: pa.ChunkedArray) -> dict[str, int]:
    """Rows by format, of texts in which the tags stand."""
    return {str(format): _true(pc.match_substring(column, str(format))) for format in Format}
