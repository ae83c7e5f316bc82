"""The pandera schemas see what is wrong with a corpus, and say which row it is."""

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from hlx_assets.corpus.checks import validate
from hlx_assets.corpus.schemas import CORPUS_EXAMPLES, ENGLISH_CORPUS, HLX_CORPUS, PAIRED_CORPUS, SCHEMAS
from hlx_model.corpus import english_table, examples_table, hlx_table, paired_table, parse_document
from hlx_model.corpus.compose import compose
from tests.assets.conftest import Home, small_document

EXAMPLES = examples_table([parse_document(compose(300, 0), "composed.md")])
TABLES = {
    "corpus_examples": EXAMPLES,
    "english_corpus": english_table(EXAMPLES),
    "hlx_corpus": hlx_table(EXAMPLES),
    "paired_corpus": paired_table(EXAMPLES),
}


def frame(name: str) -> pl.DataFrame:
    found = pl.from_arrow(TABLES[name])
    assert isinstance(found, pl.DataFrame)
    return found


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_composed_corpus_keeps_every_rule(name: str) -> None:
    result = validate(frame(name), SCHEMAS[name])
    assert result.passed, result.description


def spoilt(rows: pl.DataFrame, column: str, value: str, row: int = 5) -> pl.DataFrame:
    return rows.with_columns(pl.Series(column, [value if i == row else v for i, v in enumerate(rows[column])]))


@pytest.mark.parametrize(
    ("name", "column", "value", "rule"),
    [
        ("corpus_examples", "HLXL", "{1000: {@0: ", "parses"),
        ("corpus_examples", "LC-B", "[0xff9c]", "four_formats_have_the_same_value"),
        ("corpus_examples", "english", "", "is_not_empty"),
        ("corpus_examples", "english", "naïve", "in_vocabulary"),
        ("corpus_examples", "value_sha256", "abc", "is_sha256"),
        ("corpus_examples", "split", "dev", "split_is_known"),
        ("hlx_corpus", "text", "🜊", "text_parses_in_its_format"),
        ("hlx_corpus", "format", "LC-X", "format_is_known"),
        ("paired_corpus", "prompt", "HLXL: x", "is_a_prompt"),
        ("paired_corpus", "target", "French", "target_is_known"),
    ],
)
def test_a_broken_cell_fails_its_rule_and_is_shown(name: str, column: str, value: str, rule: str) -> None:
    result = validate(spoilt(frame(name), column, value), SCHEMAS[name])
    assert not result.passed
    assert rule in (result.description or "")
    table = result.metadata["failing_rows"]
    assert isinstance(table, dg.TableMetadataValue)
    assert any(record.data["rule"] == rule for record in table.records)


@pytest.mark.parametrize(
    ("name", "column"), [("corpus_examples", "english"), ("english_corpus", "english"), ("paired_corpus", "prompt")]
)
def test_a_held_out_text_in_train_is_a_leak(name: str, column: str) -> None:
    rows = frame(name)
    held_out = rows.filter(pl.col("split") != "train")[column][0]
    row = rows["split"].to_list().index("train")
    result = validate(spoilt(rows, column, held_out, row), SCHEMAS[name])
    assert not result.passed
    assert f"{column}_not_in_train_and_held_out" in (result.description or "")


def test_a_sentence_twice_is_found() -> None:
    rows = frame("english_corpus")
    assert not validate(pl.concat([rows, rows.head(1)]), ENGLISH_CORPUS).passed


def test_every_corpus_has_its_schema() -> None:
    assert [s.name for s in (CORPUS_EXAMPLES, ENGLISH_CORPUS, HLX_CORPUS, PAIRED_CORPUS)] == list(SCHEMAS)


def test_a_quarantined_entry_warns_and_names_its_line(empty_home: Home) -> None:
    text = small_document() + "\nEnglish: Minus one\nHLXL: -1\nLC-R: -1\nLC-T: -1\nLC-B: [0xff]\n"
    (empty_home.path / "small.md").write_text(text, encoding="utf-8")
    run = empty_home.materialize("corpus_document", "corpus_examples")
    assert run.success, run.failures
    check = run.check("corpus_examples", "quarantine")
    assert not check.passed and check.severity == dg.AssetCheckSeverity.WARN
    line = text.splitlines().index("English: Minus one") + 1
    assert f"line {line}" in (check.description or "") and "255" in (check.description or "")


def test_too_much_quarantine_blocks_the_splits(empty_home: Home) -> None:
    text = small_document().replace("LC-B: [1000", "LC-B: [1001", 4)
    (empty_home.path / "small.md").write_text(text, encoding="utf-8")
    run = empty_home.materialize("corpus_document", "corpus_examples", "english_corpus")
    assert "english_corpus" not in run.materialized
    alone = empty_home.materialize("english_corpus")
    assert "the gate of corpus_examples is closed: quarantine" in alone.failures["english_corpus"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "missing.md"),
        (b"", "empty"),
        (b"# A title\n\nNo entry here.\n", "no"),
        (b"English: Caf\xe9\nHLXL: 1\n", "UTF-8"),
    ],
)
def test_a_bad_document_is_one_line_and_nothing_is_materialized(
    empty_home: Home, tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "missing.md"
    if content is not None:
        path = tmp_path / "bad.md"
        path.write_bytes(content)
    run = empty_home.materialize("corpus_document", corpus_document={"corpus": str(path)})
    assert run.materialized == []
    why = run.failures["corpus_document"]
    assert path.name in why and said in why and "\n" not in why
