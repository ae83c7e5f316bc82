"""The page's parts for keys, models, costs and the supervisor, as a browser without JavaScript uses them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hlx_assets.center import sessions
from hlx_assets.center.__main__ import HEALTH, JSON_PATHS
from hlx_assets.center.app import create_app
from hlx_assets.center.context import Center
from hlx_assets.center.token import required_by
from hlx_model.money import NANO
from hlx_model.providers.catalogue import Provider
from hlx_model.providers.client import Checked, ProviderClient
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import Ledger
from hlx_model.serving.guard import GuardSettings, RequestGuard
from tests.support.center import add_session, client_of
from tests.support.fake_provider import FakeProvider
from tests.support.keyed import BAD, KEYS, add_key, fake_providers
from tests.support.markup import Markup
from tests.support.providers import a_question
from tests.support.vaults import CLAUDE, XAI, leaks_in

HTMX = {"HX-Request": "true"}
START = {"corpus": "English", "targetModel": "HelixTiny", "epochs": "1", "action": "start"}


@pytest.fixture(autouse=True)
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    with fake_providers(tmp_path, monkeypatch) as server:
        yield server


def post(client: TestClient, path: str, **form: str) -> Any:
    return client.post(f"/center/{path}", data=form, follow_redirects=False)


def shown(client: TestClient) -> Markup:
    return Markup(client.get("/center").text)


def keys(client: TestClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/keys/list").json()
    return found


def test_a_key_is_added_renamed_replaced_checked_and_removed(client: TestClient) -> None:
    assert "No key is stored" in shown(client).text
    answer = post(client, "keys/add", provider="claude", name="work", key=CLAUDE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/center#keys-section")
    (key,) = keys(client)
    page = shown(client)
    assert f"key-{key['id']}" in page.values("id") and "✓ accepted" in page.text and f"…{CLAUDE[-4:]}" in page.text
    post(client, f"keys/{key['id']}/rename", name="night")
    post(client, f"keys/{key['id']}/replace", key=BAD)
    page = shown(client)
    assert "✗ refused" in page.text and "Incorrect API key provided" in page.text
    (replaced,) = keys(client)
    assert (replaced["name"], replaced["key"]) == ("night", f"…{BAD[-4:]}")
    assert post(client, f"keys/{key['id']}/check").status_code == 303
    assert post(client, f"keys/{key['id']}/sell").status_code == 404
    assert post(client, f"keys/{key['id']}/remove").status_code == 303 and not keys(client)
    assert post(client, f"keys/{key['id']}/remove").status_code == 404


def test_a_check_says_whether_a_key_is_refused_or_its_provider_is_away(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = f"/center/keys/{add_key(client, 'claude', BAD)['id']}/check"
    assert "claude work: refused: claude answers 401" in Markup(client.post(check, headers=HTMX).text).text
    monkeypatch.setattr(ProviderClient, "check", lambda *_: Checked(None, reason="it is away"))
    assert "claude work: not known: it is away" in Markup(client.post(check, headers=HTMX).text).text


def test_what_was_refused_is_one_line_and_keeps_what_was_typed_but_the_key(client: TestClient) -> None:
    answer = post(client, "keys/add", provider="xai", name="two", key=f"{XAI} {XAI}")
    page = Markup(answer.text)
    assert answer.status_code == 422 and page.typed("name") == "two" and "xai" in page.selected
    assert not leaks_in(answer.text, [XAI]) and not keys(client)
    part = client.post("/center/keys/add", data={"provider": "xai", "name": "", "key": XAI}, headers=HTMX)
    assert part.status_code == 200 and "name: " in part.text and "<html" not in part.text
    for secret, shown_as in ((BAD, "alert"), (XAI, "started")):
        added = client.post(
            "/center/keys/add", data={"provider": "xai", "name": secret[-2:], "key": secret}, headers=HTMX
        )
        assert f'class="{shown_as}" data-say>Stored: xai {secret[-2:]}, ' in added.text
    key = add_key(client)
    add_key(client, name="other")
    answer = post(client, f"keys/{key['id']}/rename", name="other")
    assert answer.status_code == 422 and "has a key other already" in Markup(answer.text).text
    for address in ("keys/add", f"keys/{key['id']}/rename", "budget", "models/claude/agree"):
        assert client.get(f"/center/{address}", follow_redirects=False).headers["location"] == "/center"


def test_the_page_asks_once_for_each_provider_what_may_be_sent(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Provider, "is_local", False)
    page = shown(client)
    assert "agreed" in page.values("name") and "claude is called at http://127.0.0.1:" in page.text
    refused = post(client, "keys/add", provider="claude", name="work", key=CLAUDE)
    assert refused.status_code == 409 and "tick that you agree" in Markup(refused.text).text and not keys(client)
    assert post(client, "keys/add", provider="claude", name="work", key=CLAUDE, agreed="1").status_code == 303
    page = shown(client)
    assert "claude is called at" not in page.text and "xai is called at" in page.text
    assert post(client, "keys/add", provider="claude", name="two", key=CLAUDE).status_code == 303
    # A key that a program stored: the page asks beside the models.
    add_key(client, "openai")
    assert "agree-to-openai" in shown(client).values("id")
    assert "nobody agreed" in Markup(post(client, "start", **START, supervisor="openai/gpt-4o").text).text
    assert post(client, "models/openai/agree").headers["location"] == "/center#models-section"
    assert "agree-to-openai" not in shown(client).values("id")
    assert post(client, "start", **START, supervisor="openai/gpt-4o").status_code == 303


def test_models_without_a_key_are_dim_and_cannot_be_chosen(client: TestClient) -> None:
    add_key(client, "openai")
    text = client.get("/center/parts/models").text
    assert text.count("class=dimmed") == 2 and text.count("needs a key") == 2
    options = client.get("/center/parts/supervisors").text
    for model, disabled in (("claude/claude-haiku-4-5", True), ("openai/gpt-4o", False), ("qwen/qwen3:8b", False)):
        (option,) = [line for line in options.splitlines() if f'value="{model}"' in line]
        assert ("disabled" in option) == disabled


def test_a_session_is_started_with_a_supervisor_or_with_a_tick_without(center: Center, client: TestClient) -> None:
    post(client, "keys/add", provider="claude", name="work", key=BAD)
    refused = post(client, "start", **START, supervisor="claude/claude-haiku-4-5")
    page = Markup(refused.text)
    assert refused.status_code == 422 and "Incorrect API key provided" in page.text
    assert "claude/claude-haiku-4-5" in page.selected and "without_provider" in page.values("name")
    chosen = {"supervisor": "claude/claude-haiku-4-5", "without_provider": "1"}
    assert post(client, "start", **START, **chosen).status_code == 303
    post(client, f"keys/{keys(client)[0]['id']}/replace", key=CLAUDE)
    assert post(client, "start", **START, **chosen).status_code == 303
    with_one, without = sorted(sessions.queue(center, 0), key=lambda one: one.provider, reverse=True)
    assert (with_one.provider, with_one.model, without.provider) == ("claude", "claude-haiku-4-5", "")
    cloned = Markup(client.get(f"/center?clone={with_one.id}").text)
    assert "claude/claude-haiku-4-5" in cloned.selected


def test_a_model_that_is_not_listed_can_be_named_and_cloned(center: Center, client: TestClient) -> None:
    add_key(client, "openai")
    post(client, "start", **START, supervisor="openai/gpt-4o", model="gpt-4o-mini")
    (session,) = sessions.queue(center, 0)
    assert session.model == "gpt-4o-mini"
    assert "openai/gpt-4o-mini" in Markup(client.get(f"/center?clone={session.id}").text).selected


def test_an_estimate_says_what_supervision_costs_at_most(client: TestClient) -> None:
    add_key(client)
    asked = {**START, "action": "estimate"}
    assert "Costs nothing." in Markup(post(client, "start", **asked).text).text
    page = Markup(post(client, "start", **asked, supervisor="claude/claude-haiku-4-5").text)
    assert "Supervision: at most $5.00; the cap of a session is $5.00." in page.text


def test_costs_stand_against_the_budget(center: Center, client: TestClient) -> None:
    assert "Nothing was paid yet" in shown(client).text
    session, ledger = add_session(center.instance), Ledger(ProviderFiles.of_home(center.home))
    ledger.settle(ledger.reserve(a_question(session=session), NANO // 4), NANO // 8)
    page = shown(client)
    assert "$0.125 of $20" in page.text and "$0.125 of $5" in page.text and session[:8] in page.text
    answer = post(client, "budget", all="30", day="", call="0.5", session="5")
    assert answer.headers["location"] == "/center#costs-section"
    assert "$0.125 of $30" in shown(client).text
    refused = post(client, "budget", all="-1")
    assert refused.status_code == 422 and "all: " in Markup(refused.text).text


def test_a_cap_needs_the_token_entered_again(center: Center) -> None:
    with client_of(replace(center, token="correct-horse")) as client:
        assert "token" in shown(client).values("name")
        refused = post(client, "budget", all="50", token="wrong")
        assert (
            refused.status_code == 403 and "token: enter" in Markup(refused.text).text and "wrong" not in refused.text
        )
        assert post(client, "budget", all="50", token="correct-horse").status_code == 303


def test_with_the_first_key_the_page_asks_for_its_login(center: Center) -> None:
    guarded = RequestGuard(
        create_app(center), GuardSettings(token="correct-horse"), forms=True, open_paths=(HEALTH,),
        required=required_by(center.home), json_paths=JSON_PATHS,
    )  # fmt: skip
    origin = {"origin": "http://127.0.0.1:5000"}
    with TestClient(guarded, base_url="http://127.0.0.1:5000", headers=origin) as client:
        form = {"provider": "claude", "name": "work", "key": KEYS["claude"]}
        answer = client.post("/center/keys/add", data=form, follow_redirects=False)
        assert "Stored: claude work, accepted" in answer.text and "open the link" in Markup(answer.text).text
        assert "correct-horse" not in answer.text and client.get("/center").status_code == 403
        assert client.get("/center?token=correct-horse").status_code == 200
        answer = client.post("/center/keys/add", data={**form, "name": "two"}, follow_redirects=False)
        assert answer.status_code == 303


def test_with_the_first_key_an_answer_says_that_the_next_needs_the_login(center: Center) -> None:
    guarded = RequestGuard(create_app(center), GuardSettings(token="correct-horse"), required=required_by(center.home))
    with TestClient(guarded, base_url="http://127.0.0.1:5000") as client:
        key = {"provider": "claude", "name": "work", "key": KEYS["claude"]}
        note = client.post("/api/keys/add", json=key).json()["note"]
        assert "open the link" in note and "`Authorization: Bearer TOKEN`" in note
        assert client.get("/api/costs").status_code == 403
        bearer = {"authorization": "Bearer correct-horse"}
        assert client.post("/api/keys/add", json={**key, "name": "two"}, headers=bearer).json()["note"] is None
