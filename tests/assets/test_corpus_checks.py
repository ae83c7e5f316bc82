"""The checks of the corpora mirror verdicts, pandera agrees with the rules that it wraps, failing rows are shown."""

from collections import Counter
from functools import partial
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hlx_assets.corpus.checks import coverage_result, quarantine_result, schema_result
from hlx_assets.corpus.schemas import pandera_rows
from hlx_assets.definitions import defs
from hlx_model.composer.sampling import compose
from hlx_model.corpus import CorpusError, collect, data_version, parse_document, quarantine_table, store
from hlx_model.corpus.build import build
from hlx_model.corpus.row_rules import broken_rows
from hlx_model.corpus.verdict import judge_corpus, recorded_verdict
from hlx_model.files import digest_of
from hlx_model.layout import QUARANTINE, ROWS, Artifacts
from hlx_model.shown import shorten
from tests.support.broken_corpora import BROKEN_CELLS, LEAKS, TABLES, TWICE, Broken, judged, leaked, spoilt, twice
from tests.support.dagster_home import Home
from tests.support.documents import contradicting_text, tiny_text

DEFECTS = Path(__file__).parents[1] / "corpus" / "defects"


def failing(result: dg.AssetCheckResult | dg.AssetCheckEvaluation) -> list[dict[str, str]]:
    table = result.metadata["failing_rows"]
    assert isinstance(table, dg.TableMetadataValue)
    return [{name: str(cell) for name, cell in record.data.items()} for record in table.records]


CORPORA = {
    **{f"{name} as composed": (name, rows) for name, rows in TABLES.items()},
    **{f"{n} {broken}": (broken.name, spoilt(broken)[0]) for n, broken in enumerate(BROKEN_CELLS)},
    **{f"{name} {column} leaked": (name, leaked(name, column)[0]) for name, column in LEAKS},
    **{f"{name} {rule}": (name, twice(name)) for name, rule in TWICE},
}


@pytest.mark.parametrize("corpus", CORPORA)
def test_pandera_finds_the_same_rows_as_the_rules_that_it_wraps(corpus: str) -> None:
    name, rows = CORPORA[corpus]
    expected = judged(name, rows, broken_rows, slices=3)
    found = judged(name, rows, partial(pandera_rows, name), slices=3)
    assert found.gate().outcome == expected.gate().outcome == ("pass" if corpus.endswith("composed") else "fail")
    assert (found.rows, found.broken) == (expected.rows, expected.broken)
    assert sorted(found.failing, key=str) == sorted(expected.failing, key=str)


def test_a_kept_corpus_is_checked_and_a_changed_one_refused(tmp_path: Path) -> None:
    document = tmp_path / "small.md"
    document.write_text(tiny_text(), encoding="utf-8")
    kept = build([document], Artifacts.at(tmp_path), seq_length=256).directories
    for directory in kept.values():
        assert schema_result(directory).passed
    for directory in kept.values():
        (directory / ROWS).write_bytes((directory / ROWS).read_bytes()[:-1])
        with pytest.raises(CorpusError, match=r"rows\.parquet: not a Parquet file"):
            schema_result(directory)


def test_a_check_shows_the_rows_that_are_on_record(tmp_path: Path) -> None:
    """A kept corpus that breaks a rule cannot be built; this one is written as a broken program would write it."""
    rows, row = spoilt(Broken("corpus_examples", "english", "{}", "is_english"))
    directory = write_examples(tmp_path, rows)
    result = schema_result(directory)
    assert not result.passed and result.severity == dg.AssetCheckSeverity.ERROR
    shown = next(cells for cells in failing(result) if cells["rule"] == "is_english")
    assert (shown["English"], shown["line"]) == ("{}", str(rows["line"][row]))
    assert failing(schema_result(directory)) == failing(result)
    verdict = recorded_verdict(directory)
    assert verdict is not None and verdict.gate("schema").reason == result.description
    assert judge_corpus(directory) == verdict


def write_examples(root: Path, rows: pa.Table) -> Path:
    quarantine = quarantine_table(collect([]))
    version = digest_of([data_version(rows), data_version(quarantine)])
    directory = Artifacts.at(root).corpus("corpus_examples", version)
    directory.mkdir(parents=True)
    pq.write_table(rows, directory / ROWS)
    pq.write_table(quarantine, directory / QUARANTINE)
    return directory


def test_a_quarantined_entry_warns_and_names_its_line(empty_home: Home) -> None:
    text = tiny_text() + "\nEnglish: Minus one\nHLXL: -1\nLC-R: -1\nLC-T: -1\nLC-B: [0xff]\n"
    empty_home.write(text)
    run = empty_home.materialize("corpus_document", "corpus_examples")
    assert run.success, run.failures
    check = run.check("corpus_examples", "quarantine")
    assert not check.passed and check.severity == dg.AssetCheckSeverity.WARN
    line = text.splitlines().index("English: Minus one") + 1
    assert f"line {line}" in (check.description or "") and "255" in (check.description or "")


@pytest.mark.parametrize("document", sorted(DEFECTS.iterdir()), ids=lambda path: path.stem)
def test_a_document_that_breaks_one_rule_is_named_by_the_check_with_its_row(document: Path, tmp_path: Path) -> None:
    built = build([document], Artifacts.at(tmp_path), seq_length=256)
    result = quarantine_result(built.examples.directory)
    assert not result.passed and result.severity == dg.AssetCheckSeverity.ERROR
    (row,), (defect,) = failing(result), built.collection.quarantined
    assert (row["rule"], row["document"], row["line"]) == (document.stem, document.name, str(defect.line))
    assert row["English"] == shorten(defect.english or "", 200) and row["reason"] == defect.reason
    assert row["found"] == shorten(defect.found, 200)
    for directory in built.directories.values():
        assert schema_result(directory).passed
        verdict = recorded_verdict(directory)
        assert verdict is not None and verdict.gate("coverage").reason == coverage_result(directory).description


def test_too_much_quarantine_blocks_the_splits(empty_home: Home) -> None:
    empty_home.write(contradicting_text(4))
    run = empty_home.materialize("corpus_document", "corpus_examples", "english_corpus")
    assert "english_corpus" not in run.materialized
    rows = failing(run.check("corpus_examples", "quarantine"))
    assert [row["line"] for row in rows] == ["3", "9", "15", "21"]
    assert {row["rule"] for row in rows} == {"four_formats_have_the_same_value"}
    alone = empty_home.materialize("english_corpus")
    assert "the gate of corpus_examples is closed: quarantine" in alone.failures["english_corpus"]


def test_checks_that_did_not_run_open_no_gate(empty_home: Home) -> None:
    empty_home.write(contradicting_text(4))
    job = dg.define_asset_job(
        "no_checks", selection=dg.AssetSelection.assets("corpus_document", "corpus_examples").without_checks()
    )
    unchecked = dg.Definitions(assets=defs.assets, asset_checks=defs.asset_checks, jobs=[job], resources=defs.resources)
    ops = {"corpus_document": {"config": {"corpus": str(empty_home.path / "small.md")}}}
    with empty_home.instance() as instance:
        run = unchecked.resolve_job_def("no_checks").execute_in_process(instance=instance, run_config={"ops": ops})
        assert run.success and not run.get_asset_check_evaluations()
    alone = empty_home.materialize("english_corpus")
    assert "the gate of corpus_examples is closed: quarantine" in alone.failures["english_corpus"]


def test_a_verdict_from_the_command_line_closes_the_gate_in_the_ui(
    empty_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty_home.write(contradicting_text(1))
    assert empty_home.materialize("corpus_document", "corpus_examples").success
    assert "english_corpus" in empty_home.materialize("english_corpus").materialized
    monkeypatch.setenv("HLX_MOST_QUARANTINED", "0.01")
    judge_corpus(empty_home.latest("corpus_examples"))
    monkeypatch.delenv("HLX_MOST_QUARANTINED")
    refused = empty_home.materialize("english_corpus")
    assert "the gate of corpus_examples is closed: quarantine: 1 of 36" in refused.failures["english_corpus"]


def test_how_much_may_be_in_quarantine_is_set_in_the_environment_and_by_no_run(
    empty_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty_home.write(contradicting_text(4))
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
        "corpus_document", "corpus_examples", corpus_document={"corpus": f"{small}:{own}", "entries": 40, "seed": 0}
    )
    assert run.success, run.failures
    rows = store.load(empty_home.latest("corpus_examples")).to_pylist()
    assert Counter(row["document"] for row in rows) == {"small.md": 36, "own.md": 1, "composed-40-seed-0.md": 40}
    assert [row["HLXL"] for row in rows if row["english"] == taken] == ["99999"]


def test_too_few_rows_close_the_gate_and_few_rows_warn(empty_home: Home) -> None:
    empty_home.write("English: Number five\nHLXL: 5\n")
    run = empty_home.materialize("corpus_document", "corpus_examples", "english_corpus")
    check = run.check("corpus_examples", "coverage")
    assert not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    assert "0 rows in validation, required ≥ 1" in (check.description or "")
    assert "english_corpus" not in run.materialized
    empty_home.write(tiny_text())
    run = empty_home.materialize("corpus_document", "corpus_examples", "paired_corpus")
    check = run.check("paired_corpus", "coverage")
    assert not check.passed and check.severity == dg.AssetCheckSeverity.WARN
    assert "rows in validation of direction English to HLXL (and " in (check.description or "")
    assert "wanted ≥ 30" in (check.description or "")


def test_hlx_alone_gives_phase_2_its_corpus_and_closes_phase_1(empty_home: Home) -> None:
    text = "".join(line + "\n" for line in tiny_text().split("\n") if not line.startswith("English"))
    empty_home.write(text)
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
