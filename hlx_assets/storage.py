"""Where Dagster keeps its runs and events: SQLite in DAGSTER_HOME, or Postgres where `HLX_POSTGRES_URL` names one.

`dagster.yaml` names this class as the storage, and every process that opens the instance comes by here:
daemon, webserver, code location, run worker, test. The artifacts stay in DAGSTER_HOME either way.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
import dagster as dg
from dagster._config.config_schema import UserConfigSchema
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from hlx_assets import settings

POSTGRES_URL = "HLX_POSTGRES_URL"


class Storage(DagsterStorage, ConfigurableClass):
    """Makes Dagster's own storage for what the environment says; nothing is ever an instance of this class."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """`base_dir`: the directory for SQLite, which Dagster takes by default too."""
        return {"base_dir": dg.StringSource}

    @classmethod
    def from_config_value(  # type: ignore[override]  # Dagster asks for a storage, whichever
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, str]
    ) -> DagsterStorage:
        """Postgres where `HLX_POSTGRES_URL` is set, else SQLite in `base_dir`."""
        given = os.environ.get(POSTGRES_URL, "").strip()
        if given:
            return postgres(given, inst_data)
        base_dir = Path(config_value["base_dir"]).expanduser()
        return DagsterSqliteStorage.from_local(str(base_dir), inst_data)


def postgres(url: str, inst_data: ConfigurableClassData | None = None) -> DagsterStorage:
    """Runs, events and schedules in the database at `url`, whose tables are made where they are not there.

    `click.ClickException`, which every command of Dagster tells in one line, where it is no address of a Postgres
    or no server answers there, or dagster-postgres is not installed.
    """
    try:
        address = make_url(url)
    except ArgumentError:
        address = None
    # The address itself holds a password: it is not told.
    if address is None or address.get_backend_name() not in ("postgresql", "postgres") or not address.database:
        raise click.ClickException(
            f"{POSTGRES_URL} is no address of a Postgres, such as postgresql://user:password@host:5432/database"
        )
    try:
        from dagster_postgres import DagsterPostgresStorage
        from dagster_postgres.utils import DagsterPostgresException
    except ImportError:
        raise click.ClickException(
            f"{POSTGRES_URL} needs dagster-postgres: pip install -c constraints.txt -e '.[assets,postgres]'"
        ) from None
    # From SQLAlchemy 2.1 on an address without a driver means psycopg 3, and dagster-postgres brings psycopg2.
    address = address.set(drivername="postgresql+psycopg2")
    try:
        return DagsterPostgresStorage(address.render_as_string(hide_password=False), inst_data=inst_data)
    except DagsterPostgresException as error:
        said = str(getattr(error.__cause__, "orig", error)).strip().splitlines()[0]
        raise click.ClickException(f"{POSTGRES_URL}: {said}: start the server, or mend the address") from None


@contextmanager
def opened_instance() -> Iterator[dg.DagsterInstance]:
    """The instance of DAGSTER_HOME; where the environment is wrong or its database not to be had, one line and exit."""
    try:
        settings.check()
        instance = dg.DagsterInstance.get()
    except (ValueError, click.ClickException) as error:
        sys.exit(f"error: {error}")
    with instance:
        yield instance
