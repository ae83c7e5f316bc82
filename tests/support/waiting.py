"""Waiting for other processes."""

import time
from collections.abc import Callable

PATIENCE = 180.0
"""Seconds after which waiting fails."""


def wait_for(condition: Callable[[], bool], what: str = "") -> None:
    """Return as soon as a condition is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited too long {what}"
        time.sleep(0.2)
