"""The routes for programs: the studio's types hold, repeated requests start nothing twice, errors are one line."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import jsonschema
import pytest
from starlette.testclient import TestClient

from hlx_assets.center import estimate, sessions
from hlx_assets.center.context import Center
from hlx_assets.center.requests import SessionSettings
from hlx_assets.curriculum import session as tags
from hlx_assets.curriculum.settings import TrainingConfig
from tests.support.center import add_session
from tests.support.keyed import add_key, fake_providers

TINY = {"corpus": "English", "targetModel": "HelixTiny"}
PROPERTIES: dict[str, Any] = {
    "id": {"type": "string"},
    "provider": {"type": "string"},
    "model": {"type": "string"},
    "targetModel": {"const": "Helix100m"},
    "corpus": {"enum": ["English", "HLX", "Translation"]},
    "epochs": {"type": "number"},
    "status": {"enum": ["queued", "running", "completed", "failed"]},
    "progress": {"type": "number"},
    "startTime": {"type": "string", "format": "date-time"},
    "endTime": {"type": "string", "format": "date-time"},
}
OPTIONAL = {"progress", "startTime", "endTime"}
STUDIO: dict[str, Any] = {"type": "object", "required": sorted({*PROPERTIES} - OPTIONAL), "properties": PROPERTIES}
"""The interface `TrainingSession` of the studio's page: what is optional may be missing, and is never null."""
EXTENDED = {**STUDIO, "properties": {**PROPERTIES, "targetModel": {"type": "string"}, "corpus": {"type": "string"}}}
"""It with the two extensions that docs/center.md names."""


def valid(content: object, schema: dict[str, Any]) -> None:
    jsonschema.validate(content, schema, format_checker=jsonschema.FormatChecker())


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """No size is too slow to start without a question, as on a GPU."""
    monkeypatch.setattr(estimate, "is_slow", lambda found, execution: False)


def test_a_request_of_the_studio_gets_an_answer_of_its_types(
    client: TestClient, on_gpu: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: dict[str, Any] = {
        "id": "session-1", "provider": "xai", "model": "grok-4.1", "targetModel": "Helix100m", "corpus": "English",
        "epochs": 200, "status": "queued",
    }  # fmt: skip
    with fake_providers(tmp_path, monkeypatch):
        add_key(client, "xai")
        answer = client.post("/api/training/start", json=wanted)
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "queued"
    found = client.get(f"/api/training/status/{answer.json()['id']}").json()
    valid(found, STUDIO)
    for name in ("provider", "targetModel", "corpus", "epochs"):
        assert found[name] == wanted[name]
    assert found["model"] == "grok-4-1-fast-reasoning", "the name that the provider knows it by"
    for one in client.get("/api/training/queue").json():
        valid(one, STUDIO)


@pytest.mark.parametrize("status", [*sessions.LIVE, *sessions.ENDED])
def test_a_session_in_any_status_is_of_the_types(
    center: Center, client: TestClient, status: dg.DagsterRunStatus
) -> None:
    add_session(center.instance, status, corpus="Curriculum", size="10m")
    found = client.get("/api/training/queue").json()
    assert len(found) == 1
    valid(found[0], EXTENDED)


def test_a_repeated_request_starts_nothing_twice(center: Center, client: TestClient) -> None:
    first, again = (client.post("/api/training/start", json=TINY, headers={"Idempotency-Key": "abc"}) for _ in range(2))
    assert first.status_code == again.status_code == 201
    assert first.json()["id"] == again.json()["id"]
    changed = client.post("/api/training/start", json={**TINY, "epochs": 3}, headers={"Idempotency-Key": "abc"})
    assert (changed.status_code, "was used for" in changed.json()["detail"]) == (409, True)
    other = client.post("/api/training/start", json=TINY, headers={"Idempotency-Key": "abd"})
    assert other.json()["id"] != first.json()["id"]
    assert len(client.get("/api/training/queue").json()) == 2


def test_a_session_trains_what_was_asked_for(center: Center, client: TestClient) -> None:
    body = {**TINY, "corpus": "HLX", "epochs": 7, "settings": {"seed": 3, "lr": 0.002}, "profile": "quick"}
    run_id = client.post("/api/training/start", json=body).json()["id"]
    run = center.instance.get_run_by_id(run_id)
    assert run is not None
    ops: Any = run.run_config["ops"]
    assert ops["phase2_checkpoint"]["config"] == {
        "size": "tiny", "epochs": 7, "profile": "quick", "seed": 3, "lr": 0.002, "parent": "passed"
    }  # fmt: skip
    assert run.asset_selection is not None
    assets = {key.to_user_string() for key in run.asset_selection}
    assert assets == {
        "corpus_document", "corpus_examples", "hlx_corpus", "phase2_checkpoint", "phase2_validation_report",
        "phase2_model_card",
    }  # fmt: skip


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no corpus": ({}, "corpus"),
    "another corpus": ({"corpus": "French"}, "corpus"),
    "no epochs": ({**TINY, "epochs": 0}, "epochs"),
    "too many epochs": ({**TINY, "epochs": 501}, "epochs"),
    "half an epoch": ({**TINY, "epochs": 1.5}, "epochs"),
    "a typing mistake": ({**TINY, "epoch": 3}, "epoch"),
    "no such size": ({**TINY, "targetModel": "Helix7b"}, "Helix7b"),
    "a learning rate below 0": ({**TINY, "settings": {"lr": -1}}, "learning_rate"),
    "a setting that is none": ({**TINY, "settings": {"parent": "x"}}, "settings.parent"),
    "a place that is none": ({**TINY, "settings": {"trainer": "slurm gpu=1"}}, "slurm has no option 'gpu'"),
    "a profile that is none": ({**TINY, "profile": "fast"}, "profile"),
    "epochs and tokens": ({**TINY, "epochs": 3, "settings": {"tokens": 1000}}, "tokens"),
    "a chain that is none": ({**TINY, "after": "0000"}, "no session"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_request_gets_one_line_that_names_the_field(client: TestClient, what: str) -> None:
    body, named = WRONG[what]
    answer = client.post("/api/training/start", json=body)
    assert answer.status_code in (404, 409, 422), answer.text
    assert set(answer.json()) == {"detail"}
    assert named in answer.json()["detail"] and "\n" not in answer.json()["detail"]
    assert client.get("/api/training/queue").json() == [], "nothing was started"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"corpus": "\\ud800"}', b"[" * 50_000]
)
def test_a_body_that_is_no_request_gets_one_line(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/training/start", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert "\n" not in answer.json()["detail"]


def test_a_body_without_end_is_refused(client: TestClient) -> None:
    pieces = (b" " * 65_536 for _ in range(64))
    answer = client.post("/api/training/start", content=pieces, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert "longer than" in answer.json()["detail"]


def test_a_request_has_the_settings_of_the_launchpad() -> None:
    fields_of_its_own = {"profile", "size", "epochs", "continue_from"}
    assert {*SessionSettings.model_fields} == {*TrainingConfig.model_fields} - fields_of_its_own


def test_a_browser_gets_the_page_at_the_same_address(center: Center, client: TestClient) -> None:
    run_id = add_session(center.instance)
    browser = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    for path, page in (
        ("/api/training/queue", "/center#queue-section"),
        (f"/api/training/status/{run_id}", f"/center/sessions/{run_id}"),
    ):
        answer = client.get(path, headers=browser, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, page)
        assert client.get(path).headers["content-type"] == "application/json"


def test_an_unknown_address_gets_one_line(client: TestClient) -> None:
    for path in ("/api/training", "/api/../etc/passwd", "/api/training/status/" + "x" * 3000, "/api/keys/%00"):
        answer = client.get(path)
        assert answer.status_code in (404, 405)
        assert set(answer.json()) == {"detail"}


def test_a_clone_has_the_settings_and_the_changes(center: Center, client: TestClient) -> None:
    first = client.post("/api/training/start", json={**TINY, "epochs": 7, "settings": {"seed": 3}}).json()["id"]
    copy = client.post(f"/api/training/{first}/clone", json={"settings": {"lr": 0.01}}).json()["id"]
    found = client.get(f"/api/training/status/{copy}").json()
    assert found["settings"] == {"seed": 3, "lr": 0.01, "epochs": 7}
    by_tokens = client.post(f"/api/training/{first}/clone", json={"settings": {"tokens": 5_000}}).json()["id"]
    assert client.get(f"/api/training/status/{by_tokens}").json()["settings"] == {"seed": 3, "tokens": 5_000}


def test_a_chain_names_the_one_before(center: Center, client: TestClient) -> None:
    first = client.post("/api/training/start", json=TINY).json()["id"]
    second = client.post("/api/training/start", json={**TINY, "corpus": "HLX", "after": first}).json()["id"]
    third = client.post("/api/training/start", json={**TINY, "corpus": "Translation", "after": second}).json()["id"]
    found = {one["id"]: one for one in client.get("/api/training/queue").json()}
    assert {one["chain"] for one in found.values()} == {first}
    assert (found[second]["after"], found[third]["after"]) == (first, second)


def test_nothing_comes_after_a_session_that_did_not_pass(center: Center, client: TestClient) -> None:
    failed = add_session(center.instance, dg.DagsterRunStatus.FAILURE)
    answer = client.post("/api/training/start", json={**TINY, "corpus": "HLX", "after": failed})
    assert answer.status_code == 409
    assert "did not pass" in answer.json()["detail"]


def test_only_what_was_cut_is_resumed(center: Center, client: TestClient) -> None:
    cut = add_session(center.instance, dg.DagsterRunStatus.CANCELED)
    again = client.post(f"/api/training/{cut}/resume")
    assert again.status_code == 201, again.text
    run = center.instance.get_run_by_id(again.json()["id"])
    assert run is not None and run.tags[tags.RESUMES] == cut
    twice = client.post(f"/api/training/{cut}/resume")
    assert (twice.status_code, "resumed already" in twice.json()["detail"]) == (409, True)
    waiting = client.post(f"/api/training/{run.run_id}/resume")
    assert (waiting.status_code, "has not ended" in waiting.json()["detail"]) == (409, True)


def test_what_was_withdrawn_is_resumed_after_the_one_before_it(center: Center, client: TestClient) -> None:
    first = add_session(center.instance, dg.DagsterRunStatus.CANCELED, chain="c")
    second = add_session(center.instance, dg.DagsterRunStatus.FAILURE, "HLX", chain="c", after=first, withdrawn="…")
    refused = client.post(f"/api/training/{second}/resume")
    assert (refused.status_code, "did not pass" in refused.json()["detail"]) == (409, True)
    again = client.post(f"/api/training/{first}/resume").json()["id"]
    resumed = client.post(f"/api/training/{second}/resume")
    assert resumed.status_code == 201, resumed.text
    run = center.instance.get_run_by_id(resumed.json()["id"])
    assert run is not None and (run.tags[tags.AFTER], run.tags[tags.CHAIN]) == (again, "c")


def test_the_openapi_names_every_route(client: TestClient) -> None:
    schema = json.loads(client.get("/api/openapi.json").text)
    for path in (
        "/api/training/start", "/api/training/status/{session_id}", "/api/training/cancel/{session_id}",
        "/api/training/queue", "/api/keys/add", "/api/keys/list", "/api/keys/{key_id}",
    ):  # fmt: skip
        assert path in schema["paths"]
    for path in ("/docs", "/api/docs"):
        page = client.get(path)
        assert page.status_code == 200 and "/api/training/start" in page.text
