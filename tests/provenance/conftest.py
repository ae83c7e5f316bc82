"""The artifacts of a curriculum, to change."""

import shutil
from pathlib import Path

import pytest

from tests.support.copies import ArtifactsCopy
from tests.support.curriculum import Curriculum


@pytest.fixture
def copy(curriculum: Curriculum, tmp_path: Path) -> ArtifactsCopy:
    return ArtifactsCopy(shutil.copytree(curriculum.root, tmp_path / "artifacts"), curriculum)
