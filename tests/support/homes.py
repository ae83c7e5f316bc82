"""Fixtures of homes of Dagster: an empty one, and copies of one in which a curriculum was trained."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dagster_home import Home, Run, make_curriculum_home, make_home, opened
from tests.support.once import made_once


def _make(folder: Path) -> None:
    make_home(folder / "home")
    with opened(folder / "home") as made, made.instance() as instance:
        instance.get_runs()  # makes the databases, which takes most of the time of a test


@pytest.fixture
def empty_home(tmp_path: Path) -> Iterator[Home]:
    """A home in which nothing was made, without databases."""
    make_home(tmp_path / "home")
    with opened(tmp_path / "home") as home:
        yield home


@pytest.fixture
def empty_home_with_databases(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home in which nothing was made but its databases."""
    shutil.copytree(made_once(tmp_path_factory, "empty-home", _make) / "home", tmp_path / "home")
    with opened(tmp_path / "home") as copy:
        yield copy


@pytest.fixture(scope="session")
def curriculum(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """A curriculum that is trained once for all processes: its home (to copy, not to change) and its run."""
    made = made_once(tmp_path_factory, "curriculum-home", make_curriculum_home)
    path = tmp_path_factory.mktemp("curriculum") / "home"
    shutil.copytree(made / "home", path)
    with opened(path) as home, home.instance() as instance:
        return path, Run.of(instance, (made / "run").read_text(encoding="utf-8"))


@pytest.fixture
def home(curriculum: tuple[Path, Run], tmp_path: Path) -> Iterator[Home]:
    """A copy of the home of the curriculum."""
    shutil.copytree(curriculum[0], tmp_path / "home")
    with opened(tmp_path / "home") as copy:
        yield copy
