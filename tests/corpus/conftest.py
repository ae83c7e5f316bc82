"""Documents that many claims are about, read once, and entries without a document."""

import pytest

from hlx_model.composer.sampling import compose
from hlx_model.corpus import Document, Entry, operation_of, parse_document, read_document
from hlx_model.language import Format, Value, parse, render
from tests.shared import real_corpus


def entry_of(english: str | None, value: Value, *, document: str = "corpus.md", line: int = 1) -> Entry:
    texts = tuple(render(value, format) for format in Format)
    return Entry(document, line, line, line + 4, "", operation_of(value), english, texts)


def value_of(entry: Entry) -> Value:
    return parse(entry.texts[0], Format.HLXL)


@pytest.fixture(scope="session")
def real_document() -> Document:
    return read_document(real_corpus())


@pytest.fixture(scope="session")
def composed_text() -> str:
    return compose(5000, seed=1)


@pytest.fixture(scope="session")
def composed_document(composed_text: str) -> Document:
    return parse_document(composed_text, "composed.md")
