"""The gates of the corpora: each rule finds its broken row, verdicts are the truth, limits are those on record."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_model.corpus import CorpusError, is_english, row_rules, store
from hlx_model.corpus.build import BuiltCorpora, build
from hlx_model.corpus.gates import quarantine_gate
from hlx_model.corpus.row_rules import ROW_RULES, broken_rows
from hlx_model.corpus.verdict import (
    judge_corpus,
    judged_today,
    read_report,
    recorded_verdict,
    require_built_passed,
    require_corpus_passed,
)
from hlx_model.files import read_json
from hlx_model.layout import EXAMPLES, ROWS, Artifacts
from hlx_model.verdicts import GateClosed
from tests.support.broken_corpora import BROKEN_CELLS, LEAKS, TABLES, TWICE, Broken, judged, leaked, spoilt, twice
from tests.support.command import Hlx
from tests.support.damage import seal
from tests.support.documents import small_text

BAD = "English: Minus one\nHLXL: -1\nLC-R: -1\nLC-T: -1\nLC-B: [0xff]\n"


@pytest.fixture
def built(tmp_path: Path) -> BuiltCorpora:
    """Corpora of 48 entries and one in quarantine, 2.04%."""
    document = tmp_path / "a.md"
    document.write_text(f"{small_text()}\n{BAD}", encoding="utf-8")
    return build([document], Artifacts.at(tmp_path / "root"), seq_length=256)


@pytest.mark.parametrize("proven", [True, False], ids=["right", "unproven"])
@pytest.mark.parametrize("slices", [1, 7])
@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_composed_corpus_keeps_every_rule(name: str, slices: int, proven: bool) -> None:
    gate = judged(name, TABLES[name], broken_rows, slices=slices, proven=proven).gate()
    assert (gate.outcome, gate.samples) == ("pass", TABLES[name].num_rows), gate.reason


@pytest.mark.parametrize("proven", [True, False], ids=["right", "unproven"])
@pytest.mark.parametrize("broken", BROKEN_CELLS, ids=str)
def test_a_broken_cell_fails_its_rule_and_its_row_is_shown(broken: Broken, proven: bool) -> None:
    rows, row = spoilt(broken)
    found = judged(broken.name, rows, broken_rows, slices=3, proven=proven)
    shown = next(failing for failing in found.failing if failing.rule == broken.rule)
    expected = rows.slice(row, 1).to_pylist()[0]
    assert (shown.document, shown.line) == (expected["document"], expected["line"])
    assert shown.reason and "\n" not in shown.reason
    assert found.gate().outcome == "fail" and broken.rule in found.gate().reason


@pytest.mark.parametrize(("name", "column"), LEAKS)
def test_a_held_out_text_in_train_is_a_leak(name: str, column: str) -> None:
    rows, row, held_out = leaked(name, column)
    found = judged(name, rows, broken_rows, slices=5)
    leaks = [failing for failing in found.failing if failing.rule == f"{column}_not_in_train_and_held_out"]
    assert [failing.line for failing in leaks] == [rows["line"][row].as_py()]
    assert held_out in leaks[0].found


@pytest.mark.parametrize(("name", "rule"), TWICE)
def test_a_row_twice_is_found_also_across_slices(name: str, rule: str) -> None:
    found = judged(name, twice(name), broken_rows, slices=4)
    line = TABLES[name]["line"][0].as_py()
    assert [failing.line for failing in found.failing if failing.rule == rule] == [line, line]


def test_a_pair_twice_is_found_also_without_its_place() -> None:
    """Document and line are no part of a corpus's data version."""
    rows = TABLES["paired_corpus"]
    for column in ("document", "line"):
        field = rows.schema.field(column)
        index = rows.schema.get_field_index(column)
        rows = rows.set_column(index, field, pa.nulls(rows.num_rows, field.type))
    found = judged("paired_corpus", rows, broken_rows, entries=False)
    assert "pair_once" in {failing.rule for failing in found.failing}


def test_an_answer_of_another_entry_is_found_and_its_row_is_named() -> None:
    """An earlier loader gave 67% of the sentences another entry's answer: each of them was good HLX."""
    rows = TABLES["paired_corpus"].to_pylist()
    wanted = [n for n, row in enumerate(rows) if (row["target"], row["source"]) == ("HLXL", "English")]
    mine, other = wanted[20], wanted[25]
    assert rows[mine]["answer"] != rows[other]["answer"]
    spoilt_rows, _ = spoilt(Broken("paired_corpus", "answer", rows[other]["answer"], "pairs_within_one_entry"), mine)
    (failing,) = judged("paired_corpus", spoilt_rows, broken_rows).failing
    assert failing.rule == "pairs_within_one_entry" and failing.line == rows[mine]["line"]
    assert failing.english in rows[mine]["prompt"] and rows[other]["answer"] in failing.found


def test_rows_without_their_examples_warn(built: BuiltCorpora) -> None:
    gate = judged("hlx_corpus", TABLES["hlx_corpus"], broken_rows, entries=False).gate()
    assert gate.outcome == "warn" and "the examples are missing" in gate.reason


def test_the_verdict_names_gates_figures_and_thresholds(built: BuiltCorpora) -> None:
    verdict = judge_corpus(built.examples)
    assert verdict.outcome == "warn"
    schema, coverage, quarantine = verdict.gates
    assert (schema.name, schema.outcome, schema.value, schema.threshold, schema.samples) == ("schema", "pass", 0, 0, 48)
    # Both warn: the thresholds are those that were missed.
    assert (coverage.name, coverage.threshold, coverage.samples) == ("coverage", 30, 48)
    assert (quarantine.name, quarantine.value, quarantine.threshold) == ("quarantine", 1 / 49, 0)
    assert quarantine.reason.startswith(
        "1 of 49 entries are in quarantine (2.0%; good ≤ 0% missed, required ≤ 5%); first: a.md line "
    )
    folder = store.report_folder(built.examples.directory)
    assert folder is not None
    assert read_json(folder / "verdict.json")["gates_version"] == "3"
    report = read_report(built.examples.directory)
    assert report is not None and sum(report.rows.values()) == 48 and report.failing == ()


def test_evaluating_again_changes_no_file(built: BuiltCorpora) -> None:
    judge_corpus(built.examples)
    folder = store.report_folder(built.examples.directory)
    assert folder is not None
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    judge_corpus(built.examples.directory)
    require_corpus_passed(built.examples.directory)
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()} == before


@pytest.mark.parametrize("damage", ["missing", "damaged", "another version", "another corpus", "fewer gates"])
def test_a_corpus_without_a_valid_verdict_is_evaluated_on_demand(built: BuiltCorpora, damage: str) -> None:
    verdict = judge_corpus(built.examples)
    folder = store.report_folder(built.examples.directory)
    assert folder is not None
    path = folder / "verdict.json"
    content = read_json(path)
    changes: dict[str, dict[str, object]] = {
        "another version": {"gates_version": "0"},
        "another corpus": {"data_version": "0" * 64},
        "fewer gates": {"gates": content["gates"][:2]},
    }
    changed = changes.get(damage, {})
    if damage == "missing":
        path.unlink()
    elif damage == "damaged":
        path.write_text("{}", encoding="utf-8")
    else:
        seal(path, content | changed)
    assert recorded_verdict(built.examples.directory) is None
    assert require_corpus_passed(built.examples.directory) == verdict == recorded_verdict(built.examples.directory)


def test_a_verdict_keeps_the_limits_that_it_was_made_with(built: BuiltCorpora, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLX_MOST_QUARANTINED", "0.01")
    judge_corpus(built.examples)
    monkeypatch.delenv("HLX_MOST_QUARANTINED")
    with pytest.raises(GateClosed, match=r"the gate of corpus_examples is closed: quarantine: 1 of 49 .*≤ 1%"):
        require_corpus_passed(built.examples.directory)
    assert judged_today(built.examples.directory).gate("quarantine").outcome == "warn"
    require_corpus_passed(built.examples.directory)


def test_a_verdict_of_the_limit_of_today_is_read_and_another_is_made_again(
    built: BuiltCorpora, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, verdict = built.examples.directory, judge_corpus(built.examples)
    monkeypatch.setenv("HLX_MOST_QUARANTINED", "0.06")
    assert "required ≤ 6%" in judged_today(directory).gate("quarantine").reason
    monkeypatch.delenv("HLX_MOST_QUARANTINED")
    assert judged_today(directory) == verdict
    (directory / ROWS).unlink()
    assert judged_today(directory) == verdict


def test_what_was_derived_from_failed_examples_is_refused(built: BuiltCorpora, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLX_MOST_QUARANTINED", "0.01")
    with pytest.raises(GateClosed, match="corpus_examples is closed: quarantine"):
        require_built_passed(built, "hlx_corpus")
    monkeypatch.delenv("HLX_MOST_QUARANTINED")
    with pytest.raises(GateClosed, match="corpus_examples is closed: quarantine"):
        require_corpus_passed(built.derived["hlx_corpus"].directory)


def test_a_changed_corpus_gets_no_verdict(built: BuiltCorpora) -> None:
    judge_corpus(built.examples)
    for directory in built.directories.values():
        rows = directory / ROWS
        rows.write_bytes((built.derived["hlx_corpus"].directory / ROWS).read_bytes()[:-9])
        with pytest.raises(CorpusError, match=r"rows\.parquet: "):
            judge_corpus(directory)


def test_a_corpus_in_a_read_only_folder_is_evaluated(
    built: BuiltCorpora, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("hlx_model.corpus.verdict.write_json", refuse)
    assert require_corpus_passed(built.derived["english_corpus"].directory).outcome == "warn"
    assert "was not written" in caplog.text


def test_train_refuses_a_kept_corpus_whose_gate_failed_in_one_line(
    built: BuiltCorpora, hlx: Hlx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HLX_MOST_QUARANTINED", "0.01")
    judge_corpus(built.examples)
    monkeypatch.delenv("HLX_MOST_QUARANTINED")
    corpus = built.derived["english_corpus"].directory
    ran = hlx("train", "--phase", "1", "--corpus", corpus, "--checkpoint-dir", tmp_path / "root" / "training")
    assert ran.code == 1
    assert ran.error.startswith("error: the gate of corpus_examples is closed: quarantine: 1 of 49 entries")
    assert not (tmp_path / "root" / "training").exists()


def test_train_refuses_documents_with_too_many_entries_in_quarantine(hlx: Hlx, tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("\n".join([small_text(), *(BAD.replace("one", word) for word in "abcd")]), encoding="utf-8")
    ran = hlx("train", "--phase", "1", "--corpus", document, "--checkpoint-dir", tmp_path / "root" / "training")
    assert ran.code == 1
    assert ran.error.startswith("error: a.md: the gate of corpus_examples is closed: quarantine: 4 of 52 entries")
    assert ran.error.endswith(": mend them (`hlx corpus check` lists them)")


def test_the_quarantine_gate_warns_up_to_its_limit() -> None:
    outcomes = [quarantine_gate(n, 100, 0.05).outcome for n in (0, 1, 5, 6)]
    assert outcomes == ["pass", "warn", "warn", "fail"]
    assert quarantine_gate(0, 0, 0.05).outcome == "pass"


def test_a_corpus_of_the_wrong_columns_fails(tmp_path: Path) -> None:
    rows = TABLES[EXAMPLES].drop_columns("split").append_column("split", TABLES[EXAMPLES]["line"])
    gate = judged(EXAMPLES, rows, broken_rows).gate()
    assert gate.outcome == "fail" and "column split is missing, or not of type string" in gate.reason


def test_rules_in_threads_find_the_same_rows_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.Table.from_pylist(
        [
            {"english": text, "text": text}
            for text in ("Sort the users", "🜊 is a glyph", "null", "", "Is <b>bold</b>", "é")
        ]
    )
    (rows,), wanted = table.to_batches(), ROW_RULES["english_corpus"][:3]
    assert any(rule.in_python for rule in wanted) and not all(rule.in_python for rule in wanted)
    serial = [(rule.name, index) for rule, index in broken_rows(rows, wanted)]
    monkeypatch.setattr(row_rules, "_MANY", 1)
    assert [(rule.name, index) for rule, index in broken_rows(rows, wanted)] == serial
    assert serial == [
        ("is_not_empty", 3), ("in_vocabulary", 5), *(("is_english", index) for index in (1, 2, 3, 4, 5))
    ]  # fmt: skip


@given(st.text('abA1 .,;?!()-<>&:λ"nul\n', max_size=8))
def test_what_is_taken_for_plain_words_is_english(text: str) -> None:
    (rows,) = pa.table({"english": [text]}).to_batches()
    (rule,) = [rule for rule in ROW_RULES["english_corpus"] if rule.name == "is_english"]
    assert rule.broken(rows).to_pylist() == [not is_english(text)]
