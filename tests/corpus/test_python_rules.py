"""Rules that look at texts in Python find the same in several processes as in one."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from hlx_assets.corpus.schemas import pandera_rows
from hlx_model.corpus import compose_lines, examples_table, gates, parse_document, python_rules
from hlx_model.corpus.row_rules import SCHEMAS, broken_rows
from hlx_model.layout import EXAMPLES
from hlx_model.parallel import Processes


@pytest.fixture(scope="module")
def damaged() -> pa.Table:
    """Return examples of which some break a rule in Python."""
    rows = examples_table(parse_document("".join(compose_lines(3000, seed=0)), "corpus.md")).to_pylist()
    for number in range(0, len(rows), 500):
        rows[number]["HLXL"] = "{1000"
        rows[number + 1]["LC-B"] = "[0x07]"
        rows[number + 2]["english"] = "null"
        rows[number + 3]["value_sha256"] = "0" * 64
        rows[number + 4] |= dict.fromkeys(["HLXL", "LC-R", "LC-T", "LC-B", "value_sha256"])
    return pa.Table.from_pylist(rows, SCHEMAS[EXAMPLES])


@pytest.mark.parametrize("check_rows", [broken_rows, partial(pandera_rows, EXAMPLES)])
def test_one_process_and_three_find_the_same(
    check_rows: gates.CheckRows, damaged: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python_rules, "_ROWS", 100)
    found = []
    for number in (1, 3):
        monkeypatch.setattr(gates, "Processes", partial(Processes, number, few=0))
        found.append(gates.check_schema(EXAMPLES, lambda: damaged.to_batches(max_chunksize=1300), None, check_rows))
    assert replace(found[0], coverage=found[1].coverage) == found[1]
    assert found[0].coverage.counts() == found[1].coverage.counts()
    assert found[1].rows == damaged.num_rows
    broken = found[1].broken
    assert broken["parses"] == broken["is_english"] == damaged.num_rows // 500
    assert broken["four_formats_have_the_same_value"] == 2 * broken["parses"]
    assert len(found[1].failing) == gates.SHOWN


def test_rows_of_a_wrong_type_end_the_evaluation(damaged: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "Processes", partial(Processes, 3, few=0))
    wrong = damaged.set_column(1, "line", damaged["line"].cast(pa.int64()))
    found = gates.check_schema(EXAMPLES, lambda: [*damaged.to_batches(), *wrong.to_batches(), *damaged.to_batches()])
    assert found.broken["columns_are_of_their_types"] == 1
    assert found.rows == 2 * damaged.num_rows


def test_no_rows_break_no_rule(damaged: pa.Table, tmp_path: Path) -> None:
    assert not gates.check_schema(EXAMPLES, lambda: damaged.slice(0, 0).to_batches()).broken
    empty = pa.RecordBatch.from_pylist([], damaged.schema)
    assert not gates.check_schema(EXAMPLES, lambda: [empty, *damaged.slice(5, 100).to_batches(), empty]).broken
