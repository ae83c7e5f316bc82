"""Homes of Dagster: an empty one, and copies of one in which a curriculum was trained."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dagster_home import Home, Run, make_home, opened


@pytest.fixture
def empty_home(tmp_path: Path) -> Iterator[Home]:
    make_home(tmp_path / "home")
    with opened(tmp_path / "home") as home:
        yield home


@pytest.fixture(scope="session")
def curriculum(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Run]]:
    """A curriculum that is trained once: its home (to copy, not to change) and its run."""
    path = tmp_path_factory.mktemp("curriculum") / "home"
    make_home(path)
    with opened(path) as home:
        run = home.materialize()
    yield path, run


@pytest.fixture
def home(curriculum: tuple[Path, Run], tmp_path: Path) -> Iterator[Home]:
    """A copy of the home of the curriculum."""
    shutil.copytree(curriculum[0], tmp_path / "home")
    with opened(tmp_path / "home") as copy:
        yield copy
