"""The project's own evaluation document: readable in full, wide, and not what composed corpora say."""

import re
from collections import Counter
from importlib.resources import files

import pytest

from hlx_model.composer.sampling import compose
from hlx_model.corpus import Document, parse_document

SECTIONS = 12


@pytest.fixture(scope="module")
def document() -> Document:
    text = files("hlx_model.evaluation").joinpath("default.md").read_text(encoding="utf-8")
    return parse_document(text, "default.md")


def folded(sentence: str) -> str:
    """Return a sentence without what is no difference: case, spaces, a final stop."""
    return " ".join(sentence.casefold().removesuffix(".").split())


def test_every_sentence_can_be_read_and_every_section_has_some(document: Document) -> None:
    assert not document.quarantined
    sentences = {entry.english: entry.section for entry in document.entries}
    assert None not in sentences and len(sentences) >= 380
    by_section = Counter(sentences.values())
    assert len(by_section) == SECTIONS and min(by_section.values()) >= 14
    assert by_section["First things"] >= 60 and by_section["Programs"] >= 25


def test_a_sentence_that_occurs_again_has_another_value(document: Document) -> None:
    assert len({(folded(str(entry.english)), entry.texts) for entry in document.entries}) == len(document.entries)


def test_a_composed_corpus_says_few_of_its_sentences(document: Document, capsys: pytest.CaptureFixture[str]) -> None:
    composed = {folded(sentence) for sentence in re.findall("^English: (.*)$", compose(25_000, seed=0), re.MULTILINE)}
    by_section = {str(entry.english): entry.section for entry in document.entries}
    seen = Counter(section for sentence, section in by_section.items() if folded(sentence) in composed)
    total = Counter(by_section.values())
    with capsys.disabled():
        print(
            f" {sum(seen.values())} of {len(by_section)} sentences of the evaluation stand in 25,000 composed entries"
        )
    assert sum(seen.values()) / len(by_section) < 0.30
    assert seen["First things"] / total["First things"] < 0.60
