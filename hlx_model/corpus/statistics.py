"""What a corpus contains: counts by section, operation, depth and length, and how held-out was chosen.

Everything is counted in Arrow, so a million entries take seconds. What a value contains is read from its LC-R: there
only strings have quotes, and each bracket is one glyph.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.composer.spelling import NUMBER_WORDS
from hlx_model.corpus.split import Split
from hlx_model.json_model import JsonModel
from hlx_model.language import GRAMMARS, Format

BySplit = Mapping[str, int]
"""A count for each of train, validation and test."""

_STRING = r'"(?:[^"\\]|\\.)*"'
# A string that contains a mark of some format, or a character that is written with a backslash.
_MARKS = "".join(re.escape(mark) for mark in sorted({"\\", "→"}.union(*(g.marks for g in GRAMMARS.values()))))
_AWKWARD = rf'^(?:[^"]|{_STRING})*"[^"\\]*[{_MARKS}]'
_NEGATIVE = r"(?:^|[ 🜃])-\d"
_FLOAT = r"(?:^|[ 🜃])-?\d+[.e]"
_DIGITS = r"\b\d"
_SPELLED = rf"(?i)\b(?:{'|'.join(NUMBER_WORDS)}|million)\b"


class Lengths(JsonModel):
    """How long texts are, in characters, which are the model's tokens."""

    shortest: int
    median: int
    ninety_percent: int
    """Nine texts in ten are no longer."""
    longest: int
    mean: float


class Statistics(JsonModel):
    """What a table of examples contains."""

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
    """Entries whose value contains a number below zero, or -0.0."""
    floating: int
    """Entries whose value contains a float."""
    awkward: int
    """Entries with a string that contains a mark of some format, or a character that needs a backslash."""
    phrasings: Mapping[int, int]
    """How many values have so many sentences."""
    rendered: Mapping[str, int]
    """Entries of which the document lacked the format."""

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON: its keys are strings."""
        return self.model_dump(mode="json")


def statistics(examples: pa.Table) -> Statistics:
    """Return what `examples` contains: a table as `examples_table` gives it."""
    valued = examples.filter(pc.is_valid(examples["value_sha256"]))
    sentences, lc_r = examples["english"].drop_null(), valued[Format.LC_R]
    notation = pc.replace_substring_regex(lc_r, _STRING, "")
    by_value = valued.group_by("value_sha256", use_threads=False)
    of_value = by_value.aggregate([("english", "count"), ("split", "first")])
    operations = _crosstab(examples, "operation")
    return Statistics(
        entries=examples.num_rows,
        sentences=len(sentences),
        values=of_value.num_rows,
        entries_by_split=_by_split(examples["split"]),
        values_by_split=_by_split(of_value["split_first"]),
        sections=_crosstab(examples, "section"),
        operations=dict(sorted(operations.items(), key=lambda item: (-sum(item[1].values()), item[0]))),
        depths=dict(sorted(_crosstab(valued.append_column("depth", _depths(notation)), "depth").items())),
        sentence_lengths=_lengths(sentences),
        hlxl_lengths=_lengths(valued[Format.HLXL]),
        digits=_count(sentences, _DIGITS),
        spelled=_count(sentences, _SPELLED),
        number=_count(sentences, f"{_DIGITS}|{_SPELLED}"),
        negative=_count(notation, _NEGATIVE),
        floating=_count(notation, _FLOAT),
        awkward=_count(lc_r, _AWKWARD),
        phrasings=dict(sorted(Counter(of_value["english_count"].to_pylist()).items())),
        rendered={str(format): _count(examples["rendered"], format) for format in Format},
    )


def _count(texts: pa.ChunkedArray, pattern: str) -> int:
    """Return how many texts contain a match."""
    return int(pc.sum(pc.match_substring_regex(texts, pattern)).as_py() or 0)


def _depths(notation: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the depth of each value, from LC-R without strings: how often its innermost brackets can be removed."""
    brackets = pc.replace_substring_regex(notation, "[^🜊🜂🜃🜄◇◆]", "")
    brackets = pc.replace_substring_regex(brackets, "[🜊🜃◇]", "(")
    brackets = pc.replace_substring_regex(brackets, "[🜂🜄◆]", ")")
    depths = pc.multiply(pc.binary_length(brackets), 0)
    while pc.any(remain := pc.not_equal(brackets, "")).as_py():
        depths = pc.add(depths, pc.cast(remain, depths.type))
        brackets = pc.replace_substring(brackets, "()", "")
    return depths


def _crosstab(examples: pa.Table, column: str) -> dict[Any, dict[str, int]]:
    """Return the number of rows by what a column contains and by split, in the order of the rows."""
    counted = examples.group_by([column, "split"], use_threads=False).aggregate([([], "count_all")])
    table: dict[Any, dict[str, int]] = {}
    for row in counted.to_pylist():
        table.setdefault(row[column], dict.fromkeys(map(str, Split), 0))[row["split"]] = row["count_all"]
    return table


def _by_split(splits: pa.ChunkedArray) -> dict[str, int]:
    counts = Counter(splits.to_pylist())
    return {str(split): counts[split] for split in Split}


def _lengths(texts: pa.ChunkedArray) -> Lengths | None:
    lengths = sorted(pc.utf8_length(texts).to_pylist())
    if not lengths:
        return None
    return Lengths(
        shortest=lengths[0],
        median=lengths[(len(lengths) - 1) // 2],
        ninety_percent=lengths[-(-len(lengths) * 9 // 10) - 1],
        longest=lengths[-1],
        mean=sum(lengths) / len(lengths),
    )
