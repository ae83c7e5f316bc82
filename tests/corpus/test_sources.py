"""Documents of other kinds than Markdown, and what people's tools do to texts: each is read, or says what is wrong."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_model.corpus import CorpusError, Document, collect, parse_document, read_document, rules, store, tables
from hlx_model.corpus.build import build
from hlx_model.corpus.documents import keep_documents, kept_documents
from hlx_model.corpus.look_alikes import probably_meant
from hlx_model.layout import Artifacts
from tests.support.documents import small_text


def said(document: Document) -> list[tuple[str | None, str | None]]:
    return [(entry.english, entry.texts[0] if entry.texts else None) for entry in document.entries]


def lines(*rows: object) -> str:
    return "\n".join(row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)


# Rows


@pytest.mark.parametrize("column", ["hlxl", "HLXL", "lc_r", "LC-R", "lcr", "Lc R", "LC–R", "LC-R (runic)", "**lc_r**"])
def test_columns_may_be_spelled_in_any_usual_way(column: str) -> None:
    assert said(parse_document(lines({"ENGLISH": "Number five", column: "5"}), "a.jsonl")) == [("Number five", "5")]


def test_a_cell_may_be_a_number_or_missing_and_other_columns_are_ignored() -> None:
    rows = (
        {"english": "Number five", "hlxl": 5, "id": 7},
        {"english": None, "hlxl": "[1]"},
        {"english": "Six"},
        {"lc_t": ""},
    )
    assert said(parse_document(lines(*rows), "a.jsonl")) == [("Number five", "5"), (None, "[1]"), ("Six", None)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"english": "One", ', "the line is no JSON: "),
        ("[1, 2]", "the line is no JSON object"),
        ('{"id": 1}', "the row has none of the columns english, hlxl, lc_r, lc_t, lc_b"),
        ('{"english": "One", "English": "Two", "hlxl": 1}', "English in several columns"),
        ("[" * 100_000, "the line is no JSON: "),
    ],
)
def test_a_row_that_cannot_be_read_is_quarantined_with_its_line(row: str, reason: str) -> None:
    document = parse_document(lines({"hlxl": "1"}, "", row, {"hlxl": "2"}), "a.jsonl")
    (defect,) = document.quarantined
    assert defect.line == 3 and defect.reason.startswith(reason) and "\n" not in defect.reason
    assert said(document) == [(None, "1"), (None, "2")]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_csv_has_any_separator_and_cells_of_several_lines(mark: str) -> None:
    text = mark.join(("english", "hlxl")) + '\r\n"Pair of\r\nnumbers"' + mark + '"[1, \r\n2]"\r\n' + mark + "7\r\n"
    document = parse_document(text, "a.csv")
    assert said(document) == [("Pair of numbers", "[1, 2]"), (None, "7")]
    assert [(entry.first_line, entry.last_line) for entry in document.entries] == [(2, 4), (5, 5)]


def test_csv_with_one_column_needs_no_quotes() -> None:
    assert said(parse_document("english\nPing, then stop\n", "a.csv")) == [("Ping, then stop", None)]


def test_a_csv_row_with_too_many_cells_or_wrong_quotes_is_quarantined() -> None:
    document = parse_document('english,hlxl\nList,[1, 2]\nFive,5\nSix,"6"6\nSeven,7\n', "a.csv")
    assert [(defect.line, defect.rule) for defect in document.quarantined] == [
        (2, rules.READABLE_ROW),
        (4, rules.READABLE_ROW),
    ]
    assert said(document) == [("Five", "5"), ("Seven", "7")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"\nname,age\nAda,36\n", "a.csv: line 2: no column of english, hlxl, lc_r, lc_t, lc_b"),
        ("a.parquet", b"English: One\nHLXL: 1\n", "a.parquet: not a Parquet file that can be read ("),
        ("a.md", b"PAR1 and then nothing", "a.md: not a Parquet file that can be read ("),
        ("a.json", b'[\n{"hlxl": "1"}\n]', "a.json: line 1: a JSON array begins; write one object a line"),
        ("a.jsonl", b'{"hlxl": "caf\xe9"}', "a.jsonl: not UTF-8 at byte offset 13"),
        ("a.txt", b" \n", "a.txt: is empty"),
        ("a.txt", b"null\n", "a.txt: none of its 1 entries is usable; mend them, beginning with line 1"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError) as raised:
        read_document(tmp_path / name, name=name)
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


def test_parquet_is_read_by_rows_and_a_wrong_one_is_named_by_its_row(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2, 3], "English": ["Five", None, "Six"], "LC_T": ["5", "[1]", "{"]})
    pq.write_table(table, tmp_path / "rows.parquet")
    document = read_document(tmp_path / "rows.parquet")
    assert said(document) == [("Five", "5"), (None, "[1]")]
    assert [(defect.line, defect.rule) for defect in document.quarantined] == [(3, rules.PARSES)]
    with pytest.raises(CorpusError, match=r"no column of english.* its columns: id"):
        pq.write_table(table.select(["id"]), tmp_path / "ids.parquet")
        read_document(tmp_path / "ids.parquet")


@pytest.mark.parametrize(
    ("asked", "answer", "expected"),
    [
        ("Convert to LC-T: null", "NULL", "null"),
        ("Convert the HLXL [1, true] to lc_t.", "[1,TRUE]", "[1, true]"),
        ("Please write {level: 3} as LC-R", "◇level: 3◆", "{level: 3}"),
        ("HLXL to LC-B:\n```\n[14]\n```", "```\n[[0x0e]]\n```", "[14]"),
        ("### Instruction:\nTranslate `@ada` into HLXL\n\n### Response:", "&h_ada", "&h_ada"),
        ("Write 5 in all formats", "HLXL: 5\nLC-B: [0x05]", "5"),
        ("English: Number five", "LC-B: [0x05]", "5"),
    ],
)
def test_a_conversion_in_words_is_read_if_both_sides_are_values(asked: str, answer: str, expected: str) -> None:
    (entry,) = parse_document(lines({"prompt": asked, "completion": answer}), "a.jsonl").entries
    assert entry.texts[0] == expected


@pytest.mark.parametrize(
    ("asked", "answer", "reason"),
    [
        ("What is HLX?", "A language.", "no value on a side: the answer is in no format that is named"),
        ("Convert to LC-T: null", "I cannot do that.", "no value on a side: the answer is no HLX"),
        ("Say something in LC-R", "🜃🜄", "no value on a side: the question contains none"),
        ("HLXL: 12", "12", "no value on a side: the answer is in no format that is named"),
        ("LC-T: NULL", "LC-T: TRUE", "no value on a side: question and answer are both LC-T, and differ"),
        ("Convert to LC-T: [7]", "[8]", "LC-T `[8]` reads as [8] where HLXL says [7]"),
        ("Convert to LC-R: [7]", "🜃7", "LC-R `🜃7` cannot be read: "),
        ("Convert to LC-R: [7]", "", "no value on a side: the answer is no HLX"),
    ],
)
def test_an_instruction_without_values_is_quarantined(asked: str, answer: str, reason: str) -> None:
    rows = {"hlxl": "1"}, {"input": asked, "output": answer}
    (defect,) = parse_document(lines(*rows), "a.jsonl").quarantined
    assert defect.line == 2 and defect.reason.startswith(reason)


# Markdown


def test_a_text_file_with_labels_is_read_by_them() -> None:
    assert said(parse_document("English: Number five\nHLXL: 5\n", "a.txt")) == [("Number five", "5")]


@pytest.mark.parametrize(
    "text",
    [
        "English: One\nHLXL: 1\n\nEnglish: Wait\n\nEnglish: Stop\nEnglish: Go\n",
        "English: Wait\nEnglish: Stop\n\n## Numbers\n\nEnglish: One\nHLXL: 1\n",
        "## Numbers\nEnglish: One\nHLXL: 1\n## Words\nEnglish: Wait\n",
        "English: Wait\n",
        "### One\n**English:** Wait\n\n### Two\n**English:** Stop\n",
    ],
)
def test_sentences_without_hlx_serve_phase_1_alone(text: str) -> None:
    document = parse_document(text, "a.md")
    assert not document.quarantined
    assert "Wait" in [entry.english for entry in document.entries if not entry.texts]


@pytest.mark.parametrize(
    "text",
    [
        "English: One\nHLXL: 1\n\nEnglish: Wait\n\nEnglish: Two\nHLXL: 2\n",
        "English: One\nHLXL: 1\n\nEnglish: Wait\n",
        "English: Wait\n\nEnglish: One\nHLXL: 1\n",
        "English: One\nHLXL: 1\n\nEnglish: Wait\nHLXL:\n",
        "English: One\nHLXL: 1\n\nEnglish: Wait\n🜊1000\n",
        "English: Wait\n\nEnglish: Stop\n\nHLXL: 1\n\nHLXL: 2\n",
    ],
)
def test_a_sentence_whose_hlx_was_cut_off_is_quarantined(text: str) -> None:
    document = parse_document(f"{text}\n---\n## Last\nEnglish: Last\nHLXL: 9\n", "a.md")
    assert "Wait" in [defect.english.split(" 🜊")[0] for defect in document.quarantined if defect.english]
    assert all(entry.texts for entry in document.entries)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\nenglish: yes\n---\nEnglish: One\nHLXL: 1\n", [("One", "1")]),
        ("\ufeff---\ntags:\n  - a\n# note\nenglish: Wait\n...\nEnglish: One\nHLXL: 1\n", [("One", "1")]),
        ("---\nEnglish: One\nHLXL: 1\n---\n", [("One", "1")]),
        ("---\nEnglish: One\nHLXL: 1\n\nEnglish: Two\nHLXL: 2\n---\n", [("One", "1"), ("Two", "2")]),
        ("---\n\nEnglish: One\nHLXL: 1\n", [("One", "1")]),
    ],
)
def test_front_matter_is_skipped_and_entries_between_rules_are_not(
    text: str, expected: list[tuple[str | None, str | None]]
) -> None:
    assert said(parse_document(text, "a.md")) == expected


def test_a_table_without_outer_bars_and_in_a_document_with_entries_is_read() -> None:
    table = "English | LC-B\n--- | ---\nTwo | `[1000|0:2]`\nThree | [3] | 4 | 5\n"
    text = f"English: One\nHLXL: 1\n\n{table}\nEnglish: Six\nHLXL: 6\n"
    document = parse_document(text, "a.md")
    assert said(document) == [("One", "1"), ("Two", "{1000: {@0: 2}}"), ("Six", "6")]
    assert [(defect.line, defect.rule) for defect in document.quarantined] == [(7, rules.READABLE_ROW)]
    assert not any("no label" in reading.reading for reading in document.readings)


# Characters


@pytest.mark.parametrize(
    ("character", "meant"),
    [
        ("🐊", "🜊"), ("🐁", "🜁"), ("🌂", "🜂"), ("\uf70a", "🜊"), ("［", "["), ("｛", "{"), ("“", '"'), ("’", "'"),
        ("–", "-"), ("\u00a0", " "), ("⇒", "→"), ("Ø", "∅"), ("☒", "⊠"), ("◊", "◇"), ("Ａ", "A"), ("…", "..."),
        ("é", ""), ("漢", ""), ("★", ""),
    ],
)  # fmt: skip
def test_the_character_that_was_meant_is_named(character: str, meant: str) -> None:
    assert probably_meant(character, glyph=True) == meant


def test_no_glyph_is_suggested_in_a_sentence_or_a_string() -> None:
    document = parse_document('HLXL: 1\n\nEnglish: Say 😊\nHLXL: "a"\n\nEnglish: Say it\nHLXL: "😊"\n', "a.md")
    assert [defect.rule for defect in document.quarantined] == [rules.IN_VOCABULARY] * 2
    assert not any("probably" in defect.reason for defect in document.quarantined)


@pytest.mark.parametrize(
    ("label", "text", "hint"),
    [
        ("LC-R", '🜊1000🜁0 "x"🜁1 ["a"]🜂', "`[` is HLXL's notation"),
        ("LC-R", "🜃1, {C:14}🜄", "`{` is LC-T's notation"),
        ("HLXL", "[1, NULL]", "`NULL` is LC-T's notation"),
        ("HLXL", "[1, ∅]", "`∅` is LC-R's notation"),
        ("LC-T", "[1,&ada]", "`&` is LC-B's notation"),
        ("LC-B", "[[1,null]]", "`null` is HLXL's notation"),
    ],
)
def test_notation_of_another_format_is_named(label: str, text: str, hint: str) -> None:
    (defect,) = parse_document(f"HLXL: 1\n\nEnglish: It\n{label}: {text}\n", "a.md").quarantined
    assert defect.rule == rules.PARSES and defect.reason.endswith(hint)


def test_a_syntax_error_in_its_own_notation_has_no_hint() -> None:
    (defect,) = parse_document('HLXL: 1\n\nEnglish: It\nLC-R: 🜊1000🜁0 "a" "b"🜂\n', "a.md").quarantined
    assert "notation" not in defect.reason


# Sentences


def of(*pairs: tuple[str, str]) -> str:
    return "\n\n".join(f"English: {english}" + (f"\nHLXL: {hlxl}" if hlxl else "") for english, hlxl in pairs)


def test_sentences_that_differ_in_case_spaces_or_a_stop_contradict_each_other() -> None:
    corpus = collect(
        [parse_document(of(("Ping it", "1"), ("ping it.", "2"), ("Ping   IT", "1"), ("Stop", "3")), "a.md")]
    )
    assert [entry.english for entry in corpus.entries] == ["Stop"]
    assert [row.rule for row in corpus.quarantined] == [rules.SENTENCE_ONCE] * 3


def test_such_sentences_of_one_value_are_kept_and_so_are_those_whose_values_differ_alike() -> None:
    text = of(("Ping it", "1"), ("ping it.", "1"), ("The name Ada", '"Ada"'), ("the name ada", '"ada"'))
    corpus = collect([parse_document(text, "a.md")])
    assert len(corpus.entries) == 4 and not corpus.quarantined


def test_twins_share_a_split_also_if_one_has_no_value(tmp_path: Path) -> None:
    twins = "".join(
        f"English: {line[9:].lower()}.\n\n" for line in small_text().splitlines() if line.startswith("English")
    )
    document = tmp_path / "a.md"
    document.write_text(f"{small_text()}\n## Alone\n\n{twins}", encoding="utf-8")
    rows = store.load(build([document], Artifacts.at(tmp_path), seq_length=256).examples)
    splits: dict[str, set[str]] = {}
    for row in rows.to_pylist():
        splits.setdefault(row["english"].lower().removesuffix("."), set()).add(row["split"])
    assert rows.num_rows == 96 and {len(found) for found in splits.values()} == {1}
    assert len(set.union(*splits.values())) == 3


def test_a_sentence_without_a_value_that_is_also_elsewhere_is_left_out() -> None:
    text = "English: Ping\nHLXL: 1\n\n## Alone\n\nEnglish: Ping\nEnglish: Stop\nEnglish: Stop\n"
    corpus = collect([parse_document(text, "a.md")])
    assert [entry.english for entry in corpus.entries] == ["Ping", "Stop"] and not corpus.quarantined
    assert ("a sentence without HLX that is also elsewhere says nothing new", 2) in [
        (reading.reading, reading.places) for reading in corpus.readings
    ]


# Lengths


def test_of_a_long_entry_each_corpus_uses_what_fits(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    value = '"' + " ".join(["word"] * 45) + '"'
    document.write_text(f"{small_text()}\nEnglish: A long text\nHLXL: {value}\n", encoding="utf-8")
    built = build([document], Artifacts.at(tmp_path), seq_length=256)
    derived = {asset: store.read(store.verify(corpus.directory)) for asset, corpus in built.derived.items()}
    texts = {asset: tables.model_texts(store.load(corpus)) for asset, corpus in derived.items()}
    assert all(len(text) + 2 <= 256 for found in texts.values() for text in found)
    assert (len(texts["english_corpus"]), len(texts["hlx_corpus"]), len(texts["paired_corpus"])) == (
        49,
        196,
        49 * 8 + 48,
    )
    rows = store.load(built.examples).to_pylist()
    assert [row["split"] for row in rows if row["english"] == "A long text"] == ["train"]


def test_the_sequence_length_is_in_the_version_only_if_something_is_left_out(tmp_path: Path) -> None:
    value = '"' + " ".join(["word"] * 45) + '"'
    versions = []
    for text in (small_text(), f"{small_text()}\nEnglish: A long text\nHLXL: {value}\n"):
        (tmp_path / "a.md").write_text(text, encoding="utf-8")
        for seq_length in (256, 300):
            versions.append(build([tmp_path / "a.md"], Artifacts.at(tmp_path), seq_length=seq_length).directories)
    assert versions[0] == versions[1]
    assert all(versions[2][asset] != versions[3][asset] for asset in versions[2])


JUNK = st.sampled_from(
    ['"', ",", ";", "\n", "\r\n", "{", "}", "[", "]", ":", "|", "english", "hlxl", "lc_r", "input", "output", "null",
     "5", "\u200b", "\ufeff", "---", "#", "```", "Convert to LC-T: ", "\t", "\\", " ", "\x00", "🜊", "é", "NULL"]
)  # fmt: skip


@given(st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a.txt", "a.md", "a.parquet"]), st.lists(JUNK, max_size=40))
def test_any_text_at_all_of_any_name_is_read_or_refused_in_one_line(name: str, pieces: list[str]) -> None:
    head = {"a.csv": "english,hlxl\n", "a.md": "| english | hlxl |\n|---|---|\n"}.get(name, "")
    try:
        document = parse_document(head + "".join(pieces), name)
    except CorpusError as error:
        assert "\n" not in str(error)
        return
    assert all("\n" not in defect.reason for defect in document.quarantined)
    collect([document])


@given(st.lists(JUNK, max_size=12), st.lists(JUNK, max_size=12))
def test_any_question_and_answer_at_all_are_read_or_refused(asked: list[str], answer: list[str]) -> None:
    rows = {"hlxl": "1"}, {"input": "".join(asked), "output": "".join(answer)}
    assert parse_document(lines(*rows), "a.jsonl").entries_read <= 2


def test_sentences_without_values_may_lie_beside_composed_entries(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("A sentence alone\nAnother one\n", encoding="utf-8")
    document = keep_documents(Artifacts.at(tmp_path), [tmp_path / "mine.txt"], composed=5)
    assert [kept.name for kept in kept_documents(document)] == ["mine.txt", "composed-5-seed-0.md"]
