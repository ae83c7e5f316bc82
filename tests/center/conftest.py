"""Homes and Training Centers."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from hlx_assets.center.context import Center
from tests.support.center import center_of, client_of
from tests.support.dagster_home import Home
from tests.support.homes import curriculum, empty_home_with_databases, home

__all__ = ["curriculum", "empty_home_with_databases", "home"]


@pytest.fixture
def empty_home(empty_home_with_databases: Home) -> Home:
    """A home in which nothing was made but its databases."""
    return empty_home_with_databases


@pytest.fixture
def center(empty_home: Home) -> Iterator[Center]:
    with center_of(empty_home) as made:
        yield made


@pytest.fixture
def client(center: Center) -> Iterator[TestClient]:
    with client_of(center) as made:
        yield made
