"""The pandera schemas of the four corpora; their rules are the predicates of `hlx_model.corpus.rules`."""

from collections.abc import Callable
from functools import partial

import pandera.polars as pa
import polars as pl

from hlx_model.corpus import ENGLISH, in_vocabulary, parses, same_value
from hlx_model.corpus.split import Split
from hlx_model.language import Format

_SPLITS = pa.Check.isin([str(split) for split in Split], error="split_is_known")


def _each(predicate: Callable[[str], bool], name: str) -> pa.Check:
    return pa.Check(predicate, element_wise=True, name=name)


def _text(*checks: pa.Check, unique: bool = False) -> pa.Column:
    return pa.Column(
        pl.String,
        [
            pa.Check.str_length(min_value=1, error="is_not_empty"),
            _each(in_vocabulary, "in_vocabulary"),
            *checks,
        ],
        unique=unique,
    )


def _rows(name: str, predicate: Callable[[dict[str, str]], bool], *columns: str) -> pa.Check:
    """A rule on several columns of a row at once."""

    def check(data: pa.PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(pl.struct(columns).map_elements(predicate, return_dtype=pl.Boolean))

    return pa.Check(check, name=name)


def _no_leak(column: str) -> pa.Check:
    """No text of `column` stands both in train and in a held-out split."""

    def check(data: pa.PolarsData) -> pl.LazyFrame:
        in_train = pl.col("split") == str(Split.TRAIN)
        return data.lazyframe.select(~((in_train.any() & (~in_train).any()).over(column)))

    return pa.Check(check, name=f"{column}_not_in_train_and_held_out")


def _answer_is_what_it_says(row: dict[str, str]) -> bool:
    return row["target"] == ENGLISH or parses(row["answer"], Format(row["target"]))


CORPUS_EXAMPLES = pa.DataFrameSchema(
    {
        "document": pa.Column(pl.String),
        "line": pa.Column(pl.Int32, pa.Check.ge(1, error="line_is_positive")),
        "english": _text(unique=True),
        **{str(format): _text(_each(partial(parses, format=format), "parses")) for format in Format},
        "value_sha256": pa.Column(pl.String, pa.Check.str_matches(r"^[0-9a-f]{64}$", error="is_sha256")),
        "split": pa.Column(pl.String, _SPLITS),
    },
    checks=[
        _rows("four_formats_have_the_same_value", same_value, *(str(format) for format in Format)),
        _no_leak("value_sha256"),
        _no_leak("english"),
    ],
    name="corpus_examples",
)

ENGLISH_CORPUS = pa.DataFrameSchema(
    {"english": _text(unique=True), "split": pa.Column(pl.String, _SPLITS)},
    checks=[_no_leak("english")],
    name="english_corpus",
)

HLX_CORPUS = pa.DataFrameSchema(
    {
        "format": pa.Column(pl.String, pa.Check.isin([str(format) for format in Format], error="format_is_known")),
        "text": _text(),
        "split": pa.Column(pl.String, _SPLITS),
    },
    checks=[
        _rows(
            "text_parses_in_its_format",
            lambda row: parses(row["text"], Format(row["format"])),
            "format",
            "text",
        ),
        _no_leak("value_sha256"),
    ],
    unique=["format", "text"],
    name="hlx_corpus",
)

PAIRED_CORPUS = pa.DataFrameSchema(
    {
        "target": pa.Column(pl.String, pa.Check.isin([ENGLISH, *map(str, Format)], error="target_is_known")),
        "source": pa.Column(pl.String, pa.Check.isin([ENGLISH, *map(str, Format)], error="source_is_known")),
        "prompt": _text(pa.Check.str_matches(r"^\[(English|HLXL|LC-[RTB])\] .+ → $", error="is_a_prompt")),
        "answer": _text(),
        "split": pa.Column(pl.String, _SPLITS),
    },
    checks=[
        _rows("answer_parses_in_its_format", _answer_is_what_it_says, "target", "answer"),
        _no_leak("prompt"),
    ],
    name="paired_corpus",
)

SCHEMAS = {schema.name: schema for schema in (CORPUS_EXAMPLES, ENGLISH_CORPUS, HLX_CORPUS, PAIRED_CORPUS)}
