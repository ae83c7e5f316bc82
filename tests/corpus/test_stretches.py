"""Entries that are found as stretches are those that are found line by line, whatever is around them."""

import io
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_model.corpus import CorpusError, Document, parse_document, sources
from hlx_model.corpus.labels import labelled
from hlx_model.corpus.pairing import blocks
from hlx_model.corpus.parts import Block, cleaned
from hlx_model.corpus.stretches import Stretch, stretches
from hlx_model.model.tokenizer import CHARACTERS

SEVEN = "English: Number seven\nHLXL: 7\nLC-R: 7\nLC-T: 7\nLC-B: [0x07]\n\n"
ANOTHER = "English: The number seven  \nLC-T: 7\nHLXL: 7 \n\n"
LONG = f'"{"a" * 70}"'
PIECES = (
    *(SEVEN, SEVEN, SEVEN, ANOTHER, ANOTHER),
    *(SEVEN[:-1], SEVEN.replace("\n", "\r\n"), SEVEN.replace("Number", "N\u00fcmber")),
    *(SEVEN.replace("seven", "2: seven → 7"), SEVEN.replace("[0x07]", "[0x08]"), SEVEN.replace("LC-T: 7", "LC-T: {7")),
    *(SEVEN.replace("LC-R", "HLXL"), "English: 7\nHLXL: Number seven\n\n"),
    "English: Number `7`\nHLXL: 007\nLC-B: **[0x7]**\n\n",
    *(f"English: Too long\nHLXL: {LONG * 4}\n\n", f"English: Longer\nHLXL: {LONG}\nLC-T: {LONG}\n\n"),
    *("HLXL: 7\n", "HLXL: 7\n\n", "English: Alone\n\n", "English: Alone\n", "English:\nBelow it\n\nHLXL:\n\n"),
    *("HLXL: 7\nEnglish: It is above\n\n", "English: Never closed\nLC-B: [\n"),
    *("## Section\n", "## Another section ##\n\n", "# Title\n", "---\n", "Prose.\n", "\n"),
    *("```\n", "```hlxl\n7\n```\n", "~~~\n", "<!-- ", "-->\n"),
    *("| English | HLXL |\n|---|---|\n| Number seven | 7 |\n", "| a | b |\n"),
    *("key: value\n", "Enlgish: Seven\n", "> ", "- ", "\ufeff", "\u200b"),
)
"""Joined at random, they put entries into all that may be around them."""


def read(text: str, *, by_line: bool = False) -> Document | str:
    """Return what is read from a text, or the error; by line: without stretches."""
    with patch.object(sources, "stretches", _lines) if by_line else patch.object(sources, "_AT_ONCE", 300):
        try:
            return parse_document(text, "corpus.md", seq_length=200)
        except CorpusError as error:
            return str(error)


def _lines(text: str) -> list[str]:
    return [part for line in text.removesuffix("\n").split("\n") for part in line.removesuffix("\r").split("\r")]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_stretches_change_nothing(text: str) -> None:
    assert read(text) == read(text, by_line=True)


@pytest.mark.parametrize("between", PIECES)
def test_what_is_between_two_stretches_changes_nothing(between: str) -> None:
    text = f"{SEVEN * 2}{between}{ANOTHER * 2}{SEVEN}{between}{between}{SEVEN * 3}"
    assert read(text) == read(text, by_line=True)


@pytest.mark.parametrize("content", [b"\xff", b"\0", b"\n\0\n\xff", b"\n\xff\n\0", b"\r\xff"])
@pytest.mark.parametrize("begin", ["", "\ufeff"])
def test_the_place_of_a_wrong_byte_is_that_of_its_line(content: bytes, begin: str) -> None:
    document = f"{begin}{SEVEN * 10}".encode() + content + SEVEN.encode()
    by_line = _error(document, by_line=True)
    assert "at byte offset" in by_line
    assert _error(document) == by_line


def _error(content: bytes, *, by_line: bool = False) -> str:
    file = io.BytesIO(content)
    with pytest.raises(CorpusError) as raised:
        list(sources._decoded(file, "corpus.md")) if by_line else list(sources.read_blocks(file, "corpus.md", {}))
    return str(raised.value)


def test_entries_in_the_commonest_form_are_not_read_line_by_line() -> None:
    text = f"# Title\n\n## Section\n\n{SEVEN * 3}{SEVEN.replace('[0x07]', '[0x08]')}{ANOTHER}"
    found, last = blocks(labelled(stretches(text), {}))
    assert isinstance(found, Stretch)
    assert (found.entries, found.line, found.section) == (4, 5, "Section")
    assert [block.line for block in found.blocks()] == [5, 11, 17, 23]
    assert (found.first.line, found.last.line) == (5, 23)
    assert isinstance(last, Block)
    assert last.line == 29


def test_the_mark_of_a_fenced_block_touches_the_last_entry() -> None:
    text = f"{SEVEN}{ANOTHER * 2}```\n```\nHLXL: 7\n\n"
    found = read(text)
    assert found == read(text, by_line=True)
    assert isinstance(found, Document)
    assert [defect.reason for defect in found.quarantined] == ["HLXL given more than once"]


def test_characters_of_the_vocabulary_are_never_cleaned() -> None:
    assert cleaned(CHARACTERS) == (CHARACTERS, frozenset())
