"""Documents in every shape that the field has, what each gives, and one document for each rule it can break."""

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_model.corpus import Collection, CorpusError, collect, parse_document, read_corpus, read_document, rules
from hlx_model.language import Format

FOLDER = Path(__file__).parent
DOCS = FOLDER.parents[1] / "docs" / "corpus.md"
BEGIN, END = "<!-- shapes: written by tests/corpus/test_shapes.py -->", "<!-- end of shapes -->"
SHAPES = {
    "standard": "five lines an entry; headings, tables, rules, bold notes and prose around them",
    "missing_formats": "some formats only, or a label left empty",
    "without_english": "format lines without a sentence",
    "label_spellings": "labels in other spellings: bold, lists, quotations, headings, `lc_t:`, `LC-R (runic):`",
    "text_below": "the text on the lines below the label, or going on there",
    "fenced_text": "the text in a fenced block below the label",
    "fenced_language": "fenced blocks whose language is the format",
    "fenced_entries": "whole entries in a fenced block",
    "fenced_unnamed": "a fenced block that names no format",
    "sentence_below": "the sentence below its HLX",
    "unclear_order": "a sentence between HLX above and HLX below",
    "comments": "HTML comments",
    "labels_in_prose": "labels in prose, and a label mistyped",
    "spellings": "HLX in another spelling",
    "carriage_returns": "lines that end in CR LF",
    "byte_order_mark": "a byte order mark, lines that end in CR",
    "decomposed": "decomposed Unicode",
    "zero_width": "zero-width characters, soft hyphens, variation selectors",
    "front_matter": "front matter, which may have a key `english`",
    "english_alone": "sentences without HLX: two or more, or a section of them",
    "exchanged": "a sentence below the label of a format, and its HLX below `English`",
    "long_examples": "an entry of which some examples are longer than the sequence length",
    "table": "a table with a column `English` and columns of formats",
    "sentences": "a text file, `.txt`, of one sentence a line",
    "rows": "JSON Lines, `.jsonl`, with columns of any usual spelling; also Parquet, `.parquet`",
    "cells": "CSV, `.csv`, separated by commas, semicolons or tabs",
    "instructions": "questions and answers (`prompt` and `completion` …) that are both values",
}


def document(folder: str, name: str) -> Path:
    return next((FOLDER / folder).glob(f"{name}.*"))


def read(folder: str, name: str) -> Collection:
    path = document(folder, name)
    return collect([read_document(path, name=path.name)])


def test_every_document_has_its_row_and_its_rule() -> None:
    assert {path.stem for path in (FOLDER / "shapes").iterdir()} == set(SHAPES)
    assert {path.stem for path in (FOLDER / "defects").iterdir()} == {
        value for name, value in vars(rules).items() if name.isupper() and isinstance(value, str)
    }


def table() -> str:
    lines = ["| document | shape | gives | reading taken |", "|---|---|---|---|"]
    for name, shape in SHAPES.items():
        corpus = read("shapes", name)
        sentences = sum(entry.english is not None for entry in corpus.entries)
        gives = [f"{sentences} with a sentence"] if sentences else []
        if len(corpus.entries) > sentences:
            gives.append(f"{len(corpus.entries) - sentences} without")
        gives += [f"line {q.line} in quarantine: {q.reason}" for q in corpus.quarantined]
        said = "; ".join(f"{r.reading} (line {r.line}{', …' * (r.places > 1)})" for r in corpus.readings)
        file = document("shapes", name).name
        lines.append(f"| [`{name}`](../tests/corpus/shapes/{file}) | {shape} | {'; '.join(gives)} | {said} |")
    return "\n".join(lines)


def test_the_documentation_says_what_each_shape_gives() -> None:
    """`HLX_UPDATE_DOCS=1 make test ARGS=tests/corpus/test_shapes.py` writes the table."""
    text = DOCS.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    wanted = f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"
    if os.environ.get("HLX_UPDATE_DOCS"):
        DOCS.write_text(wanted, encoding="utf-8")
    assert DOCS.read_text(encoding="utf-8") == wanted


def sentences(corpus: Collection) -> dict[str, tuple[str, ...]]:
    return {entry.english: entry.texts for entry in corpus.entries if entry.english is not None}


SEARCH = (
    '{1000: {@0: "search", @1: &h_letters}}',
    '🜊1000🜁0 "search"🜁1 ⟁letters🜂',
    '{C:1000,0="search",1=@letters}',
    '[1000|0:"search"|1:&letters]',
)


def number(n: int) -> tuple[str, ...]:
    return (str(n), str(n), str(n), f"[{n:#04x}]")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("standard", {"Search for letters": SEARCH, "Number five": number(5)}),
        ("missing_formats", {"Search for letters": SEARCH, "Number five": number(5)}),
        (
            "label_spellings",
            {
                "Search for letters": SEARCH,
                **{f"Number {word}": number(5 + i) for i, word in enumerate(("five", "six", "seven", "eight"))},
            },
        ),
        (
            "text_below",
            {
                "Search for letters": SEARCH,
                "A sentence that is long and goes on below": ("[1, 2]", "🜃1, 2🜄", "[1,2]", "[[0x01,0x02]]"),
                "List of one": ("[1]", "🜃1🜄", "[1]", "[[0x01]]"),
            },
        ),
        ("fenced_text", {"Search for letters": SEARCH}),
        ("fenced_language", {"Search for letters": SEARCH}),
        (
            "fenced_entries",
            {
                "Search for letters": SEARCH,
                **{f"Number {word}": number(n) for n, word in ((5, "five"), (6, "six"), (8, "eight"))},
            },
        ),
        ("fenced_unnamed", {"Search for letters": SEARCH, "List of fourteen": ("[14]", "🜃14🜄", "[14]", "[[0x0e]]")}),
        ("sentence_below", {"Number five": number(5), "Number six": number(6)}),
        ("unclear_order", {}),
        ("comments", {"Number five": number(5)}),
        ("labels_in_prose", {"Number six": number(6)}),
        ("spellings", {"Number one thousand": ("1000", "1000", "1000", "[0x3e8]")}),
        ("carriage_returns", {"Number five": number(5), "Number six": number(6)}),
        ("byte_order_mark", {"Number five": number(5)}),
        ("decomposed", {"Level of 5 K": number(5)}),
        ("without_english", {"Number six": number(6)}),
        ("zero_width", {"Number five": number(5), "Number six": number(6)}),
        ("front_matter", {"Number five": number(5)}),
        (
            "english_alone",
            {
                **{"Number five": number(5), "Number six": number(6)},
                **dict.fromkeys(("Water the tulips", "Feed the hens", "Close the shed"), ()),
            },
        ),
        ("exchanged", {"Number five": number(5), "Search for letters": SEARCH}),
        ("table", {"Search for letters": SEARCH, "Number five": number(5), "Number six": ()}),
        ("sentences", {"Water the tulips": (), "Feed the hens": ()}),
        ("rows", {"Search for letters": SEARCH, "Number six": number(6)}),
        ("cells", {"Search for letters": SEARCH, "Number five": number(5)}),
        ("instructions", {}),
    ],
)
def test_a_sentence_meets_its_own_hlx_in_every_shape(name: str, expected: dict[str, tuple[str, ...]]) -> None:
    assert sentences(read("shapes", name)) == expected


def test_hlx_without_a_sentence_is_an_entry_of_its_own() -> None:
    corpus = read("shapes", "without_english")
    assert [entry.texts[0] for entry in corpus.entries if entry.english is None] == ["5", "[1, 2]", "true"]
    assert [entry.line for entry in corpus.entries] == [1, 6, 10, 13]
    unclear = read("shapes", "unclear_order")
    assert [entry.texts[0] for entry in unclear.entries] == ["5", "6", "7"]
    assert all(entry.english is None for entry in unclear.entries)


def test_what_was_rendered_is_marked() -> None:
    first, second = read("shapes", "missing_formats").entries
    assert first.rendered == (Format.HLXL, Format.LC_T, Format.LC_B)
    assert second.rendered == (Format.LC_R, Format.LC_T)


def test_a_label_that_is_none_is_pointed_out() -> None:
    said = [reading.reading for reading in read("shapes", "labels_in_prose").readings]
    assert "prose that begins with `Enlgish` is no label" in said


DEFECTS = sorted(path.stem for path in (FOLDER / "defects").iterdir())


@pytest.mark.parametrize("rule", DEFECTS)
def test_a_document_that_breaks_one_rule_loses_that_entry_alone_and_names_it(rule: str) -> None:
    corpus = read("defects", rule)
    (defect,) = corpus.quarantined
    line = document("defects", rule).read_text(encoding="utf-8").split("\n")[defect.line - 1]
    assert defect.rule == rule
    assert line == defect.found or (defect.english or "").startswith(line.removeprefix("English:").strip())
    assert defect.reason and "\n" not in defect.reason
    assert "Number five" in sentences(corpus)


BETWEEN = ["\n", "\n\n", "\n\n---\n\n", "\n\n## Next\n\n", "\n\nSome prose.\n\n"]


@pytest.mark.parametrize(
    ("order", "gap", "between"),
    [
        (order, gap, between)
        for order in ("first", "last")
        for gap in ("\n", "\n\n")
        for between in BETWEEN
        # Sentences last, and blank lines within the entries alone: each stands right above another's HLX,
        # and nothing tells such a document from one with sentences first.
        if (order, gap, between) != ("last", "\n\n", "\n")
    ],
)
def test_no_sentence_ever_meets_the_hlx_of_another(order: str, gap: str, between: str) -> None:
    """Whatever the order and the gaps, a sentence has its own HLX or none."""
    entries = []
    for n in range(5):
        parts = [f"English: Number {n}", f"HLXL: {n}", f"LC-T: {n}"]
        if n == 2:
            parts = parts[:1]  # its HLX is missing: the one below must not take its place
        entries.append(gap.join(parts if order == "first" else parts[::-1]))
    corpus = collect([parse_document(between.join(entries), "corpus.md")])
    for entry in corpus.entries:
        assert entry.english in (None, f"Number {entry.texts[0]}")
    # Where blank lines stand within the entries alone, nothing is certain but the first; where they stand
    # everywhere, the sentence after one that has no HLX may be the one whose answer was lost.
    if gap == "\n" if order == "last" else (gap, between) != ("\n\n", "\n"):
        assert len(sentences(corpus)) >= (4 if gap == "\n" else 3)


LINES = st.sampled_from(
    [
        *(
            "English: Number five",
            "English:",
            "**English:** Number six",
            "HLXL: 5",
            "LC-R: 6",
            "lc_t: 5",
            "LC-B: [0x05]",
        ),
        *(
            "HLXL:",
            "5",
            "6",
            "",
            "",
            "```",
            "```hlxl",
            "~~~",
            "## Section",
            "---",
            "prose",
            "- item",
            "> quoted",
            "<!--",
        ),
        *("-->", "| a | b |", "**Note**: x", "Enlgish: Number five", "HLXL: {", "}", "\t", "\ufeff", "LC-R: 🜊", "`5`"),
    ]
)


@given(st.lists(LINES, max_size=40))
def test_any_document_at_all_is_read_or_refused_and_no_line_counts_twice(lines: list[str]) -> None:
    try:
        document = parse_document("\n".join(lines), "corpus.md")
    except CorpusError as error:
        assert "\n" not in str(error)
        return
    spans = sorted((entry.first_line, entry.last_line) for entry in document.entries)
    assert all(last < first for (_, last), (first, _) in pairwise(spans))
    for entry in document.entries:
        assert entry.first_line <= entry.line <= entry.last_line <= len(lines)
        if entry.english is not None:
            # With a sentence: each of its words stands in its own lines.
            said = " ".join(lines[entry.first_line - 1 : entry.last_line])
            assert entry.english.split()[-1] in said


@given(st.text(max_size=300))
def test_any_text_at_all_is_a_document_or_refused(text: str) -> None:
    try:
        parse_document(f"English: Number five\nHLXL: 5\n\n{text}", "corpus.md")
    except CorpusError as error:
        assert "\n" not in str(error)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Entries in many shapes, each with its number in its sentence and in its HLX; some have no sentence."""
    lines: list[str] = []
    for n in range(draw(st.integers(1, 6))):
        texts = dict(zip(Format, number(n), strict=True))
        formats = draw(st.lists(st.sampled_from(list(Format)), min_size=1, max_size=4, unique=True))
        style = draw(st.sampled_from(["line", "below", "fence", "language"]))
        parts = []
        for format in formats:
            block = ["```", texts[format], "```"]
            shapes = {"line": [f"{format}: {texts[format]}"], "below": [f"{format}:", texts[format]]}
            shapes |= {"fence": [f"**{format}:**", *block], "language": [f"```{format.lower()}", *block[1:]]}
            parts.append(shapes[style])
        if draw(st.integers(0, 5)):
            sentence = [f"English: Number {n}"]
            parts = [sentence, *parts] if draw(st.booleans()) else [*parts, sentence]
        if style == "line" and draw(st.booleans()):
            gap = draw(st.sampled_from([[], [""]]))
            lines += ["```", *(line for part in parts for line in (*part, *gap)), "```"]
        else:
            lines += [line for part in parts for line in part]
        lines += draw(
            st.sampled_from([[""], ["", "", ""], ["", "Some prose.", ""], ["", "---", ""], ["", "## Next", ""]])
        )
    return "\n".join(lines)


@given(documents())
def test_whatever_the_shapes_and_orders_a_sentence_has_its_own_hlx_or_none(text: str) -> None:
    try:
        document = parse_document(text, "corpus.md")
    except CorpusError:
        return
    for entry in document.entries:
        assert entry.english in (None, f"Number {entry.texts[0]}"), text


NEITHER: dict[str, str] = {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Prose that was meant as a label ends the entry above it.
        ("English: a one\n\nEnlgish: b two\nHLXL: 2", NEITHER),
        ("English: a one\n\n**English** b two\n\nHLXL: 2", NEITHER),
        ("English: a one\n\n• English: b two\n\nHLXL: 2", NEITHER),
        ("English: a one\nHLXL: 1\n\nThe same as a list:\n\nHLXL: [1]", {"a one": "1"}),
        # Questions listed, then answers listed.
        ("English: a one\n\nEnglish: b two\n\nHLXL: 1\n\nHLXL: 2", NEITHER),
        ("English: a one\nEnglish: b two\n\nHLXL: 1\n\nHLXL: 2", NEITHER),
        # As many sentences are left over in one order as in the other.
        ("English: a one\n\nHLXL: 2\n\nEnglish: b two\n\nHLXL: 3\n\nEnglish: c three", NEITHER),
        ("HLXL: 1\n\nEnglish: a one\n\nHLXL: 2\n\nEnglish: b two", NEITHER),
        # A sentence is never cut short.
        ("> English: Delete it\n> only if it is empty\n> HLXL: 1", {"Delete it only if it is empty": "1"}),
        ("English: Delete all\n**except the last**\nHLXL: 1", NEITHER),
        ("English: Show\n- red\n- blue\nHLXL: 1", NEITHER),
        ("English:\n- Search for x\n- Find x\nHLXL: 1", NEITHER),
        ("English: a one HLXL: 1\n\nHLXL: 2", NEITHER),
        ("English: **Search** for **it**\nHLXL: 1", {"**Search** for **it**": "1"}),
        ("English: a one<br>\nHLXL: 1", NEITHER),
        # The language of a fenced block is heeded, in an outer block and in a list too.
        ("English: a one\nHLXL:\n```lc-b\n[1]\n```", NEITHER),
        ("English: a one\n```hlxl\n1\n2\n```", NEITHER),
        ('English: a one\n```lc-b title="x"\n[1]\n```', {"a one": "1"}),
        ("````\nEnglish: a one\n```lc-b\n[1]\n```\n````", {"a one": "1"}),
        ("English: a one\n- ```lc-b\n  [1]\n  ```\n\nEnglish: b two\n```lc-b\n[2]\n```", {"a one": "1", "b two": "2"}),
        # Other spaces, bullets and numbers around labels.
        ("English\u00a0: a one\nHLXL\u00a0: 1", {"a one": "1"}),
        ("• English: a one\n• HLXL: 1", {"a one": "1"}),
        (">English: a one\n>HLXL: 1", {"a one": "1"}),
        ("- [ ] English 2: a one\n- [x] HLXL: 1", {"a one": "1"}),
        # What is commented out is not read, wherever the comment begins.
        ("Old: <!--\nEnglish: a one\nHLXL: 2\n-->\nEnglish: b two\nHLXL: 2", {"b two": "2"}),
        ("English: a b\nHLXL:\n- 100", NEITHER),
    ],
)
def test_an_entry_that_could_be_read_in_two_ways_is_not_taken(text: str, expected: dict[str, str]) -> None:
    document = parse_document(f"{text}\n\n---\n\nEnglish: the last\nHLXL: 99\n", "corpus.md")
    found = {entry.english: entry.texts[0] for entry in document.entries if entry.english is not None}
    assert found == {**expected, "the last": "99"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("### English\nb\n### HLXL\n2", "prose that begins with `English` is no label"),
        ("| English | HLXL |\n| b | 2 |", "prose that begins with `English` is no label"),
        ("| English | French |\n|---|---|\n| b | c |", "prose that begins with `English` is no label"),
        ("<p><b>English:</b> b</p>", "prose that begins with `English` is no label"),
        ("HXLX: 1", "prose that begins with `HXLX` is no label"),
        ("```\n[1, 2]\n```", "HLX that names no format and has no sentence is not read"),
    ],
)
def test_text_that_looks_like_an_entry_and_is_not_read_is_listed(text: str, said: str) -> None:
    document = parse_document(f"English: the first\nHLXL: 99\n\n---\n\n{text}", "corpus.md")
    assert [entry.english for entry in document.entries] == ["the first"]
    assert said in [reading.reading for reading in document.readings]


def test_a_document_named_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("English: a one\nHLXL: 1\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="named twice; name each document once"):
        read_corpus([path, tmp_path / "." / "a.md"])
