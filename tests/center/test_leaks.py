"""A leak hunt at the Training Center: no answer, log or file has eight characters in a row of a key."""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hlx_assets.center.context import Center
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.vault import Vault
from tests.support.center import add_session
from tests.support.fake_provider import FakeProvider
from tests.support.vaults import CLAUDE, OPENAI, XAI, leaks_in, leaks_under

BAD = "sk-ant-bad-Hd7Kw2Pz9Tc4Vn6Xm1Rb8-DD"
ALL = [CLAUDE, OPENAI, XAI, BAD]
HERE = {"origin": "http://127.0.0.1:5000"}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    """All providers, on loopback."""
    with FakeProvider() as server:
        monkeypatch.setenv("HLX_PROVIDER_HOSTS", server.hosts)
        yield server


def test_no_route_gives_a_key_back_whatever_is_done_with_it(
    client: TestClient, center: Center, fake: FakeProvider, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    heard: list[str] = []

    def ask(method: str, path: str, expected: int, body: object = None, form: dict[str, str] | None = None) -> Any:
        answer = client.request(method, path, json=body, data=form, headers=HERE, follow_redirects=False)
        heard.extend([answer.text, repr(answer.headers)])
        assert answer.status_code == expected, (method, path, answer.text)
        return json.loads(answer.text or "null") if path.startswith("/api/") else answer.text

    def add(key: object, provider: object = "claude", name: object = "work", expected: int = 201) -> Any:
        return ask("POST", "/api/keys/add", expected, {"provider": provider, "name": name, "key": key})

    entry = add(CLAUDE)
    assert entry["key"] == "…3-AA" and entry["validated"]
    for provider, key in (("openai", OPENAI), ("xai", XAI)):
        add(key, provider)
    bad = add(BAD, name="bad")
    assert "401" in bad["problem"]
    # Wrong: given twice, in the wrong field, as the wrong type, with what no key has.
    add(CLAUDE, expected=422)
    wrong: object
    for wrong in (f"{CLAUDE} {CLAUDE}", f"{CLAUDE}\0", CLAUDE * 50, CLAUDE[:15], [CLAUDE], {"key": CLAUDE}, None):
        add(wrong, name="wrong", expected=422)
    for wrong in (CLAUDE, [CLAUDE], f"my {CLAUDE[7:20]}", CLAUDE * 9):
        add(CLAUDE, name=wrong, expected=422)
    for wrong in (CLAUDE, [CLAUDE], CLAUDE * 9):
        add(CLAUDE, wrong, name="wrong", expected=422)
    ask("POST", "/api/keys/add", 422, [CLAUDE])
    ask("PATCH", f"/api/keys/{entry['id']}", 200, {"name": "private"})
    ask("PATCH", f"/api/keys/{bad['id']}", 200, {"key": CLAUDE})
    for change in ({"key": f"{BAD} x"}, {"name": OPENAI}, {"key": [BAD]}, {}):
        ask("PATCH", f"/api/keys/{entry['id']}", 422, change)
    ask("POST", f"/api/keys/{bad['id']}/validate", 200)
    for path in ("/api/keys/list", "/api/models", "/api/costs", "/api/health", "/api/training/queue", "/center"):
        ask("GET", path, 200)
    ask("POST", "/api/training/estimate", 422, {"corpus": "English", "provider": CLAUDE})
    ask("POST", "/api/training/start", 422, {"corpus": "English", "provider": "claude", "key_id": CLAUDE})
    session = add_session(center.instance, provider="claude")
    ask("GET", f"/api/training/{session}/opinions", 200)
    # The forms of the page.
    whole = {"provider": "claude", "name": "page", "key": CLAUDE, "agreed": "1"}
    ask("POST", "/center/keys/add", 303, form=whole)
    assert "…3-AA" in ask("GET", "/center", 200)
    for form in ({**whole, "agreed": ""}, {**whole, "name": OPENAI}, {**whole, "key": f"{BAD} x"}, whole):
        heard.append(client.post("/center/keys/add", data=form, headers=HERE).text)
    for action, form in (("rename", {"name": XAI}), ("replace", {"key": f"{BAD} x"}), ("replace", {"key": OPENAI})):
        heard.append(client.post(f"/center/keys/{entry['id']}/{action}", data=form, headers=HERE).text)
    ask("DELETE", f"/api/keys/{bad['id']}", 204)
    heard += [caplog.text, *capfd.readouterr(), *(f"{name}={value}" for name, value in os.environ.items())]
    assert len(heard) > 80 and [text for text in heard if leaks_in(text, ALL)] == []
    assert leaks_under(tmp_path, ALL) == []
    vault = Vault(ProviderFiles.of_home(center.home))
    assert {vault.open(one.id).secret.reveal() for one in vault.entries()} == {CLAUDE, OPENAI, XAI}
