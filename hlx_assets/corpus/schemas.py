"""The pandera schemas of the four corpora; their rules are the predicates of `hlx_model.corpus.rules`.

Every rule is about one row, so that a corpus of a million entries is validated slice by slice. What a
rule must know of the whole corpus (which sentences come twice, what is held out, what an entry says) are
the `Facts`, gathered first from the few columns that tell them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandera.polars as pa
import polars as pl

from hlx_model.corpus import ENGLISH, in_vocabulary, is_english, parses, rules, same_value, value_sha256, within
from hlx_model.corpus.split import Split
from hlx_model.language import Format
from hlx_model.model.sizes import POSITIONS

FORMATS = [str(format) for format in Format]
ENTRY = ("document", "line")
"""The columns by which a row names its entry."""


@dataclass(frozen=True)
class Rule:
    """A rule in words, and the columns that show what breaks it."""

    reason: str
    found: tuple[str, ...]


@dataclass(frozen=True)
class Corpus:
    """What one schema needs from the whole of its corpus."""

    once: str
    """What no two rows share, as a rule's name."""
    key: tuple[str, ...]
    """The columns that say it."""
    held_out: tuple[str, ...]
    """Columns whose texts are in train or held out, never in both."""


@dataclass(frozen=True)
class Facts:
    """What the rules on a row must know of the whole corpus."""

    repeated: pl.Series
    """Keys that several rows have."""
    held_out: Mapping[str, pl.Series]
    """By column, the texts that are held out."""
    overlapping: pl.DataFrame
    """Document and line of the entries whose lines another entry has too; of the examples only."""


CORPORA = {
    "corpus_examples": Corpus(rules.SENTENCE_ONCE, key=("english",), held_out=("value_sha256", "english")),
    "english_corpus": Corpus(rules.SENTENCE_ONCE, key=("english",), held_out=("english",)),
    "hlx_corpus": Corpus("line_once", key=("format", "text"), held_out=("value_sha256", "text")),
    "paired_corpus": Corpus("pair_once", key=("document", "line", "target", "source"), held_out=("prompt",)),
}
SPANS = ["document", "line", "first_line", "last_line"]


def facts_of(name: str, slices: Callable[[], Iterable[pl.DataFrame]]) -> Facts:
    """The facts of a corpus, gathered slice by slice: of a million entries the rows would not fit in memory."""
    corpus = CORPORA[name]
    hashes: list[pl.Series] = []
    held_out: dict[str, list[pl.Series]] = {column: [] for column in corpus.held_out}
    spans: list[pl.DataFrame] = []
    for rows in slices():
        hashes.append(_keys(rows, corpus).hash())
        apart = rows.filter(pl.col("split") != str(Split.TRAIN))
        for column, texts in held_out.items():
            texts.append(apart[column].drop_nulls().unique())
        if name == "corpus_examples":
            spans.append(rows.select(SPANS))
    # Equal hashes are nearly always equal keys; which they are is looked up where there are some.
    alike = _joined(hashes, pl.UInt64)
    alike = alike.filter(alike.is_duplicated()).unique()
    suspects = [keys.filter(keys.hash().is_in(alike.implode())) for keys in _all_keys(slices, corpus, alike)]
    repeated = _joined(suspects, pl.String)
    return Facts(
        repeated.filter(repeated.is_duplicated()).unique(),
        {column: _joined(texts, pl.String).unique() for column, texts in held_out.items()},
        _overlapping(pl.concat(spans)) if spans else pl.DataFrame(schema=dict.fromkeys(ENTRY, pl.String)),
    )


def _joined(series: list[pl.Series], dtype: type[pl.DataType]) -> pl.Series:
    return pl.concat(series) if series else pl.Series(dtype=dtype)


def _keys(rows: pl.DataFrame, corpus: Corpus) -> pl.Series:
    return rows.select(_key(corpus)).to_series().drop_nulls()


def _all_keys(slices: Callable[[], Iterable[pl.DataFrame]], corpus: Corpus, alike: pl.Series) -> Iterator[pl.Series]:
    if len(alike):
        yield from (_keys(rows, corpus) for rows in slices())


def _overlapping(spans: pl.DataFrame) -> pl.DataFrame:
    """Document and line of the entries whose lines another entry has too, or that lie outside their own."""
    ends = pl.col("last_line").cum_max().shift(1).over("document")
    begins = pl.col("first_line").shift(-1).over("document")
    wrong = (pl.col("first_line") <= ends) | (begins <= pl.col("last_line"))
    outside = ~pl.col("line").is_between("first_line", "last_line")
    return spans.sort("document", "first_line").filter(wrong.fill_null(False) | outside).select(ENTRY)


def schema_of(name: str, facts: Facts) -> pa.DataFrameSchema:
    """The schema of a corpus, for slices of its rows.

    Slices of a derived corpus carry what their entry says, joined from the examples: the columns
    `entry_English`, `entry_HLXL` … and `entry_split`.
    """
    columns, checks = _COLUMNS[name], _CHECKS[name]
    return pa.DataFrameSchema(
        dict(columns),
        checks=[
            *checks,
            _expression(CORPORA[name].once, ~_key(CORPORA[name]).is_in(facts.repeated.implode())),
            *(_no_leak(column, texts) for column, texts in facts.held_out.items()),
            *([_no_overlap(facts.overlapping)] if name == "corpus_examples" else []),
        ],
        name=name,
    )


def rule_of(check: str, column: str | None) -> Rule:
    """What the failed check `check` says, and where to look."""
    if check in _RULES:
        rule = _RULES[check]
        return rule if rule.found else Rule(rule.reason, (column,) if column else ())
    return Rule(check.replace("_", " "), (column,) if column else ())


def _key(corpus: Corpus) -> pl.Expr:
    return pl.concat_str(corpus.key, separator="\0") if len(corpus.key) > 1 else pl.col(corpus.key[0])


def _each(predicate: Callable[[str], bool], name: str) -> pa.Check:
    return pa.Check(predicate, element_wise=True, name=name)


def _text(*checks: pa.Check, nullable: bool = False) -> pa.Column:
    return pa.Column(
        pl.String,
        [
            pa.Check.str_length(min_value=1, error=rules.NOT_EMPTY),
            _each(in_vocabulary, rules.IN_VOCABULARY),
            *checks,
        ],
        nullable=nullable,
    )


def _one_of(name: str, *values: str) -> pa.Column:
    return pa.Column(pl.String, pa.Check.isin(values, error=name))


def _rows(name: str, predicate: Callable[[dict[str, Any]], bool], *columns: str) -> pa.Check:
    """A rule on several columns of a row at once."""
    return _expression(name, pl.struct(columns).map_elements(predicate, return_dtype=pl.Boolean))


def _expression(name: str, holds: pl.Expr) -> pa.Check:
    def check(data: pa.PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(holds.fill_null(True))

    return pa.Check(check, name=name)


def _no_leak(column: str, held_out: pl.Series) -> pa.Check:
    """No text of `column` stands both in train and in a held-out split."""
    in_train = pl.col("split") == str(Split.TRAIN)
    return _expression(f"{column}_not_in_train_and_held_out", ~(in_train & pl.col(column).is_in(held_out.implode())))


def _no_overlap(overlapping: pl.DataFrame) -> pa.Check:
    places = overlapping.to_struct("place").implode()
    return _expression("lines_of_one_entry_only", ~pl.struct(ENTRY).is_in(places))


def _said_by_entry(column: str) -> pl.Expr:
    """What the row's entry says in the language that `column` names."""
    said = pl.lit(None, pl.String)
    for language in (ENGLISH, *FORMATS):
        said = pl.when(pl.col(column) == language).then(pl.col(f"entry_{language}")).otherwise(said)
    return said


def _answer_is_what_it_says(row: dict[str, str]) -> bool:
    if row["target"] == ENGLISH:
        return is_english(row["answer"])
    return row["target"] in FORMATS and parses(row["answer"], Format(row["target"]))


def _text_parses(row: dict[str, str]) -> bool:
    return row["format"] in FORMATS and parses(row["text"], Format(row["format"]))


_SPLIT = {"split": _one_of("split_is_known", *map(str, Split))}
_SPLIT_OF_ENTRY = _expression("split_is_that_of_its_entry", (pl.col("split") == pl.col("entry_split")).fill_null(False))
_SHA256 = pa.Column(pl.String, pa.Check.str_matches(r"^[0-9a-f]{64}$", error="is_sha256"))
_FITS = "fits_the_models_positions"

_COLUMNS: Mapping[str, Mapping[str, pa.Column]] = {
    "corpus_examples": {
        "document": _text(),
        "line": pa.Column(pl.Int32, pa.Check.ge(1, error="line_is_positive")),
        "english": _text(_each(is_english, rules.IS_ENGLISH), nullable=True),
        # That the others can be read follows from their having the same value.
        "HLXL": _text(_each(partial(parses, format=Format.HLXL), rules.PARSES)),
        **{format: _text() for format in FORMATS[1:]},
        "value_sha256": _SHA256,
        **_SPLIT,
    },
    "english_corpus": {"english": _text(_each(is_english, rules.IS_ENGLISH)), **_SPLIT},
    "hlx_corpus": {
        "format": _one_of("format_is_known", *FORMATS),
        "text": _text(),
        "value_sha256": _SHA256,
        **_SPLIT,
    },
    "paired_corpus": {
        "target": _one_of("target_is_known", ENGLISH, *FORMATS),
        "source": _one_of("source_is_known", ENGLISH, *FORMATS),
        "prompt": _text(
            pa.Check.str_matches(rf"^\[({'|'.join([ENGLISH, *FORMATS])})\] (?s:.+) → $", error="is_a_prompt")
        ),
        "answer": _text(),
        **_SPLIT,
    },
}

_CHECKS: Mapping[str, list[pa.Check]] = {
    "corpus_examples": [
        _rows(rules.SAME_VALUE, same_value, *FORMATS),
        _rows(
            "value_sha256_is_that_of_the_value",
            lambda r: value_sha256(r["HLXL"]) == r["value_sha256"],
            "HLXL",
            "value_sha256",
        ),
    ],
    "english_corpus": [
        _expression("says_what_its_entry_says", (pl.col("english") == pl.col("entry_English")).fill_null(False)),
        _SPLIT_OF_ENTRY,
        _rows(_FITS, lambda row: within(row["english"], POSITIONS), "english"),
    ],
    "hlx_corpus": [
        _rows("text_parses_in_its_format", _text_parses, "format", "text"),
        _expression("says_what_its_entry_says", (pl.col("text") == _said_by_entry("format")).fill_null(False)),
        _SPLIT_OF_ENTRY,
        _rows(_FITS, lambda row: within(row["text"], POSITIONS), "text"),
    ],
    "paired_corpus": [
        _rows("answer_is_in_its_language", _answer_is_what_it_says, "target", "answer"),
        _expression(
            "pairs_within_one_entry",
            (
                (pl.col("prompt") == pl.format("[{}] {} → ", "target", _said_by_entry("source")))
                & (pl.col("answer") == _said_by_entry("target"))
            ).fill_null(False),
        ),
        _SPLIT_OF_ENTRY,
        _rows(_FITS, lambda row: within(row["prompt"] + row["answer"], POSITIONS), "prompt", "answer"),
    ],
}

_RULES = {
    rules.NOT_EMPTY: Rule("the text is empty", ()),
    rules.IN_VOCABULARY: Rule("a character is not in the vocabulary", ()),
    rules.IS_ENGLISH: Rule("the sentence is not English", ()),
    rules.PARSES: Rule("the text is no line of its format", ()),
    rules.SAME_VALUE: Rule("the four formats do not have the same value", tuple(FORMATS)),
    "value_sha256_is_that_of_the_value": Rule("the hash is not that of the value", ("HLXL", "value_sha256")),
    "lines_of_one_entry_only": Rule("its lines are also another entry's", ("first_line", "last_line")),
    rules.SENTENCE_ONCE: Rule("the sentence stands twice", ("english",)),
    "line_once": Rule("the line stands twice", ("format", "text")),
    "pair_once": Rule("the pair stands twice", ("prompt", "answer")),
    "value_sha256_not_in_train_and_held_out": Rule("a held-out value is in train", ("value_sha256",)),
    "english_not_in_train_and_held_out": Rule("a held-out sentence is in train", ("english",)),
    "text_not_in_train_and_held_out": Rule("a held-out line is in train", ("text",)),
    "prompt_not_in_train_and_held_out": Rule("a held-out prompt is in train", ("prompt",)),
    "says_what_its_entry_says": Rule("the row is not what its entry says", ("english", "text")),
    "pairs_within_one_entry": Rule("prompt and answer are not of one entry", ("prompt", "answer")),
    "split_is_that_of_its_entry": Rule("the split is not that of its entry", ("split", "entry_split")),
    "text_parses_in_its_format": Rule("the text is no line of its format", ("format", "text")),
    "answer_is_in_its_language": Rule("the answer is not in the language that is asked for", ("target", "answer")),
    "is_a_prompt": Rule("the prompt has not the form `[HLXL] … → `", ()),
    _FITS: Rule(f"longer than the model's {POSITIONS} positions", ("english", "text", "prompt", "answer")),
}
