"""Keys, models, costs and opinions over HTTP, with a fake provider in the place of all: it refuses keys with "bad"."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from starlette.testclient import TestClient

from hlx_assets.center.context import Center
from hlx_assets.curriculum import session as tags
from hlx_model.money import NANO
from hlx_model.providers.catalogue import PROVIDERS, Provider
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import Ledger
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.supervision.opinions import Evidence, Opinion, record_opinion
from tests.support.center import add_session, client_of
from tests.support.fake_provider import FakeProvider
from tests.support.keyed import BAD, KEYS, add_key, fake_providers
from tests.support.providers import a_question
from tests.support.vaults import CLAUDE, OPENAI, leaks_in, leaks_under

TINY = {"corpus": "English", "targetModel": "HelixTiny", "epochs": 1}


@pytest.fixture(autouse=True)
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    with fake_providers(tmp_path, monkeypatch) as server:
        yield server


def start(client: TestClient, **more: Any) -> Any:
    return client.post("/api/training/start", json={**TINY, **more})


def tags_of(center: Center, run_id: str) -> dict[str, str]:
    run = center.instance.get_run_by_id(run_id)
    assert run is not None
    return {name: run.tags[name] for name in (tags.PROVIDER, tags.MODEL, tags.KEY) if name in run.tags}


def detail(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    (text,) = answer.json().values()
    assert "\n" not in text
    return str(text)


def ledger(center: Center) -> Ledger:
    return Ledger(ProviderFiles.of_home(center.home))


def test_a_key_is_stored_checked_renamed_replaced_and_removed(client: TestClient) -> None:
    # The studio sends all the fields of its type.
    sent = {"id": "1", "provider": "claude", "name": "work", "key": CLAUDE, "models": ["x"]}
    added = client.post("/api/keys/add", json=sent)
    key = added.json()
    assert added.status_code == 201 and list(key)[:5] == list(sent)
    assert (key["provider"], key["name"], key["key"]) == ("claude", "work", f"…{CLAUDE[-4:]}")
    assert "claude-haiku-4-5-20251001" in key["models"] and key["validated"] and key["problem"] is None
    assert client.get("/api/keys/list").json() == [key]
    renamed = client.patch(f"/api/keys/{key['id']}", json={"name": "night"}).json()
    assert (renamed["name"], renamed["id"]) == ("night", key["id"])
    replaced = client.patch(f"/api/keys/{key['id']}", json={"key": BAD}).json()
    assert replaced["key"] == f"…{BAD[-4:]}" and not replaced["validated"] and "Incorrect" in replaced["problem"]
    found = client.post(f"/api/keys/{key['id']}/validate").json()
    assert found["valid"] is False and found["reason"] == found["key"]["problem"]
    assert client.delete(f"/api/keys/{key['id']}").status_code == 204
    assert client.get("/api/keys/list").json() == []


def test_no_answer_no_log_and_no_file_contains_a_key(
    center: Center, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    key = add_key(client)
    answers = [
        client.post("/api/keys/add", json={"provider": "openai", "name": "b", "key": BAD}),
        client.post("/api/keys/add", json={"provider": OPENAI, "name": "b", "key": "openai-work"}),
        client.post("/api/keys/add", json={"provider": "openai", "name": OPENAI, "key": "x" * 20}),
        client.post("/api/keys/add", json={"provider": "openai", "name": "b", "key": [OPENAI]}),
        client.post("/api/keys/add", json={"provider": "openai", "name": "b", OPENAI: "key"}),
        client.post("/api/keys/add", json={"provider": "openai", "name": "b", "key": f"{OPENAI}\n{OPENAI}"}),
        client.post("/api/keys/add", json={"provider": "openai", "name": "b", "key": "x" * 20, "host": "http://evil"}),
        client.patch(f"/api/keys/{key['id']}", json={"key": ""}),
        client.post(f"/api/keys/{OPENAI}/validate"), client.delete(f"/api/keys/{OPENAI}"),
        start(client, provider="claude", key_id=CLAUDE), start(client, provider="claude", key_id=OPENAI),
        start(client, provider="claude", key_id=OPENAI, without_provider=True), start(client, provider="claude"),
        client.get("/api/keys/list"), client.get("/api/models"), client.get("/center"),
    ]  # fmt: skip
    assert [one.status_code for one in answers] == [201, *[422] * 7, 404, 404, 422, 422, 201, 201, 200, 200, 200]
    said = "\n".join(f"{one.headers} {one.text}" for one in answers) + caplog.text
    assert not leaks_in(said, [*KEYS.values(), BAD])
    assert not leaks_under(center.home, [*KEYS.values(), BAD])


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"provider": "nobody", "name": "a", "key": CLAUDE}, 422, "provider: choose one of claude, openai, xai"),
        ({"provider": "qwen", "name": "a", "key": CLAUDE}, 422, "provider: choose one of claude, openai, xai"),
        ({"provider": "claude", "name": " ", "key": CLAUDE}, 422, "name: "),
        ({"provider": "claude", "name": "a", "key": "short"}, 422, "key"),
        ({"provider": "claude", "name": "work", "key": CLAUDE}, 422, "has a key work already"),
    ],
)
def test_a_key_that_cannot_be_stored_is_refused_with_one_line(
    client: TestClient, sent: dict[str, str], status: int, said: str
) -> None:
    add_key(client)
    assert said in detail(client.post("/api/keys/add", json=sent), status)
    assert len(client.get("/api/keys/list").json()) == 1


def test_a_key_that_is_not_there_is_not_found(client: TestClient) -> None:
    for answer in (
        client.delete("/api/keys/nobody"), client.patch("/api/keys/nobody", json={"name": "a"}),
        client.post("/api/keys/nobody/validate"),
    ):  # fmt: skip
        assert "GET /api/keys/list" in detail(answer, 404)


def test_a_provider_that_is_not_reached_leaves_a_key_unchecked(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HLX_PROVIDER_HOSTS", "claude=http://127.0.0.1:9")
    key = add_key(client)
    assert key["validated"] is key["problem"] is None
    found = client.post(f"/api/keys/{key['id']}/validate").json()
    assert found["valid"] is None and found["reason"]
    assert found["reason"] in detail(start(client, provider="claude"), 503)


def test_models_say_what_they_cost_and_whether_there_is_a_key(client: TestClient) -> None:
    add_key(client, "openai")
    add_key(client, "xai", BAD)
    found = {one["name"]: one for one in client.get("/api/models").json()}
    assert list(found) == list(PROVIDERS)
    assert {name: one["usable"] for name, one in found.items()} == {
        "claude": False, "openai": True, "xai": False, "qwen": True,
    }  # fmt: skip
    for one in found.values():
        assert one["models"] and one["sends"].startswith(f"{one['name']} is called at {one['host']}")
        for model in one["models"]:
            assert model["tier"] == "FREE" if one["name"] == "qwen" else model["tier"] in ("$", "$$", "$$$", "?")
            assert (model["tier"] == "?") == (model["input_usd"] is None)
    browser = {"accept": "text/html"}
    for path, part in (("/api/models", "models"), ("/api/keys/list", "keys"), ("/api/costs", "costs")):
        answer = client.get(path, headers=browser, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/center#{part}-section")


@pytest.mark.parametrize("provider", list(KEYS))
def test_a_session_with_a_provider_has_its_key_checked_first(
    center: Center, client: TestClient, fake: FakeProvider, provider: str
) -> None:
    key = add_key(client, provider)
    fake.requests.clear()
    answer = start(client, provider=provider.upper())
    assert answer.status_code == 201, answer.text
    assert [(one.provider, one.body) for one in fake.requests] == [(provider, None)], "one free call"
    own = {tags.PROVIDER: provider, tags.MODEL: PROVIDERS[provider].models[0].name, tags.KEY: key["id"]}
    assert tags_of(center, answer.json()["id"]) == own
    found = client.get(f"/api/training/status/{answer.json()['id']}").json()
    assert (found["provider"], found["model"], found["key_id"]) == tuple(own.values())
    assert client.get("/api/costs").json()["all_usd"] == 0


def test_a_session_with_a_bad_key_is_refused_with_the_word_of_its_provider(center: Center, client: TestClient) -> None:
    said = detail(start(client, provider="claude"), 422)
    assert "hlx keys add --provider claude" in said and "without_provider" in said
    key = add_key(client, "claude", BAD)
    said = detail(start(client, provider="claude"), 422)
    assert "Anthropic, the key work: " in said and "Incorrect API key provided" in said and "without_provider" in said
    assert not client.get("/api/training/queue").json()
    answer = start(client, provider="claude", without_provider=True)
    assert answer.status_code == 201 and tags_of(center, answer.json()["id"]) == {}
    assert answer.json()["unsupervised"].startswith("Anthropic, the key work: ")
    estimate = answer.json()["estimate"]
    assert (estimate["cost_usd"], estimate["supervision_calls"]) == (0, 0) and "supervision" not in estimate["summary"]
    session = client.get(f"/api/training/status/{answer.json()['id']}").json()
    assert session["unsupervised"] == answer.json()["unsupervised"] and "without" not in session["unsupervised"]
    assert "No supervisor: Anthropic, the key work: " in client.get(f"/center/sessions/{session['id']}").text
    client.patch(f"/api/keys/{key['id']}", json={"key": CLAUDE})
    answer = start(client, provider="claude", without_provider=True)
    assert tags_of(center, answer.json()["id"])[tags.KEY] == key["id"] and "unsupervised" not in answer.json()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"provider": "nobody"}, "choose one of claude, openai, xai, qwen"),
        ({"provider": "claude", "model": "of-tomorrow"}, "`hlx keys price claude of-tomorrow --input DOLLARS --output"),
        ({"provider": "claude", "key_id": "another"}, "no key of claude of that name or id"),
        ({"provider": "qwen", "model": "qwen3:4b"}, "`ollama pull qwen3:4b`"),
        ({"key_id": "work"}, "key_id is given without provider"),
        ({"model": "claude-haiku-4-5", "provider": ""}, "model is given without provider"),
    ],
)
def test_a_supervisor_that_cannot_be_asked_is_refused(client: TestClient, asked: dict[str, str], said: str) -> None:
    add_key(client)
    assert said in detail(start(client, **asked), 422)


def test_the_key_of_another_provider_is_named_with_its_provider(client: TestClient) -> None:
    key = add_key(client, "openai")
    for named in (key["id"], key["name"]):
        said = detail(start(client, provider="claude", key_id=named), 422)
        assert f"the key {key['name']} is one of openai, not of claude: name a key of claude" in said


def test_a_local_supervisor_needs_no_key(center: Center, client: TestClient) -> None:
    answer = start(client, provider="ollama", model="qwen3:1.7b", key_id="whatever")
    assert tags_of(center, answer.json()["id"]) == {tags.PROVIDER: "qwen", tags.MODEL: "qwen3:1.7b"}


def test_a_repeated_request_asks_nobody_and_starts_nothing(client: TestClient, fake: FakeProvider) -> None:
    add_key(client)
    fake.requests.clear()
    body = {**TINY, "provider": "claude"}
    headers = {"idempotency-key": "night-1"}
    ids = {client.post("/api/training/start", json=body, headers=headers).json()["id"] for _ in range(3)}
    assert len(ids) == len(fake.requests) == len(client.get("/api/training/queue").json()) == 1
    for other in ({**TINY, "provider": "xai"}, TINY):
        assert "use another" in detail(client.post("/api/training/start", json=other, headers=headers), 409)


def test_a_clone_with_another_provider_has_its_model_and_key(center: Center, client: TestClient) -> None:
    for provider in ("claude", "openai"):
        add_key(client, provider)
    first = start(client, provider="claude", model="Claude Haiku 4.5").json()["id"]
    same = client.post(f"/api/training/{first}/clone").json()["id"]
    assert tags_of(center, same) == tags_of(center, first)
    other = client.post(f"/api/training/{first}/clone", json={"provider": "openai"}).json()["id"]
    found = tags_of(center, other)
    assert (found[tags.PROVIDER], found[tags.MODEL]) == ("openai", PROVIDERS["openai"].models[0].name)
    nobody = client.post(f"/api/training/{first}/clone", json={"provider": ""}).json()["id"]
    assert tags_of(center, nobody) == {}


def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the fake count as an address that is not of this machine."""
    monkeypatch.setattr(Provider, "is_local", False)


def test_nothing_is_sent_before_a_person_agreed_once(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, fake: FakeProvider
) -> None:
    elsewhere(monkeypatch)
    key = add_key(client)
    assert key["agreed"] is False and key["validated"] is key["problem"] is None
    found = client.post(f"/api/keys/{key['id']}/validate").json()
    assert found["valid"] is None and "hlx keys agree claude" in found["reason"] and not fake.requests
    said = detail(start(client, provider="claude"), 409)
    assert f"{fake.url}/claude" in said and "hlx keys agree claude" in said and not fake.requests
    assert client.post("/api/models/nobody/agree").status_code == 404
    assert client.post("/api/models/claude/agree").json()["agreed"] is True
    assert start(client, provider="claude").status_code == 201
    (key,) = client.get("/api/keys/list").json()
    assert key["agreed"] is True and key["validated"]
    sent = {"provider": "xai", "name": "work", "key": KEYS["xai"], "agreed": True}
    assert client.post("/api/keys/add", json=sent).json()["agreed"] is True


def test_costs_are_shown_in_dollars_by_provider_purpose_and_session(center: Center, client: TestClient) -> None:
    session = add_session(center.instance)
    book = ledger(center)
    book.settle(book.reserve(a_question(session=session), NANO // 10), NANO // 20)
    book.reserve(a_question("openai", session=session), NANO // 50)
    found = client.get("/api/costs").json()
    assert (found["booked_usd"], found["reserved_usd"], found["all_usd"], found["today_usd"]) == (
        0.05,
        0.02,
        0.07,
        0.07,
    )
    assert found["by_provider"] == {"claude": 0.05, "openai": 0.02} and found["by_session"] == {session: 0.07}
    assert found["by_purpose"] == {"supervision": 0.07} and found["caps_usd"]["all"] == 20
    (open_call,) = found["open"]
    assert (open_call["usd"], open_call["alive"], open_call["session"]) == (0.02, True, session)
    book.settle(open_call["id"], NANO)
    found = client.get("/api/costs").json()
    assert list(found["closed"]) == ["openai"] and "more than the $0.02" in found["closed"]["openai"]


def test_what_a_session_cost_is_in_the_history(center: Center, client: TestClient) -> None:
    paid, other = (add_session(center.instance, dg.DagsterRunStatus.CANCELED) for _ in range(2))
    book = ledger(center)
    book.settle(book.reserve(a_question(session=paid), NANO // 10), NANO // 20)
    rows = client.get("/api/training/history").json()
    assert {row["session"]["id"]: row["cost_usd"] for row in rows} == {paid: 0.05, other: 0.0}
    assert client.get("/center/parts/history").text.count("$0.05") == 1
    ProviderFiles.of_home(center.home).ledger.write_bytes(b"x" * 4096)
    assert {row["cost_usd"] for row in client.get("/api/training/history").json()} == {None}
    assert "ledger" in detail(client.get("/api/costs"), 422)


def test_caps_are_set_with_the_token_entered_again(center: Center) -> None:
    with client_of(replace(center, token="correct-horse")) as client:
        for given in ({}, {"token": "wrong"}, {"token": "correct-horse2"}, {"token": ""}):
            said = detail(client.put("/api/budget", json={"all": 50, **given}), 403)
            assert "token" in said and "correct" not in said
        found = client.put("/api/budget", json={"all": 50, "call": 0.1, "token": "correct-horse"})
        assert found.json()["caps_usd"] == {"call": 0.1, "session": 5, "day": 5, "all": 50}
    assert ledger(center).caps()["all"] == 50 * NANO


@pytest.mark.parametrize("body", ['{"all": -1}', '{"day": 1e9}', '{"all": NaN}', '{"all": Infinity}', "{}", '{"x": 1}'])
def test_caps_that_are_none_are_refused(client: TestClient, body: str) -> None:
    headers = {"content-type": "application/json"}
    assert client.put("/api/budget", content=body, headers=headers).status_code == 422
    assert client.get("/api/costs").json()["caps_usd"] == {"call": 0.25, "session": 5, "day": 5, "all": 20}


def test_an_estimate_has_the_calls_of_the_supervisor_and_the_cap(client: TestClient) -> None:
    def estimated(**more: Any) -> Any:
        return client.post("/api/training/estimate", json={**TINY, **more}).json()

    alone = estimated()
    assert (alone["supervision_calls"], alone["cost_usd"], alone["cost_cap_usd"]) == (0, 0, 0)
    # Without a corpus its time is not known: it costs at most the cap.
    found = estimated(provider="claude")
    assert (found["supervision_calls"], found["cost_usd"], found["cost_cap_usd"]) == (None, 5, 5)
    assert "supervision: at most $5" in found["summary"]
    client.put("/api/budget", json={"session": 2})
    assert estimated(provider="claude")["cost_usd"] == 2
    assert estimated(provider="qwen")["cost_usd"] == 0
    unknown = estimated(provider="claude", model="claude-of-tomorrow")
    assert unknown["cost_usd"] is None and "price is not known" in unknown["summary"]
    assert "provider" in detail(client.post("/api/training/estimate", json={**TINY, "provider": "nobody"}), 422)


def test_opinions_of_a_session_are_those_of_its_trainings(center: Center, client: TestClient) -> None:
    session = add_session(center.instance, provider="claude", model="claude-haiku-4-5")
    assert client.get(f"/api/training/{session}/opinions").json() == []
    assert client.get("/api/training/nobody/opinions").status_code == 404
    common: dict[str, Any] = {
        "time": 1.5,
        "trigger": "gates",
        "step": 7,
        "epoch": 2,
        "provider": "claude",
        "model": "m",
    }
    folder = center.artifacts.training / ("ab" * 8)
    folder.mkdir(parents=True)
    Heartbeat(folder.name, phase=1, size="tiny", epochs=9, status="training", run_id=session).write(folder)
    evidence = (Evidence(step=7, figure="validation loss 2.1"),)
    record_opinion(folder, Opinion(**common, outcome="answered", verdict="watch", confidence="low", evidence=evidence,
                                   cost_nanodollars=NANO // 1000))  # fmt: skip
    record_opinion(folder, Opinion(**common, outcome="<b>unavailable</b>: 529"))
    first, second = client.get(f"/api/training/{session}/opinions").json()
    assert (first["training_id"], first["verdict"], first["cost_usd"]) == (folder.name, "watch", 0.001)
    assert first["evidence"] == [{"step": 7, "figure": "validation loss 2.1"}]
    assert second["verdict"] is None and second["outcome"] == "<b>unavailable</b>: 529"
    page = client.get(f"/center/sessions/{session}").text
    assert "validation loss 2.1" in page and "&lt;b&gt;unavailable&lt;/b&gt;: 529" in page
    part = client.get(f"/center/sessions/{session}/opinions").text
    assert "watch" in part and "<html" not in part
