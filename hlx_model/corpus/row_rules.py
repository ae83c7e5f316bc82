"""The rules that each row of a corpus keeps by itself, evaluated on slices of Arrow rows.

A rule says for each row of a slice whether it breaks it. What is the same for many rows (a sentence in eight pairs) is
evaluated once, and what follows from the examples is not evaluated again: a row that has the text of its entry is a
line of its format, since the entry was found to be right.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.corpus import rules
from hlx_model.corpus.prompts import ENGLISH, value_sha256
from hlx_model.corpus.split import Split
from hlx_model.corpus.tables import DERIVED, EXAMPLES_SCHEMA
from hlx_model.language import Format
from hlx_model.layout import EXAMPLES
from hlx_model.model.sizes import POSITIONS
from hlx_model.model.tokenizer import CHARACTERS

FORMATS = tuple(map(str, Format))
SCHEMAS = {EXAMPLES: EXAMPLES_SCHEMA, **{asset: derived.schema for asset, derived in DERIVED.items()}}
"""The columns of each corpus."""
EntryState = Literal["right", "unproven", "missing"]
"""What is known of the entries that a derived corpus was made from: they keep every rule, or not, or are not there."""

_UNKNOWN = "[^" + "".join(f"\\x{{{ord(character):x}}}" for character in CHARACTERS) + "]"
_PROMPT = rf"^\[(?:{'|'.join((ENGLISH, *FORMATS))})\] (?s:.+) → $"
_ENTRY_SPLIT = "entry_split"


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

    @property
    def key(self) -> str:
        """Return a name that no other rule of a corpus has."""
        return f"{self.name}({', '.join(self.found)})"


def broken_rows(rows: pa.RecordBatch, wanted: list[Rule]) -> Iterator[tuple[Rule, int]]:
    """Yield each rule with the index of each row that breaks it."""
    for rule in wanted:
        for index in pc.indices_nonzero(pc.fill_null(rule.broken(rows), False)).to_pylist():
            yield rule, index


def row_rules(asset: str, entries: EntryState = "missing") -> list[Rule]:
    """Return the rules on rows of a corpus.

    Args:
        asset: which corpus.
        entries: for a derived corpus. Its rows have what their entry says in the columns `entry_English`,
            `entry_HLXL` … and `entry_split`, unless the entries are missing.
    """
    if asset == EXAMPLES:
        return _examples_rules()
    return {"english_corpus": _english_rules, "hlx_corpus": _hlx_rules, "paired_corpus": _paired_rules}[asset](entries)


def _examples_rules() -> list[Rule]:
    return [
        *_text("document"),
        Rule("line_is_positive", "the line is not positive", ("line",), lambda rows: _below_one(rows["line"])),
        *_text("english", nullable=True),
        _each(rules.IS_ENGLISH, "the sentence is not English", "english", rules.is_english),
        *(rule for format in FORMATS for rule in _text(format)),
        Rule(rules.PARSES, "the text is no line of its format", ("HLXL",), _unreadable),
        Rule(rules.SAME_VALUE, "the four formats do not have the same value", FORMATS, _disagree),
        *_sha256(),
        Rule(
            "value_sha256_is_that_of_the_value", "the hash is not that of the value", ("HLXL", "value_sha256"),
            lambda rows: _where(rows, lambda hlxl, sha256: value_sha256(hlxl) != sha256, "HLXL", "value_sha256"),
        ),
        _split(),
    ]  # fmt: skip


def _english_rules(entries: EntryState) -> list[Rule]:
    says = _says("english", lambda rows: rows[f"entry_{ENGLISH}"], ("english",))
    return [
        *_text("english"),
        _each(rules.IS_ENGLISH, "the sentence is not English", "english", rules.is_english),
        _split(),
        *_of_entry(entries, says),
        _fits("english"),
    ]


def _hlx_rules(entries: EntryState) -> list[Rule]:
    says = _says("text", lambda rows: _said(rows, "format"), ("format", "text"))
    return [
        _one_of("format", FORMATS),
        *_text("text"),
        *_sha256(),
        _split(),
        Rule(
            "text_parses_in_its_format", "the text is no line of its format", ("format", "text"),
            _unless_proven(says, entries, lambda format, text: not _is_line(format, text), "format", "text"),
        ),
        *_of_entry(entries, says),
        _fits("text"),
    ]  # fmt: skip


def _paired_rules(entries: EntryState) -> list[Rule]:
    answers = _says("answer", lambda rows: _said(rows, "target"), ("target", "answer"))
    pairs = Rule("pairs_within_one_entry", "prompt and answer are not of one entry", ("prompt", "answer"), _mispaired)
    return [
        _one_of("target", (ENGLISH, *FORMATS)),
        _one_of("source", (ENGLISH, *FORMATS)),
        *_text("prompt"),
        Rule(
            "is_a_prompt", "the prompt has not the form `[HLXL] … → `", ("prompt",),
            lambda rows: pc.invert(pc.match_substring_regex(rows["prompt"], _PROMPT)),
        ),
        *_text("answer"),
        _split(),
        Rule(
            "answer_is_in_its_language", "the answer is not in the language of its target", ("target", "answer"),
            _unless_proven(answers, entries, lambda target, answer: not _is_in(target, answer), "target", "answer"),
        ),
        *_of_entry(entries, pairs),
        _fits("prompt", "answer"),
    ]  # fmt: skip


def _text(column: str, *, nullable: bool = False) -> list[Rule]:
    def empty(rows: pa.RecordBatch) -> pa.BooleanArray:
        return pc.or_kleene(pc.equal(rows[column], ""), pc.and_(pc.is_null(rows[column]), not nullable))

    return [
        Rule(rules.NOT_EMPTY, "the text is empty", (column,), empty),
        Rule(
            rules.IN_VOCABULARY, "a character is not in the vocabulary", (column,),
            lambda rows: pc.match_substring_regex(rows[column], _UNKNOWN),
        ),
    ]  # fmt: skip


def _one_of(column: str, values: tuple[str, ...]) -> Rule:
    known = pa.array(values)
    reason = f"the {column} is not one of {', '.join(values)}"
    return Rule(f"{column}_is_known", reason, (column,), lambda rows: pc.invert(pc.is_in(rows[column], known)))


def _split() -> Rule:
    return _one_of("split", tuple(map(str, Split)))


def _sha256() -> list[Rule]:
    def wrong(rows: pa.RecordBatch) -> pa.BooleanArray:
        return pc.invert(pc.fill_null(pc.match_substring_regex(rows["value_sha256"], "^[0-9a-f]{64}$"), False))

    return [Rule("is_sha256", "the hash is no SHA-256", ("value_sha256",), wrong)]


def _each(name: str, reason: str, column: str, predicate: Callable[[str], bool]) -> Rule:
    """Return a rule on the texts of one column; each different text is evaluated once."""

    def broken(rows: pa.RecordBatch) -> pa.BooleanArray:
        encoded = pc.dictionary_encode(rows[column])
        wrong = [not predicate(text) for text in encoded.dictionary.to_pylist()]
        return pc.take(pa.array(wrong, pa.bool_()), encoded.indices)

    return Rule(name, reason, (column,), broken)


def _fits(*columns: str) -> Rule:
    def broken(rows: pa.RecordBatch) -> pa.BooleanArray:
        tokens = 2  # <BOS> and <EOS>
        for column in columns:
            tokens = pc.add(pc.utf8_length(rows[column]), tokens)
        return pc.greater(tokens, POSITIONS)

    return Rule("fits_the_models_positions", f"longer than the model's {POSITIONS} positions", columns, broken)


def _of_entry(entries: EntryState, says: Rule) -> list[Rule]:
    def other_split(rows: pa.RecordBatch) -> pa.BooleanArray:
        return _differs(rows["split"], rows[_ENTRY_SPLIT])

    reason = "the split is not that of its entry"
    split = Rule("split_is_that_of_its_entry", reason, ("split", _ENTRY_SPLIT), other_split)
    return [] if entries == "missing" else [says, split]


def _says(column: str, said: Callable[[pa.RecordBatch], pa.Array], found: tuple[str, ...]) -> Rule:
    reason = "the row is not what its entry says"
    return Rule("says_what_its_entry_says", reason, found, lambda rows: _differs(rows[column], said(rows)))


def _said(rows: pa.RecordBatch, column: str) -> pa.Array:
    """Return what the entry of each row says in the language that `column` names."""
    said = pa.nulls(rows.num_rows, pa.string())
    for language in (ENGLISH, *FORMATS):
        named = pc.fill_null(pc.equal(rows[column], language), False)
        said = pc.if_else(named, rows[f"entry_{language}"], said)
    return said


def _mispaired(rows: pa.RecordBatch) -> pa.BooleanArray:
    prompts = pc.binary_join_element_wise("[", rows["target"], "] ", _said(rows, "source"), " → ", "")
    return pc.or_(_differs(rows["prompt"], prompts), _differs(rows["answer"], _said(rows, "target")))


def _differs(texts: pa.Array, expected: pa.Array) -> pa.BooleanArray:
    """Return where two columns differ; a missing text differs from every other."""
    return pc.invert(pc.fill_null(pc.equal(texts, expected), False))


def _below_one(lines: pa.Array) -> pa.BooleanArray:
    return pc.fill_null(pc.less(lines, 1), True)


def _where(rows: pa.RecordBatch, broken: Callable[..., bool], *columns: str) -> pa.BooleanArray:
    """Evaluate a rule on several texts of each row; rows without one of them keep it."""
    cells = zip(*(rows[column].to_pylist() for column in columns), strict=True)
    return pa.array([None not in texts and broken(*texts) for texts in cells], pa.bool_())


def _unless_proven(
    says: Rule, entries: EntryState, broken: Callable[[str, str], bool], language: str, text: str
) -> Callable[[pa.RecordBatch], pa.BooleanArray]:
    """Return a rule on texts in a language that is only evaluated on rows that differ from their entry."""

    def evaluate(rows: pa.RecordBatch) -> pa.BooleanArray:
        if entries != "right":
            return _where(rows, broken, language, text)
        doubtful = pc.indices_nonzero(says.broken(rows))
        wrong = pc.filter(doubtful, _where(rows.take(doubtful), broken, language, text))
        return pc.is_in(pa.array(range(rows.num_rows), wrong.type), wrong)

    return evaluate


def _is_in(target: str, answer: str) -> bool:
    return rules.is_english(answer) if target == ENGLISH else _is_line(target, answer)


def _is_line(format: str, text: str) -> bool:
    return format in FORMATS and rules.parses(text, Format(format))


def _disagree(rows: pa.RecordBatch) -> pa.BooleanArray:
    return _where(rows, lambda *texts: not _agree(texts), *FORMATS)


def _unreadable(rows: pa.RecordBatch) -> pa.BooleanArray:
    """Return which HLXL cannot be parsed; four formats of the same value can."""
    return _where(rows, lambda *texts: not _agree(texts) and not _is_line("HLXL", texts[0]), *FORMATS)


@lru_cache(maxsize=1 << 16)
def _agree(texts: tuple[str, ...]) -> bool:
    """Return whether the texts of one value, in the order of `Format`, have the same value."""
    return rules.same_value(dict(zip(FORMATS, texts, strict=True)))
