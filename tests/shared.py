"""What the project gives its tests to read and never copies: found by `HLX_SHARED`, by default `../shared`."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("HLX_SHARED", Path(__file__).parents[2] / "shared"))


def shared(folder: str, name: str) -> Path:
    """A file that the project gives; the test is skipped, and says why, where it is absent."""
    path = SHARED / folder / name
    if not path.exists():
        pytest.skip(f"{path} is not here: set HLX_SHARED to the folder that holds {folder}/")
    return path


def real_corpus() -> Path:
    """The users' corpus document of 164 entries."""
    return shared("corpus", "corpus_all_variants.md")
