"""Requests that the OpenAPI schema allows, and such that it does not: every answer is one that the schema names."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from hlx_assets.center.app import SCHEMA, create_app
from hlx_assets.center.context import Center
from hlx_assets.ui import free_port
from hlx_model.providers.catalogue import PROVIDERS
from tests.support.center import add_session

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


def test_no_request_breaks_the_server(center: Center, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    nobody = f"http://127.0.0.1:{free_port(0)}"
    monkeypatch.setenv("HLX_PROVIDER_HOSTS", ",".join(f"{name}={nobody}" for name in PROVIDERS))
    ids = [add_session(center.instance), add_session(center.instance, dg.DagsterRunStatus.CANCELED)]
    schema = schemathesis.openapi.from_asgi(SCHEMA, create_app(center))
    operations: list[Any] = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]
    assert len(operations) > 20
    examples = 200 if settings().max_examples > 1_000 else 8  # `make nightly`
    for operation in operations:

        @given(case=operation.as_strategy(), session_id=st.sampled_from([None, *ids]))
        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
        def no_request_breaks_it(case: Any, session_id: str | None) -> None:
            if session_id and "session_id" in case.path_parameters:
                case.path_parameters["session_id"] = session_id
            answer = case.call()
            assert answer.status_code < 500 or answer.status_code == 503, answer.text
            case.validate_response(answer, checks=CHECKS)

        no_request_breaks_it()
