"""Pages of allowed origins can read what a guarded server answers; those of other origins cannot."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from hlx_model.serving.cors import shared_with
from hlx_model.serving.guard import GuardSettings, RequestGuard

STUDIO = "http://localhost:3000"
TOKEN = "correct-horse"


async def _echo(request: Request) -> JSONResponse:
    return JSONResponse({"method": request.method}, headers={"vary": "Accept"})


def client(settings: GuardSettings) -> TestClient:
    app = Starlette(routes=[Route("/api", _echo, methods=["GET", "POST", "PATCH", "DELETE"])])
    guarded = RequestGuard(app, settings, json_paths="/api")
    return TestClient(shared_with(settings.origins, guarded), base_url="http://127.0.0.1:5000")


def shared(token: str | None = None) -> TestClient:
    return client(GuardSettings(token=token, origins=frozenset({STUDIO, "tauri://localhost"})))


def preflight(origin: str, method: str = "PATCH", headers: str = "content-type,authorization") -> dict[str, str]:
    return {
        "origin": origin, "access-control-request-method": method, "access-control-request-headers": headers,
        "sec-fetch-site": "cross-site",
    }  # fmt: skip


@pytest.mark.parametrize("origin", [STUDIO, "tauri://localhost"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "PUT"])
def test_a_preflight_of_an_allowed_origin_passes_without_the_token(origin: str, method: str) -> None:
    answer = shared(TOKEN).options("/api", headers=preflight(origin, method, "authorization,idempotency-key"))
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == origin
    assert method in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-credentials"] == "true" and "Origin" in answer.headers["vary"]


@pytest.mark.parametrize(
    "origin", ["null", "http://localhost:3001", "http://localhost:3000.evil.example", "http://evil.example"]
)
def test_a_preflight_of_another_origin_does_not_pass(origin: str) -> None:
    answer = shared().options("/api", headers=preflight(origin))
    assert answer.status_code >= 400 and "access-control-allow-origin" not in answer.headers


def test_a_preflight_for_an_unknown_header_or_method_does_not_pass() -> None:
    assert shared().options("/api", headers=preflight(STUDIO, headers="x-forwarded-host")).status_code == 400
    assert shared().options("/api", headers=preflight(STUDIO, "TRACE")).status_code == 400


def test_an_allowed_page_can_read_answers_and_refusals() -> None:
    there = {"origin": STUDIO, "sec-fetch-site": "cross-site"}
    answer = shared(TOKEN).post("/api", json={}, headers={**there, "authorization": f"Bearer {TOKEN}"})
    assert answer.json() == {"method": "POST"} and answer.headers["access-control-allow-origin"] == STUDIO
    assert answer.headers["vary"] == "Accept, Origin"
    refused = shared(TOKEN).get("/api", headers=there)
    assert refused.status_code == 403 and "HLX_API_TOKEN" in refused.json()["detail"]
    assert refused.headers["access-control-allow-origin"] == STUDIO


def test_another_page_can_read_nothing() -> None:
    for origin in ("http://evil.example", "null"):
        assert "access-control-allow-origin" not in shared().get("/api", headers={"origin": origin}).headers
        assert shared().post("/api", json={}, headers={"origin": origin}).status_code == 403


@pytest.mark.parametrize("origins", [None, frozenset[str]()])
def test_without_allowed_origins_no_answer_mentions_any(origins: frozenset[str] | None) -> None:
    alone = client(GuardSettings(origins=origins))
    for answer in (
        alone.get("/api", headers={"origin": STUDIO}),
        alone.options("/api", headers=preflight(STUDIO)),
        alone.post("/api", json={}, headers={"origin": STUDIO}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert alone.post("/api", json={}, headers={"origin": STUDIO}).status_code == 403
