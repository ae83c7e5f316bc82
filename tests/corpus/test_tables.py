"""What the tables of the corpora and their data versions promise."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hlx_model.corpus import (
    ENGLISH_CORPUS,
    HLX_CORPUS,
    PAIRED_CORPUS,
    Document,
    collect,
    data_version,
    examples_table,
    is_english,
    operation_of,
    parse_document,
    parses,
    prompt,
    quarantine_table,
    same_value,
    tables,
)
from hlx_model.corpus.build import build
from hlx_model.corpus.prompts import conversion, translations
from hlx_model.language import Contract, Format, Handle, Value, convert
from hlx_model.layout import Artifacts
from tests.support.documents import small_text


@pytest.fixture(scope="session")
def examples(composed_document: Document) -> pa.Table:
    return examples_table(collect([composed_document]))


@pytest.fixture(scope="session")
def paired(examples: pa.Table) -> pa.Table:
    return PAIRED_CORPUS.table(examples)


def test_examples_hold_each_entry_once_in_four_formats_that_agree(
    examples: pa.Table, composed_document: Document
) -> None:
    assert examples.num_rows == len(composed_document.entries)
    assert examples["english"].to_pylist() == [entry.english for entry in composed_document.entries]
    assert all(map(same_value, examples.to_pylist()))


def test_the_real_document_gives_its_rows(real_document: Document) -> None:
    corpus = collect([real_document])
    examples = examples_table(corpus)
    values = len(set(examples["value_sha256"].to_pylist()))
    assert (examples.num_rows, values) == (163, 160)
    assert ENGLISH_CORPUS.table(examples).num_rows == 163
    assert HLX_CORPUS.table(examples).num_rows == 160 * 4
    assert PAIRED_CORPUS.table(examples).num_rows == 163 * 8 + 160
    assert quarantine_table(corpus).to_pylist() == [
        {
            "document": real_document.name,
            "line": 73,
            "english": "Negative number",
            "rule": "four_formats_have_the_same_value",
            "reason": "LC-B `[0xff9c]` reads as 65436 where HLXL, LC-R and LC-T say -100",
            "found": "[0xff9c]",
        }
    ]


def test_derived_tables_hold_each_sentence_value_and_translation_once(examples: pa.Table, paired: pa.Table) -> None:
    values = len(set(examples["value_sha256"].to_pylist()))
    hlx = HLX_CORPUS.table(examples)
    assert ENGLISH_CORPUS.table(examples).num_rows == examples.num_rows
    assert hlx.num_rows == 4 * values == len(set(zip(hlx["format"].to_pylist(), hlx["text"].to_pylist(), strict=True)))
    assert paired.num_rows == 8 * examples.num_rows + values
    # `5` is written alike in three formats, and each of them is asked for.
    translations = set(zip(*(paired[name].to_pylist() for name in ("source", "prompt", "answer")), strict=True))
    assert len(translations) == paired.num_rows


def test_every_answer_is_right(examples: pa.Table, paired: pa.Table) -> None:
    meaning = {row["english"]: row for row in examples.to_pylist()}
    for row in paired.to_pylist():
        given = re.fullmatch(r"\[(.*?)\] (.*) → ", row["prompt"], re.DOTALL)
        assert given is not None and given[1] == row["target"]
        assert row["prompt"] == prompt(row["target"], given[2])
        if row["source"] == "English":
            assert row["answer"] == meaning[given[2]][row["target"]]
        elif row["target"] == "English":
            assert given[2] == meaning[row["answer"]][row["source"]]
        else:
            assert row["answer"] == convert(given[2], Format(row["source"]), Format(row["target"]))


def test_all_twelve_conversions_occur(paired: pa.Table) -> None:
    pairs = set(zip(paired["target"].to_pylist(), paired["source"].to_pylist(), strict=True))
    assert len(pairs) == 4 + 4 + 12


def test_nothing_held_out_is_in_train_in_any_table(examples: pa.Table, paired: pa.Table) -> None:
    tables = (
        (examples, ("english", "HLXL", "LC-B", "value_sha256")),
        (ENGLISH_CORPUS.table(examples), ("english",)),
        (HLX_CORPUS.table(examples), ("text", "value_sha256")),
        (paired, ("prompt", "answer", "value_sha256")),
    )
    for table, columns in tables:
        assert set(table["split"].to_pylist()) == {"train", "validation", "test"}
        for column in columns:
            rows = list(zip(table[column].to_pylist(), table["split"].to_pylist(), strict=True))
            train, held_out = ({text for text, s in rows if (s == "train") is wanted} for wanted in (True, False))
            assert held_out and train.isdisjoint(held_out)


def test_an_entry_without_a_sentence_is_in_the_corpus_of_phase_2_alone() -> None:
    text = "English: One\nHLXL: 1\n\nHLXL: 2\n"
    examples = examples_table(collect([parse_document(text, "a.md")]))
    assert examples["english"].to_pylist() == ["One", None]
    assert ENGLISH_CORPUS.table(examples)["english"].to_pylist() == ["One"]
    assert HLX_CORPUS.table(examples)["text"].to_pylist() == ["1", "1", "1", "[0x01]", "2", "2", "2", "[0x02]"]
    assert set(PAIRED_CORPUS.table(examples)["line"].to_pylist()) == {1}


def test_what_is_missing_is_rendered_and_marked() -> None:
    examples = examples_table(collect([parse_document("English: One\nLC-B: [0x01]\n", "a.md")]))
    (row,) = examples.to_pylist()
    assert [row[format] for format in Format] == ["1", "1", "1", "[0x01]"]
    assert row["rendered"] == "HLXL, LC-R, LC-T"


ONE = "English: One\nHLXL: 1\nLC-R: 1\nLC-T: 1\nLC-B: [0x01]\n"


def test_a_sentence_of_two_documents_is_kept_once_and_the_other_reported() -> None:
    corpus = collect([parse_document(ONE, "a.md"), parse_document(ONE, "b.md")])
    assert examples_table(corpus)["document"].to_pylist() == ["a.md"]
    (row,) = quarantine_table(corpus).to_pylist()
    assert (row["document"], row["rule"]) == ("b.md", "sentence_once")
    assert row["reason"] == "the sentence was seen before, in a.md line 1"


def test_a_sentence_with_two_values_is_quarantined_in_every_place() -> None:
    two = ONE.replace("1", "2")
    corpus = collect([parse_document(f"{ONE}\n{two}", "a.md"), parse_document(f"{ONE}\nEnglish: X\nHLXL: 5", "b.md")])
    assert examples_table(corpus)["english"].to_pylist() == ["X"]
    assert [(row["document"], row["line"], row["reason"]) for row in quarantine_table(corpus).to_pylist()] == [
        ("a.md", 1, "the sentence says 1 here and 2 in line 7"),
        ("a.md", 7, "the sentence says 2 here and 1 in line 1"),
        ("b.md", 1, "the sentence says 1 here and 2 in a.md line 7"),
    ]


def test_derived_rows_name_their_entry(examples: pa.Table, paired: pa.Table) -> None:
    entries = {(row["document"], row["line"]): row for row in examples.to_pylist()}
    for row in paired.to_pylist():
        entry = entries[row["document"], row["line"]]
        assert entry["value_sha256"] == row["value_sha256"] and entry["split"] == row["split"]


def test_the_data_version_does_not_depend_on_the_place_of_a_document(tmp_path: Path) -> None:
    versions = []
    for name, text in (("a.md", small_text()), ("b.md", f"<!-- a remark -->\n\n{small_text()}")):
        (tmp_path / name).write_text(text, encoding="utf-8")
        built = build([tmp_path / name], Artifacts.at(tmp_path / name[0]), seq_length=256)
        versions.append({asset: directory.name for asset, directory in built.directories.items()})
    a, b = versions
    assert a.pop("corpus_examples") != b.pop("corpus_examples")  # which has the lines
    assert a == b


def test_batches_of_any_size_give_the_same_corpus(monkeypatch: pytest.MonkeyPatch, examples: pa.Table) -> None:
    whole = {name: data_version(derived.table(examples)) for name, derived in tables.DERIVED.items()}
    monkeypatch.setattr(tables, "BATCH", 37)
    assert {name: data_version(derived.table(examples)) for name, derived in tables.DERIVED.items()} == whole


@pytest.mark.parametrize(
    ("value", "operation"),
    [
        (Contract(1000, ((0, "search"), (1, Handle("a")))), "search"),
        (Contract(1000, ((1, "search"),)), "contract 1000"),
        (Contract(1000, ((0, 5),)), "contract 1000"),
        (Contract(14, ((0, 1),)), "contract 14"),
        ([], "array"),
        ({}, "object"),
        (True, "boolean"),
        (1, "integer"),
        (1.0, "float"),
        (None, "null"),
        (b"", "bytes"),
        ("x", "string"),
        (Handle("x"), "handle"),
    ],
)
def test_the_operation_says_what_kind_of_thing_a_value_is(value: Value, operation: str) -> None:
    assert operation_of(value) == operation


BASE = {"text": ["a", "bc", None], "line": [1, 2, 3]}


@pytest.mark.parametrize(
    "other",
    [
        {"text": ["a", "bd", None], "line": [1, 2, 3]},
        {"text": ["ab", "c", None], "line": [1, 2, 3]},
        {"text": ["a", "bc", "null"], "line": [1, 2, 3]},
        {"text": ["a", "bc", ""], "line": [1, 2, 3]},
        {"text": ["a", "bc", None], "line": [1, 2, 4]},
        {"text": ["a", "bc", None], "line": ["1", "2", "3"]},
        {"text": ["bc", "a", None], "line": [2, 1, 3]},
        {"text": ["a", "bc"], "line": [1, 2]},
        {"texts": ["a", "bc", None], "line": [1, 2, 3]},
        {"line": [1, 2, 3], "text": ["a", "bc", None]},
        {"text": ["a", "bc", None]},
    ],
)
def test_the_data_version_changes_with_any_cell_name_and_order(other: dict[str, list[object]]) -> None:
    assert data_version(pa.table(other)) != data_version(pa.table(BASE))


def test_the_data_version_does_not_depend_on_how_the_rows_are_stored(examples: pa.Table, tmp_path: Path) -> None:
    version = data_version(examples)
    assert data_version(pa.concat_tables([examples.slice(0, 10), examples.slice(10)])) == version
    pq.write_table(examples, tmp_path / "rows.parquet", compression="zstd", row_group_size=100)
    assert data_version(pq.read_table(tmp_path / "rows.parquet")) == version
    assert re.fullmatch("[0-9a-f]{64}", version)


def test_the_data_version_of_known_rows_is_what_it_always_was() -> None:
    """Checkpoints name corpora by it, so it outlives releases of this code and of Arrow."""
    assert data_version(pa.table(BASE)) == "e67f9d91e310dc7f2102d03d6ca7b3935ce3ce5d6edabc5c91bde1a0316792f6"


def test_the_predicates_tell_good_rows_from_bad() -> None:
    assert parses("[0x2a]", Format.LC_B) and not parses("[0x2a", Format.LC_B)
    assert is_english("Represent null") and is_english("X") and is_english('The text "a"')
    assert not any(map(is_english, ("null", "NULL", '"hello"', "{}", "-5", "Go → there", "🜊14🜂", "()")))
    row = {"HLXL": "1", "LC-R": "1", "LC-T": "1", "LC-B": "[0x01]"}
    assert same_value(row)
    assert not same_value({**row, "HLXL": "1.0"})
    assert not same_value({**row, "LC-R": "🜊"})


SHAPES = """English: Search for documents
HLXL: {1000: {@0: "search", @1: &h_documents}}

English: Find documents
HLXL: {1000: {@0: "search", @1: &h_documents}}

## Without a sentence

HLXL: [1, 2]

## With one

English: The numbers one and two
HLXL: [1, 2]

## Without a value

English: Nothing but words

English: Nor here
"""


@pytest.mark.parametrize("at_once", [1, 2, 10_000])
@pytest.mark.parametrize("kind", ["shapes", "composed"])
def test_corpora_are_derived_as_row_by_row(
    kind: str, at_once: int, examples: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_EXAMPLES_AT_ONCE", at_once)
    if kind == "shapes":
        examples = examples_table(collect([parse_document(SHAPES, "shapes.md")]))
        assert None in examples["english"].to_pylist() and None in examples["value_sha256"].to_pylist()
    elif at_once == 1:
        examples = examples.slice(7, 30)
    expected: dict[str, list[tuple[object, ...]]] = {"english": [], "hlx": [], "paired": []}
    seen: set[str] = set()
    for row in examples.to_pylist():
        sentence, value = row["english"], row["value_sha256"]
        texts = {format: row[format] for format in Format}
        if sentence is not None:
            expected["english"].append((sentence,))
        if value is not None and value not in seen:
            expected["hlx"] += [(str(format), text, value) for format, text in texts.items()]
        if sentence is not None and value is not None:
            pairs = [*translations(sentence, texts), *([conversion(texts)] if value not in seen else [])]
            expected["paired"] += [(str(p.target), str(p.source), p.prompt, p.answer, value) for p in pairs]
        seen.add(value)
    for name, derived in (("english", ENGLISH_CORPUS), ("hlx", HLX_CORPUS), ("paired", PAIRED_CORPUS)):
        columns = [derived.table(examples)[column].to_pylist() for column in derived.learned[: -len(tables._ENTRY) + 2]]
        assert list(zip(*columns, strict=True)) == expected[name]


def test_nothing_is_derived_from_nothing(examples: pa.Table) -> None:
    for derived in tables.DERIVED.values():
        assert derived.table(examples.slice(0, 0)).num_rows == 0
        assert list(derived.batches(examples.slice(0, 0))) == []
