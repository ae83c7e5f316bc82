"""Asking: what is refused before anything is sent, what is sent, what is kept, and what is noted on a key."""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from hlx_model.files import digest_of
from hlx_model.providers.agreed import agree, has_agreed, what_is_sent
from hlx_model.providers.client import Checked, ProviderClient
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import Ledger
from hlx_model.providers.prices import MAX_INPUT_BYTES, set_price
from hlx_model.providers.question import Answer, Choice, Malformed, Refused, Unavailable, describe
from hlx_model.providers.replies import Replies, kept_cost
from tests.support.fake_provider import FakeProvider, does, status, text, usage
from tests.support.providers import KEY, MODELS, OneKey, a_question


class NoKey(OneKey):
    """A vault without a key."""

    def find(self, provider: str, key_id: str | None = None) -> OneKey:
        """Say so."""
        raise ValueError(f"no key of {provider}: `hlx keys add --provider {provider}`")


def reason_of(files: ProviderFiles, provider: str = "claude", vault: OneKey | None = None, **changes: object) -> str:
    """Return why a question is refused without being sent."""
    question = replace(a_question(provider), **changes)  # type: ignore[arg-type]
    outcome = ProviderClient(files, vault or OneKey()).ask(question)
    assert isinstance(outcome, Refused) and not outcome.asked and outcome.cost == 0, outcome
    return outcome.reason


def test_what_may_not_be_asked_is_refused_in_one_line_and_nothing_is_sent(
    files: ProviderFiles, fake: FakeProvider
) -> None:
    unknown = Choice("claude", "claude-nope-9")
    assert "the price of claude/claude-nope-9 is not known: `hlx keys price claude" in reason_of(files, choice=unknown)
    assert "no key of claude: `hlx keys add" in reason_of(files, vault=NoKey())
    assert "the question has" in reason_of(files, user="x" * MAX_INPUT_BYTES)
    assert "provider is 'nobody'" in reason_of(files, choice=Choice("nobody", "x"))
    assert "the cap of a call is $0.25" in reason_of(files, max_tokens=100_000)
    Ledger(files).set_cap("day", 0)
    assert "`hlx costs cap day 0.01`" in reason_of(files)
    files.ledger.write_bytes(b"SQLite format 3\0" + b"\1" * 4000)
    assert f"{files.ledger}: no ledger" in reason_of(files)
    assert fake.requests == []


def test_a_host_beyond_this_machine_needs_an_agreement_for_that_very_host(
    files: ProviderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "nobody agreed to send anything to claude at https://api.anthropic.com: `hlx keys agree" in reason_of(files)
    agree(files, "anthropic")
    assert has_agreed(files, "claude") and not has_agreed(files, "openai") and has_agreed(files, "qwen")
    assert "no key" in reason_of(files, vault=NoKey())
    monkeypatch.setenv("HLX_PROVIDER_HOSTS", "claude=https://other.example.org,qwen=https://qwen.example.org")
    assert not has_agreed(files, "claude") and not has_agreed(files, "qwen")
    said = what_is_sent("claude")
    assert "https://other.example.org" in said and "never gets: weights" in said


def test_a_request_is_the_question_and_nothing_of_this_machine(
    files: ProviderFiles, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "https://attacker.example.org/v1")
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(name, "of-the-environment")
    for name in ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "Authorization: Bearer of-the-environment\nX-Api-Key: of-the-environment\nX-More: 1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nothing for this machine goes through a proxy
    client = ProviderClient(files, OneKey())
    for provider, model in MODELS.items():
        assert isinstance(client.ask(a_question(provider)), Answer)
        asked = fake.asked[-1]
        shown = json.dumps([asked.headers, asked.body])
        assert asked.provider == provider and asked.body["model"] == model
        assert "The loss rises." in shown and "You watch a training." in shown
        assert "of-the-environment" not in shown
        assert socket.gethostname() not in shown and "x-stainless-os" not in asked.headers
        assert set(asked.headers) <= {
            "host", "connection", "accept", "accept-encoding", "content-type", "content-length", "user-agent",
            "authorization", "x-api-key", "anthropic-version", "x-stainless-raw-response",
        }  # fmt: skip
        keys = [asked.headers.get("x-api-key"), asked.headers.get("authorization")]
        assert keys == {"claude": [KEY, None], "qwen": [None, None]}.get(provider, [None, f"Bearer {KEY}"])


def test_every_provider_is_told_the_schema_and_the_most_tokens(files: ProviderFiles, fake: FakeProvider) -> None:
    client = ProviderClient(files, OneKey())
    sent = {provider: (client.ask(a_question(provider)), fake.asked[-1].body)[1] for provider in MODELS}
    formats = [
        sent["claude"]["output_config"]["format"]["schema"],
        sent["openai"]["response_format"]["json_schema"]["schema"],
        sent["xai"]["response_format"]["json_schema"]["schema"],
    ]
    for schema in formats:
        assert schema["required"] == ["verdict", "step"] and schema["additionalProperties"] is False
        assert schema["properties"]["step"] == {"type": "integer"}  # bounds are ours to check
    assert sent["qwen"]["format"]["properties"]["step"]["minimum"] == 1
    assert sent["claude"]["max_tokens"] == sent["openai"]["max_completion_tokens"] == 300
    assert sent["qwen"]["options"]["num_predict"] == 300 and sent["qwen"]["keep_alive"] == 0
    assert sent["openai"]["store"] is False and sent["openai"]["service_tier"] == "default"
    assert '"enum":["watch","stop"]' in sent["claude"]["system"]


def test_a_local_model_leaves_the_gpu_to_the_training_unless_it_is_said(
    files: ProviderFiles, fake: FakeProvider
) -> None:
    ProviderClient(files).ask(a_question("qwen"))
    assert fake.asked[-1].body["options"]["num_gpu"] == 0 and fake.asked[-1].body["think"] is False
    ProviderClient(files, use_gpu=True).ask(a_question("qwen"))
    assert "num_gpu" not in fake.asked[-1].body["options"]


def test_a_model_without_structured_output_has_the_schema_from_its_prompt(
    files: ProviderFiles, fake: FakeProvider
) -> None:
    outcome = ProviderClient(files, OneKey()).ask(a_question("claude", model="claude-opus-4-1"))
    assert isinstance(outcome, Answer) and "output_config" not in fake.asked[-1].body


@pytest.mark.parametrize("answered", ["claude-haiku-4-5-20251001", "claude-haiku-4-5"])
def test_a_dated_name_is_the_same_model(
    files: ProviderFiles, fake: FakeProvider, answered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.script(does("other_model", answered))
    outcome = ProviderClient(files, OneKey()).ask(a_question("claude"))
    assert isinstance(outcome, Answer) and outcome.answered_by == answered


def test_a_dearer_model_that_answers_is_paid_at_its_own_price(files: ProviderFiles, fake: FakeProvider) -> None:
    fake.script(does("other_model", "claude-opus-4-1-20250805"))
    outcome = ProviderClient(files, OneKey()).ask(a_question("claude"))
    assert isinstance(outcome, Malformed) and outcome.cost == 120 * 15_000 + 30 * 75_000


def test_a_kept_answer_sends_nothing_and_costs_nothing(files: ProviderFiles, fake: FakeProvider) -> None:
    client, question = ProviderClient(files, OneKey()), a_question()
    first = client.ask(question, keep=True)
    again = ProviderClient(files, NoKey()).ask(replace(question, session="run-2"), keep=True)
    assert isinstance(first, Answer) and isinstance(again, Answer) and len(fake.asked) == 1
    assert again.kept and again.cost == 0 and again.content == first.content and again.usage == first.usage
    assert kept_cost(files, again) == kept_cost(files, first) == first.cost > 0
    assert client.ask(replace(question, user="Now?"), keep=True).kept is False
    assert Replies(files).size()[0] == 2 and Replies(files).remove_all() == 2
    assert client.ask(question, keep=True).kept is False


def test_what_a_model_answered_badly_is_kept_too_and_an_outage_is_not(files: ProviderFiles, fake: FakeProvider) -> None:
    client = ProviderClient(files, OneKey())
    for behaviour in (text("prose"), does("max_tokens"), does("refusal")):
        question = a_question(user=f"{behaviour}")
        fake.script(behaviour)
        first = client.ask(question, keep=True)
        again = client.ask(question, keep=True)
        assert again.kept and (type(again), describe(again)) == (type(first), describe(first))
    fake.script(status(529), status(401))
    assert isinstance(client.ask(a_question(), keep=True), Unavailable)
    assert isinstance(client.ask(a_question(), keep=True), Refused)
    assert isinstance(client.ask(a_question(), keep=True), Answer)


def test_a_kept_answer_that_is_damaged_is_asked_again(files: ProviderFiles, fake: FakeProvider) -> None:
    client = ProviderClient(files, OneKey())
    client.ask(a_question(), keep=True)
    (path,) = files.replies.iterdir()
    path.write_text(path.read_text()[:50])
    assert client.ask(a_question(), keep=True).kept is False and len(fake.asked) == 2
    assert files.root.stat().st_mode & 0o777 == 0o700


def test_an_interrupted_call_is_booked_whole(
    files: ProviderFiles, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hlx_model.providers.adapters import anthropic

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(anthropic, "ask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ProviderClient(files, OneKey()).ask(a_question())
    spending = Ledger(files).spending()
    assert spending.booked > 0 and spending.open == ()


def test_a_check_is_free_and_notes_what_the_provider_says(files: ProviderFiles, fake: FakeProvider) -> None:
    for provider in ("claude", "openai", "xai"):
        good, bad = OneKey(), OneKey("sk-bad-Zq3vT8mWb1Kx5Ry7Lp9")
        checked = ProviderClient(files, good).check(provider)
        assert checked.valid and checked.models and good.marks == [("key-1", True, None, checked.models)]
        refused = ProviderClient(files, bad).check(provider)
        assert refused.valid is False and "Incorrect API key provided: …" in refused.reason
        assert bad.marks == [("key-1", False, refused.reason, ())] and "Zq3vT8mW" not in refused.reason
    assert ProviderClient(files).check("qwen") == Checked(True, ("qwen3:1.7b",))
    assert ProviderClient(files, NoKey()).check("claude").valid is None
    assert fake.asked == [] and Ledger(files).spending().calls == 0


def test_a_provider_that_is_away_says_nothing_about_a_key(
    files: ProviderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeProvider() as gone:
        pass
    monkeypatch.setenv("HLX_PROVIDER_HOSTS", gone.hosts)
    vault = OneKey()
    checked = ProviderClient(files, vault).check("claude")
    assert checked.valid is None and "cannot be reached" in checked.reason and vault.marks == []


@contextmanager
def recording_proxy() -> Iterator[tuple[str, list[bytes]]]:
    """Yield the address of a proxy that refuses every connection, and what it was sent."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", heard
        thread.join()


@pytest.mark.parametrize("provider", ["claude", "openai", "xai"])
def test_https_proxy_is_used_and_is_not_shown_the_key(
    files: ProviderFiles, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HLX_PROVIDER_HOSTS", f"{provider}=https://api.example.org/v1")
    agree(files, provider)
    with recording_proxy() as (address, heard):
        monkeypatch.setenv("HTTPS_PROXY", address)
        outcome = ProviderClient(files, OneKey()).ask(a_question(provider))
    assert heard[0].startswith(b"CONNECT api.example.org:443 ") and KEY.encode() not in heard[0]
    assert isinstance(outcome, Unavailable) and "403" in outcome.reason and outcome.cost == 0


def test_nothing_of_a_call_is_logged(
    files: ProviderFiles, fake: FakeProvider, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_LOG", "debug")
    monkeypatch.setenv("ANTHROPIC_LOG", "debug")
    caplog.set_level(logging.DEBUG)
    for provider in MODELS:
        fake.script(status(401, f"Incorrect API key: {KEY}"), usage(1, 1))
        ProviderClient(files, OneKey()).ask(a_question(provider))
        ProviderClient(files, OneKey()).ask(a_question(provider))
    assert [record.getMessage() for record in caplog.records if "sk-" in record.getMessage()] == []
    assert not any(record.name.startswith(("openai", "anthropic", "http")) for record in caplog.records)


def test_a_stated_price_lets_an_unknown_model_be_asked(files: ProviderFiles, fake: FakeProvider) -> None:
    choice = Choice("openai", "a-model-of-tomorrow")
    set_price(files, choice, "2", "8")
    outcome = ProviderClient(files, OneKey()).ask(replace(a_question("openai"), choice=choice))
    assert isinstance(outcome, Answer) and outcome.cost == 120 * 2_000 + 30 * 8_000


def test_a_question_has_one_digest_whoever_pays_and_whatever_the_key(files: ProviderFiles) -> None:
    question = a_question()
    other = replace(question, session="run-9", choice=replace(question.choice, key_id="key-2"))
    assert question.digest == other.digest != replace(question, max_tokens=301).digest
    assert len(question.digest) == len(digest_of(1))
