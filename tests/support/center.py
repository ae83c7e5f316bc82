"""A Training Center on a home, with runs that nothing executes."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from starlette.testclient import TestClient

from hlx_assets.center.app import create_app
from hlx_assets.center.context import Center
from hlx_assets.curriculum import session as tags
from tests.support.dagster_home import Home

UI = "http://127.0.0.1:3000"


@contextmanager
def center_of(home: Home) -> Iterator[Center]:
    """A Center whose sessions stay in the queue."""
    with home.instance() as instance:

        def launch(job: str, assets: tuple[str, ...], config: Mapping[str, Any], tags: Mapping[str, str]) -> str:
            return add_run(instance, dg.DagsterRunStatus.QUEUED, job, assets, config, tags)

        yield Center(instance, home.path, launch, UI)


@contextmanager
def client_of(center: Center) -> Iterator[TestClient]:
    """A client of the application of a Center."""
    with TestClient(create_app(center), base_url="http://127.0.0.1:5000", raise_server_exceptions=False) as client:
        yield client


def add_run(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, job: str = "curriculum", assets: tuple[str, ...] = (),
    config: Mapping[str, Any] = {}, tags: Mapping[str, str] = {},
) -> str:  # fmt: skip
    """Put a run on record; its id."""
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("hlx"), "__repository__").get_job_origin(job)
    run = dg.DagsterRun(
        job_name=job, run_id=str(uuid.uuid4()), status=status, tags=dict(tags), run_config=dict(config),
        asset_selection=frozenset(map(dg.AssetKey, assets)) or None, remote_job_origin=origin,
    )  # fmt: skip
    instance.add_run(run)
    return run.run_id


def add_session(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus = dg.DagsterRunStatus.QUEUED, corpus: str = "English",
    **more: str,
) -> str:  # fmt: skip
    """Put a session on record, with more tags by the names of their constants; its id."""
    own = {getattr(tags, name.upper()): value for name, value in more.items()}
    return add_run(instance, status, tags={tags.SESSION: corpus, tags.SIZE: "tiny", **own})
