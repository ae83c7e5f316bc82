"""200 clients of the WebSocket for a minute, one of which never reads: nobody waits, and memory stays."""

import pytest

from tests.support.center_clients import loaded
from tests.support.dagster_home import Home

MAX_GROWTH = 20e6
"""Bytes."""


@pytest.mark.slow
def test_200_clients_for_a_minute(empty_home: Home) -> None:
    found = loaded(empty_home)
    assert len(found.waits) > 20, "there were changes to wait for"
    assert found.grown < MAX_GROWTH, f"{found.grown / 1e6:.1f} MB"
