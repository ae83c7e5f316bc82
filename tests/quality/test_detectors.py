"""What broken models on record wrote is told from what healthy ones write."""

import pytest

from hlx_model.corpus import Document, compose, parse_document, read_document
from hlx_model.quality.detectors import collapsed, parroted
from tests.shared import real_corpus

# The failure report's transcripts (2025-12-18), prompt and output, its glyphs restored.
PARROTING_10M = [
    ("Search for documents", "Search for documents..."),
    ("Filter active users", "Filter active users..."),
    ("HLX: search documents", "HLX: search documents..."),
    ("HLXL: SEARCH documents WHERE status = active", "HLXL: SEARCH documents WHERE status = active..."),
    ('LC-R: 🜊1000🜁0 "search"🜁1', 'LC-R: 🜊1000🜁0 "search"🜁1...'),
]
SCRAMBLED_100M = [
    ("Search for documents", 'Search for documents000:{@rorm"s"🜁1 &doch1 &h_documpnts2...'),
    ("Filter active users", 'Filter active users100.trit{1{@0:"zex",1: ⟁tuesult...'),
    ("HLX: search documents", "HLX: search documents1:@searzh  🜃 🜁1 &doc  🜀..."),
    ("HLXL: SEARCH documents WHERE status = active", "HLXL: SEARCH documents WHERE status = active000:{@SEA..."),
]
COLLAPSE_250M = [
    ("Search for documents", "Search for documents:::::::::::::::::::::pppppppppppp..."),
    ("Filter active users", "Filter active users::::pppp::::pppp::::pppp..."),
    ("HLX: search documents", "HLX: search documents::::::::::::::::::..."),
    ("HLXL: SEARCH documents WHERE status = active", "HLXL: SEARCH documents WHERE status = active::::::::..."),
]


@pytest.mark.parametrize(("given", "output"), PARROTING_10M)
def test_the_10m_models_parroting_is_seen(given: str, output: str) -> None:
    assert parroted(given, output)


@pytest.mark.parametrize(("given", "output"), SCRAMBLED_100M)
def test_the_100m_models_outputs_begin_with_their_prompts(given: str, output: str) -> None:
    assert parroted(given, output)


@pytest.mark.parametrize(("given", "output"), COLLAPSE_250M)
def test_the_250m_models_collapse_is_seen(given: str, output: str) -> None:
    assert parroted(given, output) or collapsed(output)


@pytest.mark.parametrize(("given", "output"), COLLAPSE_250M[:3])
def test_a_collapse_is_seen_with_its_prompt_before_it_and_without(given: str, output: str) -> None:
    assert collapsed(output)
    assert collapsed(output.removeprefix(given))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":" * 10, True),
        (":" * 9, False),
        ("ab" * 6, True),  # 12 symbols of two kinds
        ("abc" * 8, True),
        ("abc" * 7 + "ab", False),
        ("users, " * 5, True),
        ("Search for documents " + "&h_doc " * 4, True),
        ("users, files, orders, logs", False),
        ("", False),
        (" . . ...", False),
        ("\n" * 12, True),
    ],
)
def test_collapse_is_ten_of_one_symbol_or_a_short_unit_over_24(text: str, expected: bool) -> None:
    assert collapsed(text) == expected


@pytest.mark.parametrize(
    ("given", "answer", "expected"),
    [
        ("Sort the users", "Sort the users", True),
        ("Sort the users", " Sort the users . ", True),
        ("Sort the users", "Sort the user", True),
        ("Sort the users", "sort tHe users", False),
        ("Sort the users", "Sort the users by age", True),
        ("Sort the users", "Count the users", False),
        ("Sort the users", '{1000: {@0: "sort", @1: &h_users}}', False),
        ("5", "[0x05]", False),
        ("[5]", "[5]", True),
        ("Sort the users", "", False),
        ("", "Sort the users", False),
        ("Sort the users", "...", False),
    ],
)
def test_parroting_is_the_prompt_again_or_nearly(given: str, answer: str, expected: bool) -> None:
    assert parroted(given, answer) == expected


def lines(document: Document) -> list[str]:
    return [text for entry in document.entries for text in (entry.english, *entry.texts) if text is not None]


def test_no_line_of_a_composed_corpus_is_taken_for_a_collapse() -> None:
    assert [text for text in lines(parse_document(compose(3000, seed=4), "composed.md")) if collapsed(text)] == []


def test_no_line_of_the_real_corpus_is_taken_for_a_collapse() -> None:
    found = lines(read_document(real_corpus()))
    assert len(found) == 163 * 5
    assert [text for text in found if collapsed(text)] == []
