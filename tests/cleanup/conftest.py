import shutil
from pathlib import Path

import pytest

from tests.cleanup.home import Home
from tests.conftest import Curriculum


@pytest.fixture
def home(curriculum: Curriculum, tmp_path: Path) -> Home:
    return Home(shutil.copytree(curriculum.root, tmp_path / "artifacts", symlinks=True), curriculum)
