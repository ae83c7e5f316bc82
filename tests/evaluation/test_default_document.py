"""The project's own evaluation document: readable in full, wide, and not what composed corpora say."""

import re
from collections import Counter
from importlib.resources import files

import pytest

from hlx_model.composer.sampling import compose
from hlx_model.corpus import Document, parse_document
from hlx_model.profiles import PROFILES

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


def test_composed_corpora_say_few_of_its_sentences(document: Document, capsys: pytest.CaptureFixture[str]) -> None:
    """On average of three seeds, with as many entries as `quick` composes. Measured: 17%, of the first things 56%."""
    by_section = {str(entry.english): entry.section for entry in document.entries}
    total, seen, seeds = Counter(by_section.values()), Counter[str](), range(3)
    for seed in seeds:
        said = re.findall("^English: (.*)$", compose(PROFILES["quick"].entries, seed), re.MULTILINE)
        composed = {folded(sentence) for sentence in said}
        seen += Counter(section for sentence, section in by_section.items() if folded(sentence) in composed)
    share, first = seen.total() / total.total() / len(seeds), seen["First things"] / total["First things"] / len(seeds)
    with capsys.disabled():
        print(f" {share:.0%} of the evaluation's sentences stand in a corpus of quick, {first:.0%} of first things")
    assert share < 0.30 and first < 0.60
