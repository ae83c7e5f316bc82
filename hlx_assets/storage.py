"""The storage that `dagster.yaml` of version 0.1.0 names. Newer homes name Dagster's own (`home.py`)."""

import os
from typing import Any

from hlx_assets.dagster_internals import DagsterSqliteStorage
from hlx_assets.settings import POSTGRES_URL


class Storage(DagsterSqliteStorage):
    """Hands over to Dagster's own storage; nothing is ever an instance of this class."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Any:
        """Return Postgres if `HLX_POSTGRES_URL` is set, else SQLite in `base_dir`."""
        if url := os.environ.get(POSTGRES_URL, "").strip():
            from dagster_postgres import DagsterPostgresStorage

            return DagsterPostgresStorage(url, inst_data=inst_data)
        return DagsterSqliteStorage.from_local(config_value["base_dir"], inst_data)
