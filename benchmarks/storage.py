"""The events of a session in SQLite and in Postgres: how many are stored in a second, and how many bytes has a run?

    make bench ARGS=storage
    python -m benchmarks.storage 50         # so many runs

Events of copies of one real session of phase 1 are stored by Dagster's own storage, one after the other, as a run does
it. Postgres runs on this machine, without waiting for the disk (`-F`); without it SQLite alone is measured.
"""

import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.events.log import EventLogEntry
from dagster._serdes import deserialize_value
from rich.console import Console
from rich.table import Table

from hlx_assets.home import prepare, shipped_settings
from hlx_assets.settings import POSTGRES_URL
from tests.support.dagster_home import opened
from tests.support.many_runs import Copy, Template, make_template
from tests.support.postgres import postgres

RUNS = 20


class Stored(NamedTuple):
    """What was measured of one storage."""

    rate: float
    """Events a second."""
    size: float
    """Bytes a run."""


def main(runs: int = RUNS) -> None:
    """Print a table; takes about a minute."""
    logging.disable(logging.INFO)
    table = Table("storage", "events a second", "KB a run", title=f"{runs} runs of one session, stored one by one")
    with tempfile.TemporaryDirectory(prefix="storage-") as folder:
        template = make_template(Path(folder) / "template")
        found = {"SQLite": stored(template, Path(folder) / "sqlite", runs)}
        with suppress(pytest.skip.Exception), _on_postgres():
            found["Postgres"] = stored(template, Path(folder) / "postgres", runs)
    for name, one in found.items():
        table.add_row(name, f"{one.rate:,.0f}", f"{one.size / 1e3:,.0f}")
    Console().print(table)
    Console().print(f"{template.events} events a run, without the lines of its log")


@contextmanager
def _on_postgres() -> Iterator[None]:
    with postgres() as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv(POSTGRES_URL, address)
        yield


def stored(template: Template, path: Path, runs: int) -> Stored:
    """Store the events of so many copies of a session in a new home, on Postgres if `HLX_POSTGRES_URL` is set."""
    path.mkdir()
    (path / "dagster.yaml").write_text(shipped_settings(postgres=POSTGRES_URL in os.environ), encoding="utf-8")
    prepare(path)
    copies = [Copy.number(template, number, 600.0 * number) for number in range(1 + runs)]
    with opened(path) as home, home.instance() as instance:
        _store(instance, copies[:1])  # it makes tables and indexes
        before, began = _bytes(instance, path), time.perf_counter()
        _store(instance, copies[1:])
        seconds = time.perf_counter() - began
        return Stored(runs * template.events / seconds, (_bytes(instance, path) - before) / runs)


def _store(instance: dg.DagsterInstance, copies: list[Copy]) -> None:
    for copy in copies:
        instance.add_run(dg.DagsterRun("curriculum", copy.run_id))
        for row in copy.template.log:
            instance.event_log_storage.store_event(deserialize_value(copy.text(row["event"]), EventLogEntry))


def _bytes(instance: dg.DagsterInstance, path: Path) -> float:
    if POSTGRES_URL not in os.environ:
        return float(sum(file.stat().st_size for file in (path / "history").rglob("*.db*")))
    with sqlalchemy.create_engine(os.environ[POSTGRES_URL]).connect() as connection:
        return float(connection.execute(sqlalchemy.text("select pg_database_size(current_database())")).scalar_one())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
