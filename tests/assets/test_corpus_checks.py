"""The pandera schemas see what is wrong with a corpus, and say which row it is."""

from collections import Counter
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from hlx_assets.corpus.checks import (
    quarantine,
    said_by_entries,
    validate,
    validate_kept,
    with_entries,
)
from hlx_assets.corpus.schemas import facts_of
from hlx_assets.io_manager import latest_path
from hlx_model.composer.sampling import compose
from hlx_model.corpus import (
    DERIVED,
    CorpusError,
    collect,
    examples_table,
    parse_document,
    store,
)
from hlx_model.layout import Artifacts
from tests.assets.conftest import Home, small_document

DEFECTS = Path(__file__).parents[1] / "corpus" / "defects"
EXAMPLES = examples_table(collect([parse_document(compose(300, 0), "composed.md")]))
TABLES = {"corpus_examples": EXAMPLES, **{name: derived.table(EXAMPLES) for name, derived in DERIVED.items()}}


def frame(name: str) -> pl.DataFrame:
    found = pl.from_arrow(TABLES[name])
    assert isinstance(found, pl.DataFrame)
    return found


def judged(name: str, rows: pl.DataFrame, slices: int = 1) -> dg.AssetCheckResult:
    """The schema check on `rows` as they are validated when they are kept: by facts, then slice by slice."""
    height = -(-rows.height // slices)
    facts = facts_of(name, lambda: rows.iter_slices(height))
    said = said_by_entries([frame("corpus_examples")]) if name != "corpus_examples" else None
    return validate(name, (with_entries(part, said) for part in rows.iter_slices(height)), facts)


def failing(result: dg.AssetCheckResult) -> list[dict[str, str]]:
    table = result.metadata["failing_rows"]
    assert isinstance(table, dg.TableMetadataValue)
    return [{name: str(cell) for name, cell in record.data.items()} for record in table.records]


@pytest.mark.parametrize("name", sorted(TABLES))
@pytest.mark.parametrize("slices", [1, 7])
def test_a_composed_corpus_keeps_every_rule(name: str, slices: int) -> None:
    result = judged(name, frame(name), slices)
    assert result.passed, result.description


def spoilt(rows: pl.DataFrame, column: str, value: object, row: int) -> pl.DataFrame:
    cells = [value if i == row else v for i, v in enumerate(rows[column])]
    return rows.with_columns(pl.Series(column, cells, dtype=rows.schema[column]))


@pytest.mark.parametrize(
    ("name", "column", "value", "rule"),
    [
        ("corpus_examples", "HLXL", "{1000: {@0: ", "parses"),
        ("corpus_examples", "LC-B", "[0xff9c]", "four_formats_have_the_same_value"),
        ("corpus_examples", "english", "", "is_not_empty"),
        ("corpus_examples", "english", "naïve", "in_vocabulary"),
        ("corpus_examples", "english", "{}", "is_english"),
        ("corpus_examples", "value_sha256", "abc", "is_sha256"),
        ("corpus_examples", "value_sha256", "0" * 64, "value_sha256_is_that_of_the_value"),
        ("corpus_examples", "split", "dev", "split_is_known"),
        ("corpus_examples", "line", 0, "line_is_positive"),
        ("corpus_examples", "last_line", 10_000, "lines_of_one_entry_only"),
        ("english_corpus", "english", "Find 🜊14🜂", "is_english"),
        ("english_corpus", "english", "Another sentence", "says_what_its_entry_says"),
        ("english_corpus", "english", "x" * 511, "fits_the_models_positions"),
        ("english_corpus", "split", "validation", "split_is_that_of_its_entry"),
        ("hlx_corpus", "text", "🜊", "text_parses_in_its_format"),
        ("hlx_corpus", "text", "Search for files", "text_parses_in_its_format"),
        ("hlx_corpus", "text", "é", "in_vocabulary"),
        ("hlx_corpus", "text", '"' + "x" * 509 + '"', "fits_the_models_positions"),
        ("hlx_corpus", "format", "LC-X", "format_is_known"),
        ("hlx_corpus", "line", 99_999, "says_what_its_entry_says"),
        ("paired_corpus", "prompt", "HLXL: x", "is_a_prompt"),
        ("paired_corpus", "target", "French", "target_is_known"),
        ("paired_corpus", "source", "French", "source_is_known"),
        ("paired_corpus", "answer", "naïve", "in_vocabulary"),
        ("paired_corpus", "answer", "", "is_not_empty"),
        ("paired_corpus", "answer", "(", "answer_is_in_its_language"),
        ("paired_corpus", "answer", '"' + "x" * 500 + '"', "fits_the_models_positions"),
    ],
)
def test_a_broken_cell_fails_its_rule_and_its_row_is_shown(name: str, column: str, value: object, rule: str) -> None:
    rows = frame(name)
    broken = next(i for i, split in enumerate(rows["split"]) if split == "train" and i >= 40)
    result = judged(name, spoilt(rows, column, value, broken), slices=3)
    assert not result.passed
    shown = next(row for row in failing(result) if row["rule"] == rule)
    assert shown["document"] == "composed.md"
    assert shown["line"] == str(value if column == "line" else rows["line"][broken])
    assert shown["reason"] and "\n" not in shown["reason"]
    assert rule in (result.description or "")


def test_an_answer_of_another_entry_is_found_and_its_row_is_named() -> None:
    """The loader of the broken night gave 67% of the sentences another entry's answer: each was good HLX."""
    rows = frame("paired_corpus")
    to_hlxl = rows.with_row_index().filter((pl.col("target") == "HLXL") & (pl.col("source") == "English"))
    mine, other = to_hlxl.row(20, named=True), to_hlxl.row(25, named=True)
    assert mine["answer"] != other["answer"]
    result = judged("paired_corpus", spoilt(rows, "answer", other["answer"], mine["index"]))
    (row,) = failing(result)
    assert row["rule"] == "pairs_within_one_entry" and row["line"] == str(mine["line"])
    assert row["English"] in mine["prompt"] and other["answer"] in row["found"]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("corpus_examples", "english"),
        ("corpus_examples", "value_sha256"),
        ("english_corpus", "english"),
        ("hlx_corpus", "text"),
        ("hlx_corpus", "value_sha256"),
        ("paired_corpus", "prompt"),
    ],
)
def test_a_held_out_text_in_train_is_a_leak(name: str, column: str) -> None:
    rows = frame(name)
    held_out = rows.filter(pl.col("split") != "train")[column][0]
    row = rows["split"].to_list().index("train")
    result = judged(name, spoilt(rows, column, held_out, row), slices=5)
    assert not result.passed
    leaks = [shown for shown in failing(result) if shown["rule"] == f"{column}_not_in_train_and_held_out"]
    assert [shown["line"] for shown in leaks] == [str(rows["line"][row])]
    assert held_out[:100] in leaks[0]["found"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("corpus_examples", "sentence_once"),
        ("english_corpus", "sentence_once"),
        ("hlx_corpus", "line_once"),
        ("paired_corpus", "pair_once"),
    ],
)
def test_a_row_twice_is_found_also_across_slices(name: str, rule: str) -> None:
    rows = frame(name)
    result = judged(name, pl.concat([rows, rows.head(1)]), slices=4)
    assert not result.passed
    assert [row["line"] for row in failing(result) if row["rule"] == rule] == 2 * [str(rows["line"][0])]


def test_a_kept_corpus_is_validated_and_a_changed_one_refused(tmp_path: Path) -> None:
    document = tmp_path / "small.md"
    document.write_text(small_document(), encoding="utf-8")
    kept, _ = store.build([document], Artifacts.at(tmp_path), seq_length=256)
    for name, directory in kept.items():
        assert validate_kept(name, directory).passed
    for name, directory in kept.items():
        rows = directory / "rows.parquet"
        spoilt(pl.read_parquet(rows), "split", "test", 0).write_parquet(rows)
        with pytest.raises(CorpusError, match="its rows are not those of version"):
            validate_kept(name, directory)


def test_a_quarantined_entry_warns_and_names_its_line(empty_home: Home) -> None:
    text = small_document() + "\nEnglish: Minus one\nHLXL: -1\nLC-R: -1\nLC-T: -1\nLC-B: [0xff]\n"
    (empty_home.path / "small.md").write_text(text, encoding="utf-8")
    run = empty_home.materialize("corpus_document", "corpus_examples")
    assert run.success, run.failures
    check = run.check("corpus_examples", "quarantine")
    assert not check.passed and check.severity == dg.AssetCheckSeverity.WARN
    line = text.splitlines().index("English: Minus one") + 1
    assert f"line {line}" in (check.description or "") and "255" in (check.description or "")


@pytest.mark.parametrize("document", sorted(DEFECTS.iterdir()), ids=lambda path: path.stem)
def test_a_document_that_breaks_one_rule_is_named_by_the_check_with_its_row(document: Path, tmp_path: Path) -> None:
    kept, corpus = store.build([document], Artifacts.at(tmp_path), seq_length=256)
    result = quarantine(kept["corpus_examples"])
    assert isinstance(result, dg.AssetCheckResult)
    assert not result.passed and result.severity == dg.AssetCheckSeverity.ERROR
    (row,), (defect,) = failing(result), corpus.quarantined
    assert (row["rule"], row["document"], row["line"]) == (document.stem, str(document), str(defect.line))
    assert row["English"] == (defect.english or "")[:200] and row["reason"] == defect.reason
    assert row["found"] == defect.found[:200]
    assert all(validate_kept(name, directory).passed for name, directory in kept.items())


def test_too_much_quarantine_blocks_the_splits(empty_home: Home) -> None:
    text = small_document().replace("LC-B: [1000", "LC-B: [1001", 4)
    (empty_home.path / "small.md").write_text(text, encoding="utf-8")
    run = empty_home.materialize("corpus_document", "corpus_examples", "english_corpus")
    assert "english_corpus" not in run.materialized
    table = run.check("corpus_examples", "quarantine").metadata["failing_rows"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [row.data["line"] for row in table.records] == ["3", "9", "15", "21"]
    assert {row.data["rule"] for row in table.records} == {"four_formats_have_the_same_value"}
    alone = empty_home.materialize("english_corpus")
    assert "the gate of corpus_examples is closed: quarantine" in alone.failures["english_corpus"]


def test_how_much_may_be_in_quarantine_is_set_in_the_environment_and_by_no_run(
    empty_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = small_document().replace("LC-B: [1000", "LC-B: [1001", 4)
    (empty_home.path / "small.md").write_text(text, encoding="utf-8")
    assets = ("corpus_document", "corpus_examples", "english_corpus")
    monkeypatch.setenv("HLX_MOST_QUARANTINED", "0.2")
    assert "english_corpus" in empty_home.materialize(*assets).materialized
    monkeypatch.setenv("HLX_MOST_QUARANTINED", "0.01")
    run = empty_home.materialize(*assets, corpus_examples_quarantine={"most": 1.0})
    assert "english_corpus" not in run.materialized
    monkeypatch.setenv("HLX_MOST_QUARANTINED", "much")
    run = empty_home.materialize(*assets)
    assert "HLX_MOST_QUARANTINED is 'much': it must be a share from 0 to 1" in str(run.failures)


def test_several_documents_and_composed_entries_are_one_corpus(empty_home: Home, tmp_path: Path) -> None:
    small, own = empty_home.path / "small.md", tmp_path / "own.md"
    composed = collect([parse_document(compose(40, 0), "composed.md")])
    taken = composed.entries[0].english
    own.write_text(f"English: {taken}\nHLXL: 99999\n", encoding="utf-8")
    run = empty_home.materialize(
        "corpus_document",
        "corpus_examples",
        corpus_document={"corpus": f"{small}:{own}", "entries": 40, "seed": 0},
    )
    assert run.success, run.failures
    with empty_home.instance() as instance:
        rows = store.load(latest_path(instance, dg.AssetKey("corpus_examples"))).to_pylist()
    assert Counter(row["document"] for row in rows) == {"small.md": 36, "own.md": 1, "composed-40-seed-0.md": 40}
    assert [row["HLXL"] for row in rows if row["english"] == taken] == ["99999"]


def test_too_few_rows_close_the_gate_and_few_rows_warn(empty_home: Home) -> None:
    (empty_home.path / "small.md").write_text("English: Number five\nHLXL: 5\n", encoding="utf-8")
    run = empty_home.materialize("corpus_document", "corpus_examples", "english_corpus")
    check = run.check("corpus_examples", "coverage")
    assert not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    assert "0 rows in validation, at least 1 needed" in (check.description or "")
    assert "english_corpus" not in run.materialized
    (empty_home.path / "small.md").write_text(small_document(), encoding="utf-8")
    run = empty_home.materialize("corpus_document", "corpus_examples", "paired_corpus")
    check = run.check("paired_corpus", "coverage")
    assert not check.passed and check.severity == dg.AssetCheckSeverity.WARN
    assert "rows in validation of direction English to HLXL (and " in (check.description or "")
    assert "at least 30 wanted" in (check.description or "")


def test_hlx_alone_gives_phase_2_its_corpus_and_closes_phase_1(empty_home: Home) -> None:
    text = "".join(line + "\n" for line in small_document().split("\n") if not line.startswith("English"))
    (empty_home.path / "small.md").write_text(text, encoding="utf-8")
    run = empty_home.materialize("corpus_document", "corpus_examples", "english_corpus", "hlx_corpus")
    assert run.check("hlx_corpus", "coverage").severity == dg.AssetCheckSeverity.WARN
    assert run.check("hlx_corpus", "schema").passed
    check = run.check("english_corpus", "coverage")
    assert not check.passed and check.severity == dg.AssetCheckSeverity.ERROR


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
