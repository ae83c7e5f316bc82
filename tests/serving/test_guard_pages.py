"""What the guard accepts of a server with pages of its own: forms, other origins, open paths, refusals as JSON."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from hlx_model.serving.guard import GuardSettings
from tests.support.guarded import HERE, JSON, NO_SETTINGS, TOKEN, ask

SITE, WITH_TOKEN = GuardSettings(frozenset({"hlx.example.org"})), GuardSettings(token=TOKEN)

STUDIO = "http://localhost:3000"
SHARED = GuardSettings(origins=frozenset({STUDIO, "tauri://localhost"}))


@pytest.mark.parametrize("origin", [STUDIO, "HTTP://LOCALHOST:3000", "tauri://localhost"])
@pytest.mark.parametrize("relation", ["cross-site", "same-site", "same-origin"])
def test_a_page_of_an_allowed_origin_may_send_what_a_page_of_this_server_may(origin: str, relation: str) -> None:
    headers = {"origin": origin, "sec-fetch-site": relation}
    assert ask("POST", {**headers, **JSON}, settings=SHARED).status == 200
    assert ask("DELETE", headers, settings=SHARED).status == 200
    assert ask(headers=headers, settings=SHARED, kind="websocket").status == 101
    assert ask("POST", {**headers, **JSON}, settings=SHARED, host="evil.example").status == 403


@pytest.mark.parametrize(
    "origin",
    [
        "null", "", "http://localhost:30000", "http://localhost:300", "http://localhost", "https://localhost:3000",
        "http://localhost:3000.evil.example", "http://localhost:3000/", "http://evil.example",
        "http://localhost:3000, http://evil.example", "tauri://localhost:3000", "tauri://evil", "localhost:3000",
    ],
)  # fmt: skip
def test_an_origin_that_only_resembles_an_allowed_one_is_refused(origin: str) -> None:
    answer = ask("POST", {"origin": origin, **JSON}, settings=SHARED)
    assert answer.status == 403 and b"HLX_ALLOWED_ORIGINS" in answer.body
    assert ask(headers={"origin": origin}, settings=SHARED, kind="websocket").status == 403


def test_an_allowed_origin_does_not_vouch_for_another_one_beside_it() -> None:
    for other in ("http://evil.example", "null"):
        both = [("origin", STUDIO), ("origin", other), *JSON.items()]
        assert ask("POST", both, settings=SHARED).status == 403
        assert ask("POST", both[::-1], settings=SHARED).status == 403
    # Without an Origin nothing says which page it was.
    assert ask("POST", {"sec-fetch-site": "cross-site", **JSON}, settings=SHARED).status == 403
    # An own origin is no allowed one: the browser must agree.
    own = {"origin": f"http://{HERE}", "sec-fetch-site": "cross-site", **JSON}
    assert ask("POST", own, settings=SHARED).status == 403


def test_a_server_that_accepts_no_other_origins_names_no_variable_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLX_ALLOWED_ORIGINS", STUDIO)
    answer = ask("POST", {"origin": STUDIO, **JSON}, settings=GuardSettings.from_environment())
    assert answer.status == 403 and b"HLX_SITE" in answer.body and b"HLX_ALLOWED_ORIGINS" not in answer.body


def test_an_allowed_origin_needs_the_token_too() -> None:
    settings = GuardSettings(token=TOKEN, origins=SHARED.origins)
    assert ask("POST", {"origin": STUDIO, **JSON}, settings=settings).status == 403
    assert ask("POST", {"origin": STUDIO, "authorization": f"Bearer {TOKEN}", **JSON}, settings=settings).status == 200


FORM = {"content-type": "application/x-www-form-urlencoded", "content-length": "3"}
OWN = {"origin": f"http://{HERE}", "sec-fetch-site": "same-origin"}


def test_a_form_of_a_page_of_this_server_is_accepted_if_it_has_forms() -> None:
    utf8 = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8", "transfer-encoding": "chunked"}
    for form in (FORM, utf8):
        assert ask("POST", {**form, **OWN}, forms=True).status == 200
        assert ask("POST", {**form, **OWN}).status == 403
    proxied = {**FORM, "origin": "https://hlx.example.org"}
    assert ask("POST", proxied, forms=True, settings=SITE, host="hlx.example.org").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"origin": "null"}, {"origin": ""}, {"origin": "http://evil.example"}, {"origin": "http://127.0.0.1"},
        {"origin": STUDIO}, {"origin": "tauri://localhost"}, {"origin": f"ftp://{HERE}"},
        {"sec-fetch-site": "same-origin"}, {"referer": f"http://{HERE}/center"},
        {"origin": f"http://{HERE}", "sec-fetch-site": "cross-site"},
    ],
)  # fmt: skip
def test_a_form_of_any_other_page_is_refused(headers: dict[str, str]) -> None:
    for settings in (NO_SETTINGS, SHARED):
        assert ask("POST", {**FORM, **headers}, forms=True, settings=settings).status == 403
        assert ask("GET", {**FORM, **headers}, forms=True, settings=settings).status == 403
    assert ask("POST", [*FORM.items(), *OWN.items(), ("origin", "null")], forms=True).status == 403


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded-x", ""])
def test_other_bodies_are_refused_where_forms_are_accepted(kind: str) -> None:
    assert ask("POST", {**OWN, "content-type": kind, "content-length": "3"}, forms=True).status == 403
    two = [*OWN.items(), *FORM.items(), ("content-type", "text/plain")]
    assert ask("POST", two, forms=True).status == 403


def test_an_open_path_can_be_read_without_the_token_and_nothing_else_can() -> None:
    def status(method: str, path: str, headers: Mapping[str, str] = {}, **more: Any) -> int | None:
        return ask(method, headers, path=path, settings=WITH_TOKEN, open_paths=("/api/health",), **more).status

    assert status("GET", "/api/health") == status("HEAD", "/api/health") == 200
    assert status("POST", "/api/health", JSON) == 403
    assert status("GET", "/api/health", kind="websocket") == 403
    assert status("GET", "/api/health", host="evil.example") == 403
    for path in ("/api/healthy", "/api/health/", "/api/health/x", "//api/health", "/API/health", "/", "/api"):
        assert status("GET", path) == 403


def test_a_refusal_of_an_api_is_json() -> None:
    for headers in ({"origin": "null"}, {"content-type": 'a"b', "content-length": "1"}):
        answer = ask("POST", headers, path="/api/keys/add", json_paths="/api/")
        assert answer.status == 403 and answer.headers["content-type"] == "application/json"
        assert json.loads(answer.body)["detail"].startswith("refused: it")
    assert ask("POST", {"origin": "null"}, path="/center/x", json_paths="/api/").body.startswith(b"refused: ")
