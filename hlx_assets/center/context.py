"""What every part of the Training Center works with: the instance of the home, Dagster's workspace, and addresses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from hlx_assets.io_manager import artifacts_at_home
from hlx_model.layout import Artifacts

Launch = Callable[[str, tuple[str, ...], Mapping[str, Any], Mapping[str, str]], str]
"""Queues a run of a job: its name, its assets, run configuration and tags; returns the run's id."""


class CenterError(Exception):
    """A request that cannot be done: an HTTP status and one line with what to do."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


@dataclass(frozen=True)
class Center:
    """One Training Center."""

    instance: dg.DagsterInstance
    home: Path
    launch: Launch
    ui_url: str
    """The address of Dagster's UI, without a slash at its end; empty if it has this server's own."""
    token: str | None = field(default=None, repr=False)
    """Of the request guard; entered again to raise a cap."""

    @property
    def artifacts(self) -> Artifacts:
        """The artifacts of the home."""
        return artifacts_at_home()
