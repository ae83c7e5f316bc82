"""One fake server for all providers, on loopback: it answers well by default, and misbehaves as a test scripts it.

    with FakeProvider(answer=lambda system, user, schema: {"verdict": "watch"}) as fake:
        monkeypatch.setenv("HLX_PROVIDER_HOSTS", fake.hosts)
        fake.script(status(429, retry_after=7), text("no JSON"))  # for the next two questions; then it answers well
        ...
        assert fake.asked[0].body["model"] == "gpt-4o"

As a process, for browsers: `python -m tests.support.fake_provider PORT [BEHAVIOUR …]`, such as `status:529 text:prose`.
It prints the value of HLX_PROVIDER_HOSTS. `POST /script` takes more of them as a JSON list, `GET /requests` lists what
was asked, without keys.

It is OpenAI's and xAI's chat completions, Anthropic's messages and Ollama's chat, each with its list of models. A key
that contains `bad` is refused, and repeated in the refusal as real providers do with some of it.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from tests.support.fake_protocols import example_of, question_of, reply_of

Kind = Literal[
    "content", "text", "status", "timeout", "cut", "drip", "refusal", "max_tokens", "no_usage", "other_model",
    "usage", "large", "compressed", "redirect", "not_http", "html", "no_content", "slow_headers",
]  # fmt: skip
Answerer = Callable[[str, str, Mapping[str, Any]], Mapping[str, Any]]
MODELS = {
    "claude": ["claude-sonnet-4-5-20250929", "claude-opus-4-1-20250805", "claude-haiku-4-5-20251001"],
    "openai": ["gpt-5.1", "gpt-4o", "text-embedding-3-small"],
    "xai": ["grok-4-1-fast-reasoning"],
    "qwen": ["qwen3:1.7b"],
}
INPUT_TOKENS, OUTPUT_TOKENS = 120, 30
"""The usage of an answer, unless it is scripted."""


@dataclass(frozen=True)
class Behaviour:
    """What the server does with one question."""

    kind: Kind
    value: Any = None
    retry_after: float | None = None


def content(value: Mapping[str, Any]) -> Behaviour:
    """Answer with this JSON object: half a batch, doubled or unknown ids."""
    return Behaviour("content", value)


def text(value: str) -> Behaviour:
    """Answer with this text: prose, fences, nonsense."""
    return Behaviour("text", value)


def status(code: int, message: str | None = None, *, retry_after: float | None = None) -> Behaviour:
    """Answer with an HTTP error, as the protocol words it."""
    return Behaviour("status", [code, message], retry_after)


def usage(input_tokens: int, output_tokens: int, total: int | None = None) -> Behaviour:
    """Answer well, and count these tokens; xAI's total has tokens of reasoning that the others have not."""
    return Behaviour("usage", [input_tokens, output_tokens, total])


def does(kind: Kind, value: Any = None) -> Behaviour:
    """Return another behaviour.

    `timeout` never answers, `cut` closes the connection in the middle of an answer, `drip` sends a byte a tenth of a
    second, `slow_headers` does so before the answer, `refusal` is the model's, `max_tokens` ends early, `no_usage`
    counts no tokens, `other_model` names another model (`value`, if given), `large` sends 8 MB, `compressed` sends
    gzip, `redirect` names the address `value`, `not_http` is no HTTP, `html` is the page of a proxy, `no_content` is
    an answer without any.
    """
    return Behaviour(kind, value)


@dataclass(frozen=True)
class Asked:
    """A request that the server got."""

    provider: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Any
    """None for the list of models."""


@dataclass
class FakeProvider:
    """The server, in a thread of this process while it is entered."""

    answer: Answerer = field(default=lambda system, user, schema: example_of(schema))
    port: int = 0
    requests: list[Asked] = field(default_factory=list)
    _script: list[Behaviour] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def hosts(self) -> str:
        """The value of HLX_PROVIDER_HOSTS: all providers are this server."""
        paths = {"claude": "/claude", "openai": "/openai/v1", "xai": "/xai/v1", "qwen": "/qwen"}
        return ",".join(f"{name}={self.url}{path}" for name, path in paths.items())

    @property
    def asked(self) -> list[Asked]:
        """The questions that it got, without the lists of models."""
        return [one for one in self.requests if one.body is not None]

    def script(self, *behaviours: Behaviour) -> None:
        """Add what it does with the next questions, one behaviour for each."""
        with self._lock:
            self._script += behaviours

    def take(self) -> Behaviour:
        """Return what it does with this question."""
        with self._lock:
            return self._script.pop(0) if self._script else Behaviour("usage", [INPUT_TOKENS, OUTPUT_TOKENS])

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than the server lives."""
        self._ended.wait(seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients of these tests hang up."""


def _handler(fake: FakeProvider) -> type[BaseHTTPRequestHandler]:
    return type("_Handler", (_Handler,), {"fake": fake})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeProvider

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path == "/requests":
            kept = [{"provider": one.provider, "path": one.path, "body": one.body} for one in self.fake.requests]
            self._json(200, kept)
            return
        provider = self._received(None)
        if self._bad_key(provider):
            return
        names = MODELS.get(provider, [])
        entries: list[dict[str, Any]]
        if provider == "qwen":
            self._json(200, {"models": [{"name": name, "model": name} for name in names]})
        elif provider == "claude":
            entries = [
                {"type": "model", "id": name, "display_name": name, "created_at": "2025-09-29T00:00:00Z"}
                for name in names
            ]
            self._json(200, {"data": entries, "has_more": False, "first_id": names[0], "last_id": names[-1]})
        else:
            entries = [{"id": name, "object": "model", "created": 1, "owned_by": provider} for name in names]
            self._json(200, {"object": "list", "data": entries})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"null")
        if self.path == "/script":
            self.fake.script(*map(parse_behaviour, body))
            self._json(200, {})
            return
        provider = self._received(body)
        if not self._bad_key(provider):
            self._behave(provider, body, self.fake.take())

    def _received(self, body: Any) -> str:
        provider = self.path.split("/")[1]
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.fake.requests.append(Asked(provider, self.path, headers, body))
        return provider

    def _bad_key(self, provider: str) -> bool:
        key = self.headers.get("x-api-key") or (self.headers.get("authorization") or "").removeprefix("Bearer ")
        if provider == "qwen" or (key and "bad" not in key):
            return False
        self._error(provider, 401, f"Incorrect API key provided: {key}. You can find your API key in your account.")
        return True

    def _behave(self, provider: str, body: Any, how: Behaviour) -> None:
        schema, system, user = question_of(provider, body)
        match how.kind:
            case "status":
                code, message = how.value
                self._error(provider, code, message or f"scripted error {code}", how.retry_after)
            case "timeout":
                self.fake.wait(60)
                self.close_connection = True
            case "slow_headers":
                for byte in b"HTTP/1.1 200 OK\r\nx-slow: " + b"x" * 600:
                    self.wfile.write(bytes([byte]))
                    self.fake.wait(0.1)
            case "redirect":
                self._send(307, b"", {"location": str(how.value)})
            case "html":
                self._send(200, b"<html>Sign in to the network</html>", {"content-type": "text/html"})
            case "not_http":
                self.wfile.write(b"220 mail.example.org ESMTP\r\n")
                self.close_connection = True
            case _:
                written = how.value if how.kind == "text" else json.dumps(
                    how.value if how.kind == "content" else self.fake.answer(system, user, schema), ensure_ascii=False
                )  # fmt: skip
                model = str(how.value or "another-model-1") if how.kind == "other_model" else body["model"]
                given, made, *total = how.value if how.kind == "usage" else (INPUT_TOKENS, OUTPUT_TOKENS)
                tokens = given, made, (total[0] if total else None) or given + made
                self._deliver(how, reply_of(provider, model, written, how.kind, tokens))

    def _deliver(self, how: Behaviour, reply: Mapping[str, Any]) -> None:
        sent = json.dumps(reply).encode()
        headers = {"content-type": "application/json", "content-length": str(len(sent))}
        if how.kind == "large":
            sent += b" " * 8_000_000
            headers["content-length"] = str(len(sent))
        if how.kind == "compressed":
            import gzip

            sent = gzip.compress(sent)
            headers |= {"content-encoding": "gzip", "content-length": str(len(sent))}
        if how.kind == "cut":
            self._send(200, sent[: len(sent) // 2], headers)
            self.close_connection = True
        elif how.kind == "drip":
            self._send(200, b"", headers)
            for byte in sent:
                self.wfile.write(bytes([byte]))
                self.fake.wait(0.1)
        else:
            self._send(200, sent, headers)

    def _json(self, code: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send(code, json.dumps(value).encode(), {"content-type": "application/json", **(headers or {})})

    def _error(self, provider: str, code: int, message: str, retry_after: float | None = None) -> None:
        kind = {401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}.get(code, "api_error")
        bodies: dict[str, Any] = {
            "claude": {"type": "error", "error": {"type": kind, "message": message}},
            "qwen": {"error": message},
            "xai": {"code": kind, "error": message},
        }
        wait = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
        self._json(code, bodies.get(provider, {"error": {"message": message, "type": kind, "code": None}}), wait)

    def _send(self, code: int, sent: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(code)
        for name, value in {"content-length": str(len(sent)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)
        self.wfile.flush()


def parse_behaviour(words: str) -> Behaviour:
    """Return a behaviour by its words: `status:429`, `text:some prose`, `timeout`."""
    kind, _, value = words.partition(":")
    if kind == "status":
        return status(int(value))
    if kind == "usage":
        first, second = value.split(",")
        return usage(int(first), int(second))
    return Behaviour(kind, json.loads(value) if kind == "content" else value)  # type: ignore[arg-type]


def main(port: str, *behaviours: str) -> None:
    """Serve until the process is ended."""
    with FakeProvider(port=int(port)) as fake:
        fake.script(*map(parse_behaviour, behaviours))
        print(fake.hosts, flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main(*sys.argv[1:])
