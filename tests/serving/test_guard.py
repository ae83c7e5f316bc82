"""The request guard refuses requests of foreign pages and strangers, and passes others on unchanged."""

import asyncio
from http.cookies import SimpleCookie
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_model.serving.guard import GuardSettings, Receive, RequestGuard, Scope, Send, is_loopback
from tests.support.guarded import HERE, JSON, TOKEN, ask

SITE = GuardSettings(frozenset({"hlx.example.org"}))


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost", "LOCALHOST:80", "[::1]:3000", "[::1]"])
def test_this_machine_is_served(host: str) -> None:
    assert ask(host=host).status == 200
    own = {"origin": f"http://{host}", "sec-fetch-site": "same-origin", **JSON}
    assert ask("POST", own, host=host).status == 200
    assert ask(headers={"origin": f"http://{host}"}, host=host, kind="websocket").status == 101


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:3000", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.2", "", " ",
        "127.0.0.1@evil.example", "127.0.0.1:3000/", "localhost.", "localhost:", "[::1", "::1", "[::2]",
        "hlx.example.org",
        "localhost,evil.example", "localhost evil.example", "0.0.0.0", "localhost:x", None,
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_another_host_is_refused_with_the_variable_to_set(host: str | None, method: str) -> None:
    answer = ask(method, host=host)
    assert answer.status == 403 and answer.body.count(b"\n") == 1
    assert b"HLX_SITE" in answer.body or b"exactly one Host" in answer.body
    assert ask(host=host, kind="websocket").status == 403


def test_two_hosts_are_refused() -> None:
    assert ask(headers=[("host", HERE)], host=HERE).status == 403


def test_a_site_of_its_own_is_served_at_any_port() -> None:
    for host in ("hlx.example.org", "hlx.example.org:8443", "HLX.example.org"):
        assert ask(host=host, settings=SITE).status == 200
        assert ask("POST", {"origin": f"https://{host}", **JSON}, host=host, settings=SITE).status == 200
    assert ask(host="example.org", settings=SITE).status == 403
    assert ask(host=HERE, settings=SITE).status == 200


FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://127.0.0.1"},
    {"origin": "http://127.0.0.1:3001"},
    {"origin": "http://localhost:3000"},
    {"origin": "http://127.0.0.1:3000.evil.example"},
    {"origin": "http://127.0.0.1:3000/path"},
    {"origin": "file://"},
    {"origin": "chrome-extension://127.0.0.1:3000"},
    {"origin": "127.0.0.1:3000"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "anything"},
    {"origin": f"http://{HERE}", "sec-fetch-site": "cross-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_request_of_a_foreign_page_changes_nothing(headers: dict[str, str]) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "CONNECT", "ANYTHING"):
        answer = ask(method, {**headers, **JSON})
        assert answer.status == 403 and b"HLX_SITE" in answer.body, method
    assert ask(headers=headers, kind="websocket").status == 403


def test_one_good_origin_does_not_hide_a_bad_one() -> None:
    both = [("origin", f"http://{HERE}"), ("origin", "http://evil.example"), *JSON.items()]
    assert ask("POST", both).status == 403
    assert ask("POST", [*JSON.items(), ("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")]).status == 403


def test_a_link_on_another_page_still_opens_the_ui() -> None:
    assert ask(headers={"sec-fetch-site": "cross-site", "origin": "http://evil.example"}).status == 200


def test_a_program_needs_no_origin() -> None:
    assert ask("POST", JSON).status == 200
    assert ask("POST").status == 200
    assert ask(kind="websocket").status == 101


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain", "text/plain; application/json", "text/plain;charset=application/json", "multipart/form-data",
        "application/x-www-form-urlencoded", "application/graphql", "application/jsonp", "", "json",
        "application/json, text/plain",
    ],
)  # fmt: skip
def test_a_body_that_needs_no_preflight_is_refused(kind: str) -> None:
    for method in ("POST", "GET", "PUT"):
        assert ask(method, {"content-type": kind, "content-length": "2"}).status == 403
        assert ask(method, {"content-type": kind, "transfer-encoding": "chunked"}).status == 403
    assert ask("POST", {"content-length": "2"}).status == 403
    assert ask("POST", {"content-type": kind, "content-length": "0"}).status == 200


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON ;x=y"])
def test_json_is_accepted(kind: str) -> None:
    assert ask("POST", {"content-type": kind, "content-length": "2"}).status == 200


def test_no_answer_may_be_framed_by_another_page() -> None:
    assert ask().headers == {"x-app": "yes", "x-frame-options": "SAMEORIGIN"}


WITH_TOKEN = GuardSettings(token=TOKEN)


def test_a_server_with_a_token_requires_it() -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}, {"cookie": f"hlx_token={TOKEN}"}):
        answer = ask(headers=headers, settings=WITH_TOKEN)
        assert answer.status == 403 and b"HLX_API_TOKEN" in answer.body and TOKEN.encode() not in answer.body
        assert ask("POST", {**headers, **JSON}, settings=WITH_TOKEN).status == 403
        assert ask(headers=headers, settings=WITH_TOKEN, kind="websocket").status == 403
    assert ask(query="token=wrong", settings=WITH_TOKEN).status == 403
    assert ask("POST", query=f"token={TOKEN}", settings=WITH_TOKEN).status == 403


def test_a_program_sends_the_token_as_a_bearer() -> None:
    for value in (f"Bearer {TOKEN}", f"bearer {TOKEN} "):
        assert ask("POST", {"authorization": value, **JSON}, settings=WITH_TOKEN).status == 200
        assert ask(headers={"authorization": value}, settings=WITH_TOKEN, kind="websocket").status == 101


def test_a_browser_trades_its_link_for_a_cookie() -> None:
    answer = ask(path="/runs", query=f"a=1&token={TOKEN}&b=2", settings=WITH_TOKEN)
    assert answer.status == 303 and answer.headers["location"] == "/runs?a=1&b=2"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
    value = SimpleCookie(cookie)["hlx_token"].value
    sent = {"cookie": f"other=1; hlx_token={value}"}
    assert ask(headers=sent, settings=WITH_TOKEN).status == 200
    assert ask(headers=sent, settings=WITH_TOKEN, kind="websocket").status == 101
    # A cookie does not make a foreign page a page of this server.
    assert ask("POST", {**sent, **JSON, "origin": "http://evil.example"}, settings=WITH_TOKEN).status == 403
    assert ask(headers=sent, settings=GuardSettings(token="another")).status == 403


def test_a_token_may_be_required_from_some_moment_on() -> None:
    for kind, good in (("http", 200), ("websocket", 101)):
        assert ask(settings=WITH_TOKEN, kind=kind, required=lambda: False).status == good
        assert ask(settings=WITH_TOKEN, kind=kind, required=lambda: True).status == 403
    evil = {"origin": "http://evil.example", **JSON}
    assert ask("POST", evil, settings=WITH_TOKEN, required=lambda: False).status == 403
    assert ask(query=f"token={TOKEN}", settings=WITH_TOKEN, required=lambda: False).status == 303


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "///evil.example/x"])
def test_the_link_leads_to_no_other_host(path: str) -> None:
    location = ask(path=path, query=f"token={TOKEN}", settings=WITH_TOKEN).headers["location"]
    assert location.startswith("/") and location[1:2] not in ("/", "\\")


@given(st.dictionaries(st.sampled_from(["origin", "cookie", "authorization", "content-type", "sec-fetch-site"]),
                       st.text(st.characters(max_codepoint=255))))  # fmt: skip
def test_every_request_of_a_stranger_gets_an_answer(headers: dict[str, str]) -> None:
    for kind in ("http", "websocket"):
        assert ask("POST", headers, settings=WITH_TOKEN, kind=kind).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1", "[::1]"])
def test_loopback_needs_no_token(host: str) -> None:
    GuardSettings().listening_on(host)


def test_the_address_that_a_server_listens_on_is_a_host_of_it() -> None:
    for host, named in (("127.0.0.2", "127.0.0.2"), ("10.0.0.2", "10.0.0.2"), ("fd00::1", "[fd00::1]")):
        settings = GuardSettings(token=TOKEN).listening_on(host)
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert ask(host=f"{named}:3000", headers=bearer, settings=settings).status == 200
    for host in ("0.0.0.0", "::", "gpu-box"):
        assert GuardSettings(token=TOKEN).listening_on(host).sites == frozenset()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.2", "gpu-box", "127.0.0.1.evil.example"])
def test_a_server_that_strangers_can_reach_needs_a_token_or_a_proxy(host: str) -> None:
    with pytest.raises(ValueError, match=r"needs HLX_API_TOKEN.*HLX_BEHIND_PROXY=1"):
        GuardSettings().listening_on(host)
    assert not is_loopback(host)
    GuardSettings(token=TOKEN).listening_on(host)
    GuardSettings(behind_proxy=True).listening_on(host)


def test_the_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HLX_SITE", "HLX_API_TOKEN", "HLX_BEHIND_PROXY", "HLX_ALLOWED_ORIGINS"):
        monkeypatch.setenv(name, "")
    assert GuardSettings.from_environment() == GuardSettings()
    assert GuardSettings.from_environment(other_origins=True) == GuardSettings(origins=frozenset())
    monkeypatch.setenv("HLX_SITE", " hlx.example.org,GPU-Box:8443 , [fd00::1],")
    monkeypatch.setenv("HLX_API_TOKEN", TOKEN)
    monkeypatch.setenv("HLX_BEHIND_PROXY", "1")
    sites = frozenset({"hlx.example.org", "gpu-box", "[fd00::1]"})
    monkeypatch.setenv(
        "HLX_ALLOWED_ORIGINS", " HTTP://LocalHost:3000,tauri://localhost,, https://a.org:443,http://[::1]:80"
    )
    assert GuardSettings.from_environment() == GuardSettings(sites, TOKEN, True)
    origins = frozenset({"http://localhost:3000", "tauri://localhost", "https://a.org", "http://[::1]"})
    assert GuardSettings.from_environment(other_origins=True) == GuardSettings(sites, TOKEN, True, origins)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HLX_SITE", "https://hlx.example.org"),
        ("HLX_SITE", "*"),
        ("HLX_SITE", "a.org b.org"),
        ("HLX_SITE", "a.org/path"),
        ("HLX_API_TOKEN", "secret with spaces"),
        ("HLX_API_TOKEN", "sécret"),
        ("HLX_BEHIND_PROXY", "yes"),
        ("HLX_ALLOWED_ORIGINS", "*"),
        ("HLX_ALLOWED_ORIGINS", "null"),
        ("HLX_ALLOWED_ORIGINS", "localhost:3000"),
        ("HLX_ALLOWED_ORIGINS", "http://*.a.org"),
        ("HLX_ALLOWED_ORIGINS", "http://localhost:3000/"),
        ("HLX_ALLOWED_ORIGINS", "http://localhost:3000 http://localhost:3001"),
        ("HLX_ALLOWED_ORIGINS", "http://me@a.org"),
        ("HLX_ALLOWED_ORIGINS", "http://localhost:3000,http://"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name) as raised:
        GuardSettings.from_environment(other_origins=True)
    assert ("cret" in str(raised.value)) is False


def test_other_connections_reach_the_application() -> None:
    reached: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope["type"])

    async def nothing(*arguments: Any) -> Any:
        return {}

    asyncio.run(RequestGuard(app, GuardSettings())({"type": "lifespan"}, nothing, nothing))
    assert reached == ["lifespan"]
