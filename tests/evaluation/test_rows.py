"""Rows and texts as sequences: the same as lists of all of them, but made when they are read."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_model.evaluation import rows as module
from hlx_model.evaluation.measurements import pick, table_rows
from hlx_model.evaluation.rows import Cells, Rows
from hlx_model.evaluation.writing import HlxRow

LINES = st.lists(st.tuples(st.sampled_from(["HLXL", "LC-R"]), st.text("🜊é1", max_size=3)), max_size=20)


def table(lines: list[tuple[str, str]]) -> pa.Table:
    """Rows in two chunks, with a column that no row needs."""
    schema = pa.schema([("format", pa.string()), ("text", pa.string()), ("other", pa.int32())])
    halves = (lines[: len(lines) // 2], lines[len(lines) // 2 :])
    cells = [[{"format": form, "text": text, "other": 1} for form, text in half] for half in halves]
    return pa.concat_tables([pa.Table.from_pylist(half, schema) for half in cells])


@given(LINES, st.sampled_from(["HLXL", "LC-R", "nothing"]), st.integers(0, 5))
def test_rows_are_those_of_the_list(lines: list[tuple[str, str]], form: str, seed: int) -> None:
    rows, listed = Rows(table(lines), HlxRow), table_rows(table(lines), HlxRow)
    assert (list(rows), len(rows), list(rows[1:3])) == (listed, len(listed), listed[1:3])
    some, expected = rows.where(format=form), [row for row in listed if row.format == form]
    assert list(some) == expected and pick(some, 3, seed) == pick(expected, 3, seed)
    known = set(listed[:2])
    assert list(some.without(known, "text")) == [row for row in expected if row not in known]
    assert some.column("text").to_pylist() == [row.text for row in expected]


def test_many_rows_come_a_slice_at_once_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    lines = [("HLXL", str(number)) for number in range(7)]
    assert [row.text for row in Rows(table(lines), HlxRow)] == [*"0123456"]
    assert list(Cells(table(lines)["text"])) == [*"0123456"]


def test_texts_are_a_sequence() -> None:
    texts = Cells(pa.chunked_array([["a"], ["🜊", "c"]]))
    assert (len(texts), texts[1], texts[-1], list(texts[1:])) == (3, "🜊", "c", ["🜊", "c"])
    with pytest.raises(IndexError):
        texts[3]


def test_no_row_is_no_row() -> None:
    assert list(Rows(table([]), HlxRow).where(format=["HLXL"])) == []
    assert list(Cells(pa.chunked_array([], pa.string()))) == []
