"""Documents that many claims are about, read once."""

import pytest

from hlx_model.composer.sampling import compose
from hlx_model.corpus import Document, parse_document, read_document
from tests.support.documents import real_corpus


@pytest.fixture(scope="session")
def real_document() -> Document:
    return read_document(real_corpus())


@pytest.fixture(scope="session")
def composed_text() -> str:
    return compose(5000, seed=1)


@pytest.fixture(scope="session")
def composed_document(composed_text: str) -> Document:
    return parse_document(composed_text, "composed.md")
