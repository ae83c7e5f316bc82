"""Hostile requests over sockets: each is refused in one line, and the server is the same after all of them."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import cache
from http.client import HTTPResponse
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from hlx_model.serving.app import PATHS
from tests.support.curriculum import Curriculum
from tests.support.live_serve import SORT, Served, serve_within

BODY_SECONDS = 2.0
MAX_GROWTH = 16 << 20
"""Bytes of memory after a thousand hostile requests, beyond those after two thousand others."""
MAX_ANSWER = 2_000
"""Bytes of a refusal."""
POSTS: dict[str, dict[str, Any]] = {
    "/translate": {"text": "Sort all users", "to": "HLXL", "from": "English"},
    "/query": {"query": "Sort all users"},
    "/v1/completions": {
        "model": "hlx-brain", "prompt": "[LC-R] Sort all users → ", "max_tokens": 8, "temperature": 0.0, "seed": 1,
        "stop": ["x"], "stream": False, "stream_options": {"include_usage": True}, "max_completion_tokens": 8,
    },
    "/v1/chat/completions": {
        "model": "hlx-brain", "messages": [{"role": "user", "content": "Sort all users"}], "max_tokens": 8,
        "temperature": 0.0, "seed": 1, "stop": ["x"], "stream": False,
    },
}  # fmt: skip
"""A good body of each route, with all its fields."""
TOO_LONG = b'{"text": "' + b"a" * 5_000_000 + b'"}'
NEVER: dict[str, list[object]] = {
    "stop": [1, [1], {}, [""], ["a"] * 5, ["a"] * 10_000],
    "to": [1, "LC-X", "", "\x00", [], {}, True, "H" * 100_000],
    "from": [1, "LC-X", "", "\x00", [], {}, "HLXL"],
    "stream": [[], {}, "maybe", 5, "\x00"],
    "stream_options": [1, [], "x", {"include_usage": []}],
    "seed": [1.5, "x", [], {}, 2**63, -(2**70), 10**4_000],
    "model": [1, [], {}, None, "gpt-4", "\x00", "h" * 100_000, "\ud800"],
    "messages": [
        1, "x", {}, None, [], [1], [{}], [{"role": "user"}], [{"role": "nobody", "content": "x"}],
        [{"role": "user", "content": [{"type": "image_url"}]}], [{"role": "user", "content": [{}] * 10_000}],
        [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Sort"}], [[]] * 10_000,
        [{"role": "user", "content": "Sort"}, {"role": "assistant", "content": "no"}],
        [{"role": "user", "content": "\ud800"}], [{"role": "user", "content": {"text": "Sort"}}],
    ],
}  # fmt: skip
"""Values of fields that no route accepts, beside those of their kind."""
NO_TEXT: list[object] = [
    1, -1.5, True, None, {}, {"text": "a"}, [[]], [1], [None], "\ud800", "\x00", "a\x1b[31m", "日本", "a" * 100_000,
    "{" * 100_000, "\U0010ffff", float("nan"), 10**4_000,
]  # fmt: skip
NO_NUMBER: list[object] = [-1, "x", [], {}, float("nan"), float("inf"), -float("inf"), 1e308, -(10**30), "1" * 100_000]


class Hostile(NamedTuple):
    """A hostile request."""

    what: str
    parts: tuple[bytes, ...]
    pause: float = 0.0
    """Seconds between two parts."""
    whole: bool = True
    """Whether it can be answered: its client sends all of it, and waits."""
    also: tuple[int, ...] = ()
    """Statuses that are right too."""
    may_close: bool = False
    """Whether the answer may be lost: the server does not read to the end what is no HTTP."""


def head(path: str, *headers: str, method: str = "POST", kind: str = "application/json") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {kind}", *headers, "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass")


def posted(what: str, path: str, body: bytes, **more: Any) -> Hostile:
    return Hostile(f"{what} {path}", (head(path, f"Content-Length: {len(body)}"), body), **more)


@cache
def chunked() -> list[bytes]:
    pieces = [TOO_LONG[at : at + 60_000] for at in range(0, len(TOO_LONG), 60_000)]
    return [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces] + [b"0\r\n\r\n"]


def wrong_field(random: Random) -> Hostile:
    """One field of a good body has a wrong type or value."""
    path = random.choice([*POSTS])
    name = random.choice([*POSTS[path]])
    if name in ("text", "query", "prompt"):
        value: object = random.choice(NO_TEXT)
    elif name in NEVER:
        value = random.choice(NEVER[name])
    else:
        value = random.choice(NO_NUMBER)
    body = json.dumps(POSTS[path] | {name: value}).encode()
    return posted(f"{name}={str(value)[:20]!r}", path, body)


@cache
def large() -> list[tuple[str, bytes]]:
    """JSON that costs much to read, to check or to refuse; made once."""
    return [
        ("deep", b"[" * 100_000 + b"]" * 100_000), ("deep", b'{"text":' * 100_000 + b"1" + b"}" * 100_000),
        ("deep field", b'{"model":"hlx-brain","text":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        ("long number", b"1" * 100_000), ("keys", json.dumps({f"\ud800{n}": n for n in range(20_000)}).encode()),
        ("many keys", json.dumps([{f"{n}": 1 for n in range(80)}] * 1_000).encode()),
        ("numbers", b"[" + b"1," * 200_000 + b"1]"), ("objects", b"[" + b"{}," * 200_000 + b"{}]"),
    ]  # fmt: skip


def wrong_json(random: Random) -> Hostile:
    """The body is not JSON, or JSON of another kind."""
    path = random.choice([*POSTS])
    good = json.dumps(POSTS[path]).encode()
    what, body = random.choice([
        *large(), ("empty", b""), ("cut", good[: random.randrange(len(good))]), ("NUL", b"\x00" * 100),
        ("bad UTF-8", good.replace(b"Sort", b"\xff\xfe")), ("UTF-16", good.decode().encode("utf-16")[:-1]),
        ("noise", random.randbytes(500)), ("number", b"1"), ("null", b"null"), ("text", b'"Sort"'), ("NaN", b"NaN"),
        ("duplicates", good[:-1] + b"," + b",".join(b'"%s":[[]]' % name.encode() for name in POSTS[path]) + b"}"),
        ("extra", good[:-1] + b',"\\ud800":{"a":[1]}}'), ("no key", b"{}"), ("empty list", b"[]"),
    ])  # fmt: skip
    # The studio's client may send more fields than it does today.
    return posted(what, path, body, also=(200,) if (what, path) == ("extra", "/query") else ())


def too_many(random: Random) -> Hostile:
    """More texts than may ever wait."""
    number = random.choice([1_000, 10_000, 60_000])
    if random.random() < 0.5:
        return posted(f"{number} texts", "/translate", json.dumps([{"text": "a"}] * number).encode())
    body = {"model": "hlx-brain", "prompt": ["a"] * number}
    return posted(f"{number} prompts", "/v1/completions", json.dumps(body).encode())


def too_long(random: Random) -> Hostile:
    """A body of 5 MB, whose length is told or not told."""
    path = random.choice([*POSTS, "/reload"])
    if random.random() < 0.5:
        return posted("5 MB", path, TOO_LONG)
    return Hostile(f"5 MB in pieces {path}", (head(path, "Transfer-Encoding: chunked"), *chunked()))


def wrong_route(random: Random) -> Hostile:
    """An unknown path, or a method that a path does not have."""
    if random.random() < 0.5:
        path = random.choice([
            "/", "/nothing", "/translate/", "/v1", "/v1/", "/v1/models/gpt-4", "/%00", "/%ff%fe", "//", "/docs", "*",
            "/v1/models/%ed%a0%80", "/../../etc/passwd", "/" + "a" * 50_000, "/?a=" + "b" * 9_000, "/%2e%2e/",
            "/v1/models/" + "%00" * 500, "http://127.0.0.1/nothing",
        ])  # fmt: skip
        return Hostile(f"GET {path[:30]}", (head(path, method="GET"),))
    path = random.choice([path for path in PATHS if path not in ("/health", "/status", "/metrics", "/v1/models")])
    method = random.choice(["GET", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "OPTIONS"])
    return Hostile(f"{method} {path}", (head(path, method=method),))


def wrong_head(random: Random) -> Hostile:
    """A head that is no HTTP, that is too long, or that a page of another site sends."""
    body = json.dumps(SORT).encode()
    length = f"Content-Length: {len(body)}"
    kind = random.choice(
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/xml"]
    )
    whole = [
        ("type", head("/translate", length, kind=kind) + body), ("noise", random.randbytes(200) + b"\r\n\r\n"),
        ("version", b"GET / HTTP/9.9\r\n\r\n"), ("no host", b"POST /translate HTTP/1.1\r\n\r\n"),
        ("host", b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        ("hosts", head("/health", "Host: b", method="GET")), ("folded", head("/translate", "X\n y", length) + body),
        ("length", head("/translate", "Content-Length: -1") + body),
        ("lengths", head("/translate", length, "Content-Length: 3") + body),
        ("both", head("/translate", length, "Transfer-Encoding: chunked") + body),
        ("chunk", head("/translate", "Transfer-Encoding: chunked") + b"zz\r\nabc\r\n"),
        ("coding", head("/translate", "Transfer-Encoding: gzip") + body),
        ("origin", head("/translate", length, "Origin: http://evil.example") + body),
        ("header", head("/translate", "X: \x00\x01", length) + body), ("endless line", b"GET /" + b"a" * 200_000),
        ("TLS", bytes.fromhex("16030100c8010000c40303") + random.randbytes(200)),
        ("endless head", b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 90) for n in range(2_000))),
        ("non-ASCII path", "GET /é HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()),
    ]  # fmt: skip
    what, content = random.choice(whole)
    return Hostile(f"head: {what}", (content,), may_close=True)


def cut(random: Random) -> Hostile:
    """A request whose client is gone before it is whole, or before it is answered."""
    path = random.choice([*POSTS])
    body = json.dumps(POSTS[path] | random.choice([{}, {"stream": True, "max_tokens": 200}])).encode()
    content = head(path, f"Content-Length: {len(body)}") + body
    return Hostile(f"cut {path}", (content[: random.randint(0, len(content))],), whole=False)


def slow(random: Random) -> Hostile:
    """A head or a body that does not end, a byte at a time."""
    parts = [bytes([byte]) for byte in b"POST /translate HTTP/1.1\r\n"]
    if random.random() < 0.5:
        parts = [head("/translate", "Content-Length: 100"), *parts]
    return Hostile("slow", (*parts, *[b" "] * 20), pause=0.1, may_close=True)


KINDS: list[tuple[Callable[[Random], Hostile], int]] = [
    (wrong_field, 40), (wrong_json, 25), (wrong_route, 12), (wrong_head, 14), (cut, 12), (too_many, 2), (too_long, 2),
]  # fmt: skip
"""Kinds of hostile requests, and how often each comes."""


def hostile(random: Random, number: int) -> list[Hostile]:
    kinds, weights = zip(*KINDS, strict=True)
    return [kind(random) for kind in random.choices(kinds, weights, k=number)]


def sent(server: Served, request: Hostile) -> str:
    """Send a request; the status of its answer, or how its connection ended."""
    began = time.monotonic()
    with server.connect() as connection:
        with suppress(ConnectionError):
            for part in request.parts:
                connection.sendall(part)
                if request.pause:
                    time.sleep(request.pause)
        in_time = time.monotonic() - began < BODY_SECONDS  # a busy machine may make a good client slow
        if not request.whole:
            return "cut"
        with HTTPResponse(connection) as response:
            try:
                response.begin()
                answer = response.read()
            except ConnectionError:
                assert request.may_close or not in_time, request.what
                return "closed"
    status = response.status
    assert 400 <= status < 500 or status == 503 or status in request.also, (request.what, status, answer[:2_000])
    assert status != 503 or response.headers["Retry-After"], request.what
    assert b"Traceback" not in answer and b"\x1b" not in answer, (request.what, answer[:2_000])
    assert len(answer) < MAX_ANSWER, (request.what, answer[:2_000])
    return str(status)


@pytest.fixture(scope="module")
def server(curriculum: Curriculum, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    with serve_within(folder, curriculum.training, body_seconds=BODY_SECONDS) as served:
        yield served


def attack(server: Served, requests: list[Hostile]) -> Counter[str]:
    """Send requests from eight clients; how many ended in which way."""
    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(lambda request: sent(server, request), requests))


def test_a_thousand_hostile_requests_are_refused_and_leave_nothing(server: Served) -> None:
    attack(server, hostile(Random(0), 2_000))
    before, random = server.memory, Random(1)
    found = attack(server, [*(slow(random) for _ in range(4)), *hostile(random, 1_000)])
    assert found["422"] > 100 and found["400"] > 100 and found["413"] > 10 and found["503"] == 0
    assert server.memory - before < MAX_GROWTH
    assert server.translate().status == 200
    assert server.get("/status")["open"] == 0 and server.process.poll() is None
    assert "Traceback" not in server.log


def test_good_requests_are_answered_while_hostile_ones_arrive(server: Served) -> None:
    with ThreadPoolExecutor(1) as pool:
        attacked = pool.submit(attack, server, hostile(Random(2), 300))
        good = [server.translate().status]
        while not attacked.done():
            good.append(server.translate().status)
    assert attacked.result() and set(good) == {200}


def test_a_refused_body_leaves_its_connection_usable(server: Served) -> None:
    good = json.dumps(SORT).encode()
    with server.connect() as connection:
        for body, status in ((TOO_LONG, 413), (good, 200)):
            connection.sendall(head("/translate", f"Content-Length: {len(body)}") + body)
            with HTTPResponse(connection) as response:
                response.begin()
                assert response.status == status and response.read()


def test_a_body_or_a_head_that_takes_too_long_ends_its_connection(server: Served) -> None:
    begun = {
        head("/translate", "Content-Length: 100") + b"{": b"the body took longer than 2 seconds",
        b"POST /translate HTTP/1.1\r\nHost: ": b"no request within 2 seconds", b"": b"", b"\r\n": b"",
    }  # fmt: skip
    with ExitStack() as stack:
        connections = {content: stack.enter_context(server.connect()) for content in begun}
        for content, connection in connections.items():
            connection.sendall(content)
        for content, connection in connections.items():
            answer = b""
            while piece := connection.recv(1 << 16):
                answer += piece
            assert begun[content] in answer and answer.startswith(b"HTTP/1.1 4" if begun[content] else b"")
