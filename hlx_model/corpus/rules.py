"""The rules that corpora keep, as predicates: the pandera schemas and `hlx corpus check` share them."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.corpus.split import Split
from hlx_model.language import Format, HLXSyntaxError, parse, same
from hlx_model.tokenizer import unknown_characters


def in_vocabulary(text: str) -> bool:
    """Every character of `text` is one of the 113 that the tokenizer knows."""
    return not unknown_characters(text)


def parses(text: str, format: Format) -> bool:
    """`text` is a line of `format`."""
    try:
        parse(text, format)
    except HLXSyntaxError:
        return False
    return True


def same_value(row: Mapping[str, str]) -> bool:
    """The four columns of `row` that are named after the formats parse, and to strictly the same value."""
    try:
        first, *others = (parse(row[format], format) for format in Format)
    except HLXSyntaxError:
        return False
    return all(same(first, other) for other in others)


def within(text: str, seq_length: int) -> bool:
    """`text` with `<BOS>` and `<EOS>` has at most `seq_length` tokens, one a character."""
    return len(text) + 2 <= seq_length


def held_out_leaks(table: pa.Table, column: str) -> list[str]:
    """The texts of `column` that are both in train and held out, sorted; a sound corpus has none."""
    in_train = pc.equal(table["split"], Split.TRAIN.value)
    learned = table.filter(in_train)[column].unique()
    held_out = table.filter(pc.invert(in_train))[column].unique()
    return sorted(held_out.filter(pc.is_in(held_out, value_set=learned)).to_pylist())
