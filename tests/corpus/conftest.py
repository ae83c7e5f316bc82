"""Documents that many claims are about, read once."""

import os
from pathlib import Path

import pytest

from hlx_model.corpus import Document, compose, parse_document, read_document

_SHARED = Path(os.environ.get("HLX_SHARED", Path(__file__).parents[2] / ".." / "shared"))


@pytest.fixture(scope="session")
def real_document() -> Document:
    path = _SHARED / "corpus" / "corpus_all_variants.md"
    if not path.exists():
        pytest.skip(f"{path} is not here; set HLX_SHARED to the directory that holds corpus/")
    return read_document(path)


@pytest.fixture(scope="session")
def composed_text() -> str:
    return compose(5000, seed=1)


@pytest.fixture(scope="session")
def composed_document(composed_text: str) -> Document:
    return parse_document(composed_text, "composed.md")
