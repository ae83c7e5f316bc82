"""The rules that each row of a corpus keeps by itself, evaluated on slices of Arrow rows.

A rule says for each row of a slice whether the row breaks it. If the entries of a corpus are known to be right, a text
that equals its entry's text is not parsed again.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.corpus import rules
from hlx_model.corpus.prompts import ENGLISH, value_sha256
from hlx_model.corpus.split import EVALUATED, Split
from hlx_model.corpus.tables import DERIVED, EVALUATION_SCHEMA, EXAMPLES_SCHEMA
from hlx_model.language import Format
from hlx_model.layout import EVALUATION, EXAMPLES
from hlx_model.model.sizes import POSITIONS
from hlx_model.model.tokenizer import CHARACTERS

FORMATS = tuple(map(str, Format))
SCHEMAS = {
    EXAMPLES: EXAMPLES_SCHEMA,
    EVALUATION: EVALUATION_SCHEMA,
    **{asset: derived.schema for asset, derived in DERIVED.items()},
}
"""The columns of each corpus."""

_MANY = 10_000
"""Rows from which threads are worth their start."""
_UNKNOWN = "[^" + "".join(f"\\x{{{ord(character):x}}}" for character in CHARACTERS) + "]"
_PROMPT = rf"^\[(?:{'|'.join((ENGLISH, *FORMATS))})\] (?s:.+) → $"


@dataclass(frozen=True)
class Rule:
    """A rule on a row."""

    name: str
    reason: str
    """What is wrong with a row that breaks it."""
    found: tuple[str, ...]
    """The columns that show it."""
    broken: Callable[[pa.RecordBatch], pa.BooleanArray]
    """Returns which rows break it; null counts as false."""
    in_python: bool = False
    """Whether `broken` looks at each text in Python, and so keeps other threads from it."""
    compares: bool = False
    """Whether it compares a row with its entry: `entry_English`, `entry_HLXL` … and `entry_split` are columns then."""


def broken_rows(rows: pa.RecordBatch, wanted: list[Rule]) -> Iterator[tuple[Rule, int]]:
    """Yield each rule with the index of each row that breaks it."""
    for rule, broken in zip(wanted, evaluated(rows, wanted), strict=True):
        for index in pc.indices_nonzero(broken).to_pylist():
            yield rule, index


def evaluated(rows: pa.RecordBatch, wanted: list[Rule]) -> list[pa.BooleanArray]:
    """Return which rows break each rule. Arrow evaluates rules in other threads, while this one runs Python."""

    def broken(rule: Rule) -> pa.BooleanArray:
        return pc.fill_null(rule.broken(rows), False)

    if rows.num_rows < _MANY:
        return list(map(broken, wanted))
    with ThreadPoolExecutor(pa.cpu_count()) as threads:
        beside = {index: threads.submit(broken, rule) for index, rule in enumerate(wanted) if not rule.in_python}
        here = {index: broken(rule) for index, rule in enumerate(wanted) if rule.in_python}
        return [here[index] if rule.in_python else beside[index].result() for index, rule in enumerate(wanted)]


def _not_empty(column: str, *, nullable: bool = False) -> Rule:
    """Return the rule that a text is not empty; with `nullable` it may be missing."""

    def empty(rows: pa.RecordBatch) -> pa.BooleanArray:
        # A missing text counts as empty, unless it may be missing.
        return pc.equal(rows[column] if nullable else pc.fill_null(rows[column], ""), "")

    return Rule(rules.NOT_EMPTY, "the text is empty", (column,), empty)


def _text(column: str, *, nullable: bool = False) -> list[Rule]:
    """Return the rules on a text that a model learns."""

    def unknown(rows: pa.RecordBatch) -> pa.BooleanArray:
        return pc.match_substring_regex(rows[column], _UNKNOWN)

    return [
        _not_empty(column, nullable=nullable),
        Rule(rules.IN_VOCABULARY, "a character is not in the vocabulary", (column,), unknown),
    ]


def _of_values() -> list[Rule]:
    """Return the rules that an example has all formats and a hash, or a sentence and none of them."""

    def has_value(rows: pa.RecordBatch) -> pa.BooleanArray:
        given = [pc.is_valid(rows[column]) for column in (*FORMATS, "value_sha256")]
        return pc.or_(pc.is_null(rows["english"]), reduce(pc.or_, given))

    def missing(column: str) -> Callable[[pa.RecordBatch], pa.BooleanArray]:
        return lambda rows: pc.and_(has_value(rows), pc.is_null(rows[column]))

    reason = "the text is missing"
    return [Rule(rules.NOT_EMPTY, reason, (column,), missing(column)) for column in (*FORMATS, "value_sha256")]


def _one_of(column: str, *values: str) -> Rule:
    known, reason = pa.array(values, pa.string()), f"the {column} is not one of {', '.join(values)}"
    return Rule(f"{column}_is_known", reason, (column,), lambda rows: _not(pc.is_in(rows[column], known)))


def _matches(name: str, reason: str, column: str, pattern: str) -> Rule:
    return Rule(name, reason, (column,), lambda rows: _not(pc.match_substring_regex(rows[column], pattern)))


def _each(name: str, reason: str, broken: Callable[..., bool], *columns: str, found: tuple[str, ...] = ()) -> Rule:
    """Return a rule that `broken` evaluates on the texts of each row."""
    return Rule(name, reason, found or columns, lambda rows: _where(broken, *map(rows.column, columns)), in_python=True)


def _in_language(name: str, reason: str, language: str, text: str) -> Rule:
    """Return the rule that a text is in its language. If the entries are right, only other texts are parsed."""

    def broken(rows: pa.RecordBatch) -> pa.BooleanArray:
        texts = rows[text]
        if "entry_is_right" in rows.schema.names:
            proven = pc.and_(rows["entry_is_right"], pc.equal(texts, _said(rows, language)))
            texts = pc.if_else(_not(proven), texts, pa.scalar(None, pa.string()))
        return _where(_is_foreign, rows[language], texts)

    return Rule(name, reason, (language, text), broken, in_python=True)


def _derived(asset: str) -> list[Rule]:
    """Return the rules of a derived corpus: the split is that of the entry, and the learned texts fit the model."""
    learned = DERIVED[asset].texts

    def other_split(rows: pa.RecordBatch) -> pa.BooleanArray:
        return _not(pc.equal(rows["split"], rows["entry_split"]))

    def too_long(rows: pa.RecordBatch) -> pa.BooleanArray:
        tokens = 2  # <BOS> and <EOS>
        for column in learned:
            tokens = pc.add(pc.utf8_length(rows[column]), tokens)
        return pc.greater(tokens, POSITIONS)

    reason, found = "the split is not that of its entry", ("split", "entry_split")
    return [
        _one_of("split", *Split),
        Rule("split_is_that_of_its_entry", reason, found, other_split, compares=True),
        Rule("fits_the_models_positions", f"longer than the model's {POSITIONS} positions", learned, too_long),
    ]


def _says(found: tuple[str, ...], said: Callable[[pa.RecordBatch], pa.Array]) -> Rule:
    """Return the rule that the last of these columns is what the entry says."""

    def broken(rows: pa.RecordBatch) -> pa.BooleanArray:
        return _not(pc.equal(rows[found[-1]], said(rows)))

    return Rule("says_what_its_entry_says", "the row is not what its entry says", found, broken, compares=True)


def _said(rows: pa.RecordBatch, column: str) -> pa.Array:
    """Return what the entry of each row says in the language that `column` names."""
    said = pa.nulls(rows.num_rows, pa.string())
    for language in (ENGLISH, *FORMATS):
        named = pc.fill_null(pc.equal(rows[column], language), False)
        said = pc.if_else(named, rows[f"entry_{language}"], said)
    return said


def _mispaired(rows: pa.RecordBatch) -> pa.BooleanArray:
    prompts = pc.binary_join_element_wise("[", rows["target"], "] ", _said(rows, "source"), " → ", "")
    return _not(pc.and_(pc.equal(rows["prompt"], prompts), pc.equal(rows["answer"], _said(rows, "target"))))


def _not(condition: pa.BooleanArray) -> pa.BooleanArray:
    """Return where a condition is false or null."""
    return pc.invert(pc.fill_null(condition, False))


def _where(broken: Callable[..., bool], *columns: pa.Array) -> pa.BooleanArray:
    """Evaluate a rule on the texts of each row; rows without one of them keep it."""
    found = reduce(pc.and_, map(pc.is_valid, columns)).to_numpy(zero_copy_only=False).copy()
    # Texts that need no look in Python are missing: often all of them.
    present = pa.array(np.flatnonzero(found))
    cells = zip(*(column.take(present).to_pylist() for column in columns), strict=True)
    found[found] = [broken(*texts) for texts in cells]
    return pa.array(found)


def _is_foreign(language: str, text: str) -> bool:
    """Return whether a text is not in its language: no English sentence, or no line of its format."""
    if language == ENGLISH:
        return not rules.is_english(text)
    return language not in FORMATS or not rules.parses(text, Format(language))


@lru_cache(maxsize=1 << 12)
def _disagree(*texts: str) -> bool:
    """Return whether the texts of one value, in the order of `Format`, do not have the same value."""
    return not rules.same_value(dict(zip(FORMATS, texts, strict=True)))


def _unreadable(*texts: str) -> bool:
    """Return whether the HLXL cannot be parsed. Texts that agree were parsed already."""
    return _disagree(*texts) and not rules.parses(texts[0], Format.HLXL)


def _not_english(rows: pa.RecordBatch) -> pa.BooleanArray:
    # Plain words are English for certain, as are the sentences of entries that are right; others are read one by one.
    texts = rows["english"]
    certain = pc.match_substring_regex(texts, _PLAIN_WORDS)
    if "entry_is_right" in rows.schema.names:
        certain = pc.or_(certain, pc.and_(rows["entry_is_right"], pc.equal(texts, rows[f"entry_{ENGLISH}"])))
    doubtful = pc.if_else(_not(certain), texts, pa.scalar(None, pa.string()))
    return _where(lambda text: not rules.is_english(text), doubtful)


_PLAIN_WORDS = "^[A-Za-z][A-Za-z0-9,.;?!()-]* [A-Za-z0-9 ,.;?!()-]*$"
_IS_ENGLISH = Rule(rules.IS_ENGLISH, "the sentence is not English", ("english",), _not_english, in_python=True)
_IS_SHA256 = _matches("is_sha256", "the hash is no SHA-256", "value_sha256", "^[0-9a-f]{64}$")


def _entries(*, whole: bool) -> list[Rule]:
    """Return the rules on an entry: its place, its sentence, and its value in four formats.

    Args:
        whole: whether it needs both; otherwise one of sentence and value may be missing.
    """
    return [
        _not_empty("document"),
        Rule("line_is_positive", "the line is not positive", ("line",), lambda rows: _not(pc.greater(rows["line"], 0))),
        *_text("english", nullable=not whole),
        _IS_ENGLISH,
        *(rule for format in FORMATS for rule in _text(format, nullable=not whole)),
        *([] if whole else _of_values()),
        _each(rules.PARSES, "the text is no line of its format", _unreadable, *FORMATS, found=("HLXL",)),
        _each(rules.SAME_VALUE, "the four formats do not have the same value", _disagree, *FORMATS),
        _IS_SHA256 if whole else Rule(
            _IS_SHA256.name, _IS_SHA256.reason, _IS_SHA256.found,
            lambda rows: pc.and_(pc.is_valid(rows["value_sha256"]), _IS_SHA256.broken(rows)),
        ),
        _each(
            "value_sha256_is_that_of_the_value", "the hash is not that of the value",
            lambda hlxl, sha256: value_sha256(hlxl) != sha256, "HLXL", "value_sha256",
        ),
    ]  # fmt: skip


ROW_RULES = {
    EXAMPLES: [*_entries(whole=False), _one_of("split", *Split)],
    EVALUATION: [*_entries(whole=True), _one_of("split", EVALUATED)],
    "english_corpus": [
        *_text("english"),
        _IS_ENGLISH,
        _says(("english",), lambda rows: rows[f"entry_{ENGLISH}"]),
        *_derived("english_corpus"),
    ],
    "hlx_corpus": [
        _one_of("format", *FORMATS),
        *_text("text"),
        _IS_SHA256,
        _in_language("text_parses_in_its_format", "the text is no line of its format", "format", "text"),
        _says(("format", "text"), lambda rows: _said(rows, "format")),
        *_derived("hlx_corpus"),
    ],
    "paired_corpus": [
        _one_of("target", ENGLISH, *FORMATS),
        _one_of("source", ENGLISH, *FORMATS),
        *_text("prompt"),
        _matches("is_a_prompt", "the prompt has not the form `[HLXL] … → `", "prompt", _PROMPT),
        *_text("answer"),
        _in_language("answer_is_in_its_language", "the answer is not in its target's language", "target", "answer"),
        Rule(
            "pairs_within_one_entry", "prompt and answer are of two entries", ("prompt", "answer"), _mispaired,
            compares=True,
        ),
        *_derived("paired_corpus"),
    ],
}  # fmt: skip
"""The rules on the rows of each corpus."""
