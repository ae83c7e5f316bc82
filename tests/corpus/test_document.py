"""What reading a corpus document promises."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hlx_model.corpus import CorpusError, Document, labels, meaning, parse_document, read_document, sources
from hlx_model.language import Contract, Format, Handle, render, same
from tests.support.documents import value_of

NAIVE = (r'"na\u00efve"', r'"na\u00efve"', r'"na\u00efve"', r'["na\u00efve"]')  # in the vocabulary until it is read
RESPELLED = "a spelling that is not canonical is learned in the canonical one"
FIRST = """English: Search for files
HLXL: {1000: {@0: "search", @1: &h_files}}
LC-R: 🜊1000🜁0 "search"🜁1 ⟁files🜂
LC-T: {C:1000,0="search",1=@files}
LC-B: [1000|0:"search"|1:&files]
"""
SECOND = """English: Number seven
HLXL: 7
LC-R: 7
LC-T: 7
LC-B: [0x07]
"""


def entry(english: str, hlxl: str = "1", lc_r: str = "1", lc_t: str = "1", lc_b: str = "[0x01]") -> str:
    return f"English: {english}\nHLXL: {hlxl}\nLC-R: {lc_r}\nLC-T: {lc_t}\nLC-B: {lc_b}\n"


def read(*texts: str) -> Document:
    return parse_document("\n".join(texts), "corpus.md")


def test_the_real_document_has_164_entries_of_which_one_contradicts_itself(real_document: Document) -> None:
    assert real_document.entries_read == 164
    assert len(real_document.entries) == 163
    assert [(r.line, r.places, r.reading) for r in real_document.readings] == [(79, 1, RESPELLED)]  # [0x03e8]
    (defect,) = real_document.quarantined
    assert (defect.line, defect.english) == (73, "Negative number")
    assert defect.reason == "LC-B `[0xff9c]` reads as 65436 where HLXL, LC-R and LC-T say -100"


def test_every_real_sentence_meets_the_value_on_the_line_after_it(real_document: Document) -> None:
    lines = Path(real_document.name).read_text(encoding="utf-8").split("\n")
    for item in real_document.entries:
        assert lines[item.line - 1] == f"English: {item.english}"
        assert lines[item.line] == f"HLXL: {render(value_of(item), Format.HLXL)}"


def test_real_entries_know_the_section_above_them(real_document: Document) -> None:
    sections = list(dict.fromkeys(item.section for item in real_document.entries))
    assert len(sections) == 8
    assert sections[0] == "SECTION 1: PRIMITIVES (20 examples)"


def test_markdown_around_entries_is_skipped() -> None:
    text = f"# Corpus\n\n**Version**: 1\n---\n| a | b |\n\n## Data ##\n### Finer\n\n{FIRST}\nProse.\n\n{SECOND}"
    document = parse_document(text, "corpus.md")
    assert [(item.english, item.line, item.section) for item in document.entries] == [
        ("Search for files", 10, "Data"),
        ("Number seven", 18, "Data"),
    ]
    assert same(value_of(document.entries[0]), Contract(1000, ((0, "search"), (1, Handle("files")))))
    assert document.entries[0].document == "corpus.md"


def test_an_entry_without_its_lines_never_takes_those_of_the_next() -> None:
    document = read("English: Find users\n", FIRST, SECOND)
    assert [item.english for item in document.entries] == ["Search for files", "Number seven"]
    (defect,) = document.quarantined
    assert (defect.line, defect.english) == (1, "Find users")
    assert defect.reason == "no HLX between this sentence and the next, or prose, a heading or a rule"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (entry(""), "the English sentence is empty"),
        (entry("One", lc_b="[0x02]"), "LC-B `[0x02]` reads as 2 where HLXL, LC-R and LC-T say 1"),
        (entry("One", hlxl="1.0"), "HLXL `1.0` reads as 1.0 where LC-R, LC-T and LC-B say 1"),
        (
            entry("One", hlxl="true", lc_r="⊤"),
            "LC-T `1` reads as 1 and LC-B `[0x01]` reads as 1 where HLXL and LC-R say true",
        ),
        (entry("One", lc_t="{C:"), "LC-T `{C:` cannot be read: LC-T line 1, column "),
        (entry("One") + "LC-R: 1\n", "LC-R given more than once"),
        (entry("null"), "the sentence is a line of HLXL"),
        (entry("Find 🜊"), "the sentence holds 🜊"),
        (entry("42!"), "the sentence has no letter"),
        (entry("Café ‽ é"), "English has characters outside the vocabulary: é (U+00E9 LATIN"),
        (entry("One", *NAIVE), "HLXL has characters outside the vocabulary: ï (U+00EF"),
    ],
)  # fmt: skip
def test_an_entry_with_a_defect_is_quarantined_whole_and_named(bad: str, reason: str) -> None:
    document = parse_document("\n".join((FIRST, bad, SECOND)), "corpus.md")
    assert [item.english for item in document.entries] == ["Search for files", "Number seven"]
    (defect,) = document.quarantined
    assert (defect.document, defect.line) == ("corpus.md", 7)
    assert defect.reason.startswith(reason)
    assert "\n" not in defect.reason


def test_an_example_of_exactly_the_sequence_length_is_used() -> None:
    tokens = len("[English] [0x07] → Number seven") + 2
    assert not parse_document(SECOND, "corpus.md", seq_length=tokens).entries[0].left_out
    document = parse_document(SECOND, "corpus.md", seq_length=tokens - 1)
    assert document.entries[0].left_out
    said = f"1 of its 14 examples left out, over {tokens - 1} tokens: LC-B to English ({tokens})"
    assert said in [reading.reading for reading in document.readings]


def test_an_entry_of_which_no_example_fits_is_quarantined() -> None:
    with pytest.raises(CorpusError, match="its shortest example, HLXL, has 7 tokens, over 6"):
        parse_document("English: Number seven\nHLXL: 65535\n", "corpus.md", seq_length=6)


def make_directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file; give the path of a corpus document"),
        (make_directory, "is a directory; name the corpus documents in it"),
        (lambda path: path.write_bytes(b" \n"), "is empty; write entries of English:"),
        (lambda path: path.write_bytes(b"English: caf\xe9\n"), "not UTF-8 at byte offset 12; save it as UTF-8"),
        (lambda path: path.write_text("# Notes\n"), "no entry found; each begins with a line such as 'English:"),
        (lambda path: path.write_text("HLXL: human-readable\n"), "no entry found"),
        (
            lambda path: path.write_text("Hi\nEnglish: One\nHLXL: 1\nLC-T: 2\n"),
            "none of its 1 entries is usable; mend them, beginning with line 2: LC-T `2` reads as 2 where HLXL says 1",
        ),
    ],
)
def test_an_unusable_document_is_one_line_naming_it_and_what_to_do(
    make: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "corpus.md"
    make(path)
    with pytest.raises(CorpusError) as raised:
        read_document(path)
    assert str(raised.value).startswith(f"{path}: {message}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("seq_length", [2, 513])
def test_a_sequence_length_that_no_model_has_is_refused(seq_length: int) -> None:
    with pytest.raises(ValueError, match=f"seq_length is {seq_length}: 3 to 512 tokens are allowed"):
        parse_document(SECOND, "corpus.md", seq_length=seq_length)


SHORT_WAYS = (
    FIRST, SECOND, f"{SECOND}\n{FIRST}", f"- {SECOND}", f"> {SECOND.replace(chr(10), chr(10) + '> ')}\n",
    "English:\nNumber **seven**\nHLXL: `7`\nLC-B: **[0x07]**\n", "```\nEnglish: Number seven\nHLXL: 7\n```\n",
    "english: Number seven\nhlxl: 7\n", "English: Is 7: seven\nHLXL: 7\n",
    "English： Number seven\nHLXL: 007\nLC-T: 7\n",
    "<!-- English: Not read\n\nHLXL: 8 -->\nEnglish: Number seven\nHLXL: 7\nLC-B: [0x7]\n",
    "| English | HLXL |\n|---|---|\n| Number seven | 7 |\nEnglish: Number | eight\nHLXL: 8\n",
    'English: A string\nHLXL: "é"\n\nEnglish: Number seven\nHLXL: 7\nLC-R: 8\n\nEnglish: Bad\nHLXL: {1000\nLC-T: 7\n',
)  # fmt: skip


@pytest.mark.parametrize("text", SHORT_WAYS)
def test_the_short_ways_of_plain_entries_change_nothing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches, labels without the pattern, and canonical texts that are read once for all sentences of a value."""
    quick = parse_document(f"{text}\n{SECOND.replace('Number', 'The number')}", "short.md")
    monkeypatch.setattr(labels, "_PLAIN", {})
    monkeypatch.setattr(meaning, "read_canonical", lambda given: None)
    monkeypatch.setattr(sources, "stretches", str.splitlines)
    assert parse_document(f"{text}\n{SECOND.replace('Number', 'The number')}", "short.md") == quick
