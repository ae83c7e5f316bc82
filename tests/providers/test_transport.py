"""Under the SDKs: one host, and words in which no part of a key is left."""

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_model.providers.adapters import CallFailed, Endpoint, strict_schema
from hlx_model.providers.adapters.transport import failures, http_client
from hlx_model.providers.adapters.words import message_of, without_key
from hlx_model.providers.catalogue import PROVIDERS
from tests.support.fake_provider import FakeProvider
from tests.support.providers import KEY, OneKey


def test_a_request_to_another_host_is_not_sent(fake: FakeProvider) -> None:
    endpoint = Endpoint(PROVIDERS["claude"], OneKey(), 5.0)
    with FakeProvider() as other, http_client(endpoint, {"x-api-key": KEY}) as client:
        for address in (f"{other.url}/v1/messages", fake.url.replace("127.0.0.1", "localhost"), "https://127.0.0.1"):
            with pytest.raises(CallFailed, match="to another host"), failures(endpoint):
                client.get(address)
        assert other.requests == [] and client.get(f"{fake.url}/claude/v1/models").status_code == 200


def test_an_error_of_a_call_does_not_show_the_key() -> None:
    endpoint = Endpoint(PROVIDERS["claude"], OneKey(), 5.0)
    with pytest.raises(CallFailed) as raised, failures(endpoint):
        raise httpx2.ConnectError(f"no route for {KEY} in headers {{'x-api-key': '{KEY}'}}")
    assert KEY[:8] not in f"{raised.value} {raised.value!r} {endpoint!r}" and "no route for …" in str(raised.value)


parts = st.tuples(st.integers(0, len(KEY)), st.integers(0, len(KEY))).map(lambda ends: KEY[min(ends) : max(ends)])


@given(st.lists(st.one_of(parts, st.text(max_size=6)), max_size=8).map("".join))
def test_no_eight_characters_of_a_key_in_a_row_are_left(text: str) -> None:
    shown = without_key(text, KEY)
    assert not any(KEY[start : start + 8] in shown for start in range(len(KEY) - 7))


@given(st.text(alphabet="abc …", max_size=40))
def test_a_text_without_the_key_stays_as_it_is(text: str) -> None:
    assert without_key(text, KEY) == text and without_key(text, "") == text


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ('{"type": "error", "error": {"type": "x", "message": "Overloaded"}}', "Overloaded"),
        ('{"error": "model not found, try pulling it first"}', "model not found, try pulling it first"),
        ('{"code": "x", "error": "no credit"}', "no credit"), ('{"detail": "no"}', "no"), ("[1]", "[1]"), ("", ""),
        ("<html>\n <b>Bad gateway</b></html>", "<html> <b>Bad gateway</b></html>"),
    ],
)  # fmt: skip
def test_the_message_of_an_error_is_found_in_every_protocol(body: str, shown: str) -> None:
    assert message_of(body, KEY) == shown


def test_a_message_is_one_short_line_without_control_characters() -> None:
    shown = message_of('{"error": "' + "x" * 5_000 + '\\n\\u001b[2J"}', KEY)
    assert len(shown) < 350 and "\n" not in shown and "\x1b" not in shown


def test_a_schema_for_providers_requires_everything_and_bounds_nothing() -> None:
    inner = {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 1}, "b": {"type": ["string", "null"]}},
    }
    schema = {
        "type": "object",
        "properties": {"list": {"type": "array", "items": inner, "maxItems": 3}},
        "required": [],
    }
    assert strict_schema(schema) == {
        "type": "object", "additionalProperties": False, "required": ["list"],
        "properties": {"list": {"type": "array", "items": {
            "type": "object", "additionalProperties": False, "required": ["a", "b"],
            "properties": {"a": {"type": "integer"}, "b": {"type": ["string", "null"]}},
        }}},
    }  # fmt: skip
