"""Every behaviour of a provider, in every protocol: what comes of it, what is paid, and what a person reads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from hlx_model.providers.client import ProviderClient, worst_of
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import Ledger
from hlx_model.providers.prices import price_of
from hlx_model.providers.question import Answer, Malformed, Outcome, Refused, Truncated, Unavailable, describe
from tests.support.fake_provider import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    Behaviour,
    FakeProvider,
    content,
    does,
    status,
    text,
    usage,
)
from tests.support.providers import KEY, MODELS, OneKey, a_question

Paid = str
"""`tokens`: what the provider counts; `all`: the whole reservation, since nobody knows; `nothing`; `more`: too much."""


@dataclass(frozen=True)
class Case:
    """A behaviour and what must come of it."""

    behaviour: Behaviour
    kind: type[Any]
    paid: Paid
    said: str
    of: Callable[[Any], object] = lambda outcome: True
    """More that must be true of the outcome."""


CASES = {
    "a good answer": Case(usage(INPUT_TOKENS, OUTPUT_TOKENS), Answer, "tokens", "answered"),
    "fenced JSON": Case(text('```json\n{"verdict": "stop", "step": 1}\n```'), Answer, "tokens", "answered"),
    "401": Case(status(401, f"Incorrect API key provided: {KEY}"), Refused, "nothing", "answers 401: Incorrect API"),
    "402": Case(status(402, "no credit"), Refused, "nothing", "answers 402: no credit"),
    "403": Case(status(403, "not in your country"), Refused, "nothing", "answers 403: not in your country"),
    "404": Case(status(404, "model gone"), Refused, "nothing", "answers 404: model gone"),
    "400": Case(status(400, "bad schema"), Refused, "nothing", "answers 400: bad schema", lambda o: o.status == 400),
    "429": Case(
        status(429, "slow down", retry_after=7), Unavailable, "nothing", "answers 429: slow down",
        lambda o: o.retry_after == 7,
    ),
    "500": Case(status(500), Unavailable, "nothing", "answers 500"),
    "504": Case(status(504), Unavailable, "all", "answers 504"),
    "529": Case(status(529, "Overloaded"), Unavailable, "nothing", "answers 529: Overloaded"),
    "a time-out": Case(does("timeout"), Unavailable, "all", "did not answer in 0.4 s"),
    "a cut connection": Case(does("cut"), Unavailable, "all", "ended the connection without a whole answer"),
    "a slow drip": Case(does("drip"), Unavailable, "all", "did not answer in 0.4 s"),
    "slow headers": Case(does("slow_headers"), Unavailable, "all", "did not answer in 0.4 s"),
    "no HTTP": Case(does("not_http"), Unavailable, "all", "ended the connection"),
    "8 MB": Case(does("large"), Malformed, "all", "its answer has more than 4,000,000 bytes"),
    "gzip": Case(does("compressed"), Malformed, "all", "compressed"),
    "a redirect": Case(does("redirect", "https://example.org/v1"), Refused, "nothing", "redirects to another address"),
    "the page of a proxy": Case(does("html"), Malformed, "all", "did not answer in its protocol"),
    "max_tokens": Case(does("max_tokens"), Truncated, "tokens", "truncated"),
    "prose": Case(text("The loss looks fine."), Malformed, "tokens", "not JSON", lambda o: "looks" in o.text),
    "nothing": Case(does("no_content"), Malformed, "tokens", "not JSON"),
    "another object": Case(content({"weather": "fine"}), Malformed, "tokens", "'weather' was unexpected"),
    "a field more": Case(content({"verdict": "stop", "step": 1, "x": 1}), Malformed, "tokens", "'x' was unexpected"),
    "half an object": Case(content({"step": 1}), Malformed, "tokens", "'verdict' is a required property"),
    "an invalid value": Case(content({"verdict": "maybe", "step": 1}), Malformed, "tokens", "$.verdict: 'maybe'"),
    "a number below its bound": Case(content({"verdict": "stop", "step": 0}), Malformed, "tokens", "minimum"),
    "a list": Case(text("[1, 2]"), Malformed, "tokens", "not of type 'object'"),
    "a key twice": Case(text('{"verdict": "stop", "verdict": "watch", "step": 1}'), Malformed, "tokens", "comes twice"),
    "NaN": Case(text('{"verdict": "stop", "step": NaN}'), Malformed, "tokens", "NaN is no number"),
    "half a character": Case(text('{"verdict": "\\ud800", "step": 1}'), Malformed, "tokens", "not JSON"),
    "many brackets": Case(text("[" * 200_000), Malformed, "tokens", "not JSON"),
    "another model": Case(does("other_model"), Malformed, "tokens", "another model answered: another-model-1 instead"),
    "no count of tokens": Case(does("no_usage"), Answer, "all", "answered"),
    "more tokens than there can be": Case(usage(9_000_000, 5), Answer, "more", "answered"),
}  # fmt: skip


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize("name", CASES)
def test_each_behaviour_has_its_outcome_its_price_and_its_words(
    files: ProviderFiles, fake: FakeProvider, name: str, provider: str
) -> None:
    case, question, vault = CASES[name], a_question(provider), OneKey()
    price = price_of(question.choice, files)
    assert price is not None
    fake.script(case.behaviour)
    outcome: Outcome = ProviderClient(files, vault, timeout=0.4 if "0.4 s" in case.said else 60).ask(question)
    assert type(outcome) is case.kind and case.of(outcome), outcome
    assert case.said in describe(outcome)
    assert len(fake.asked) == 1  # nothing is sent twice

    tokens = INPUT_TOKENS, OUTPUT_TOKENS
    cost = {"nothing": 0, "tokens": price.cost(*tokens), "all": worst_of(question, price)}
    expected = cost.get(case.paid, price.cost(9_000_000, 5))
    spending = Ledger(files).spending()
    assert outcome.cost == expected == spending.booked == spending.by_session.get("run-1", 0)
    assert spending.reserved == 0 and spending.open == ()
    assert list(spending.closed) == ([provider] if case.paid == "more" and provider != "qwen" else [])

    shown = f"{outcome!r} {describe(outcome)} {vault.marks}"
    if provider != "qwen":  # which has no key: nobody knows that the words of this error are one
        assert not any(KEY[start : start + 8] in shown for start in range(len(KEY) - 7))
    refused = name in ("401", "403") and provider != "qwen"
    assert [mark[1] for mark in vault.marks] == ([False] if refused else [])


def test_a_model_that_declines_is_a_refusal_which_costs_its_tokens(files: ProviderFiles, fake: FakeProvider) -> None:
    for provider in ("claude", "openai", "xai"):
        fake.script(does("refusal"))
        outcome = ProviderClient(files, OneKey()).ask(a_question(provider))
        assert isinstance(outcome, Refused) and "declines to answer" in outcome.reason and outcome.asked
        assert outcome.usage is not None and outcome.cost > 0


def test_a_provider_that_is_not_there_costs_nothing(files: ProviderFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeProvider() as gone:
        pass
    monkeypatch.setenv("HLX_PROVIDER_HOSTS", gone.hosts)
    for provider in MODELS:
        outcome = ProviderClient(files, OneKey()).ask(a_question(provider))
        assert isinstance(outcome, Unavailable) and f"cannot be reached at {gone.url}" in outcome.reason
        assert outcome.cost == 0 and ("ollama serve" in outcome.reason) is (provider == "qwen")
    assert Ledger(files).spending().calls == 0


def test_tokens_of_reasoning_that_only_the_total_counts_are_paid(files: ProviderFiles, fake: FakeProvider) -> None:
    fake.script(usage(10, 5, total=100))
    outcome = ProviderClient(files, OneKey()).ask(a_question("xai"))
    assert outcome.usage is not None and outcome.usage.output_tokens == 90
