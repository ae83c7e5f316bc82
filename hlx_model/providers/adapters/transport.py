"""The HTTP client under every SDK: one host, no redirect, a bounded answer, and an end.

    with http_client(endpoint, {"authorization": f"Bearer {endpoint.key}"}) as client, failures(endpoint):
        ...

HTTPS_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE of the environment apply, but not to a provider on this machine.
"""

import json
import logging
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from threading import Timer
from typing import Any, Literal

import httpx2

from hlx_model.providers.adapters import CallFailed, Endpoint
from hlx_model.providers.adapters.words import message_of, without_key

MAX_BYTES = 4_000_000
"""Of an answer."""
CONNECT_SECONDS = 10.0
_ALLOWED = frozenset((
    "host", "accept", "content-type", "content-length", "transfer-encoding", "connection", "user-agent",
    "anthropic-version", "x-stainless-raw-response",
))  # fmt: skip
"""Headers of an SDK that are sent. The others describe this machine, or come from the environment."""
_UNPAID = (400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 429, 500, 503, 529)
"""Statuses of an error for which a provider charges nothing; of others, such as 504, it is unknown."""
_LATER = (408, 409, 425, 429)
"""Statuses below 500 after which the same request may succeed later."""


class _Late(httpx2.ReadTimeout):
    """The time for the whole call is over."""


class _TooLarge(httpx2.DecodingError):
    """The answer is larger than `MAX_BYTES`, or compressed: then its size is unknown."""


class _Deadline:
    """Ends a call after so many seconds, also if the server sends a byte now and then."""

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._socket: socket.socket | None = None
        self._timer = Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def trace(self, _event: str, info: Mapping[str, Any]) -> None:
        """Note the socket of a connection (httpcore's `trace` extension)."""
        if self.expired:
            raise _Late("too late")
        stream: Any = info.get("return_value")
        if hasattr(stream, "get_extra_info"):
            self._socket = stream.get_extra_info("socket")

    def _expire(self) -> None:
        self.expired = True
        if self._socket is not None:
            with suppress(OSError):  # it wakes the thread that reads; close() would not
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Bounded(httpx2.SyncByteStream):
    """The body of an answer, up to `MAX_BYTES`."""

    def __init__(self, stream: httpx2.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._stream:
            size += len(part)
            if size > MAX_BYTES:
                raise _TooLarge(f"its answer has more than {MAX_BYTES:,} bytes")
            yield part

    def close(self) -> None:
        self._stream.close()


@cache
def _certificates() -> ssl.SSLContext:
    """Return the certificates that are trusted, of which loading takes longer than most calls to this machine."""
    return httpx2.create_ssl_context()


@contextmanager
def http_client(endpoint: Endpoint, headers: Mapping[str, str]) -> Iterator[httpx2.Client]:
    """Yield a client for one call.

    Args:
        endpoint: the only host that it calls, and the seconds that it may take.
        headers: the key, and what else the protocol needs; they replace those of an SDK.
    """
    for name in ("openai", "anthropic", "httpx2", "httpcore2"):  # they log addresses, headers and prompts
        logging.getLogger(name).setLevel(logging.WARNING)
    base = httpx2.URL(endpoint.provider.host)

    def prepare(request: httpx2.Request) -> None:
        url = request.url
        if (url.scheme, url.host, url.port) != (base.scheme, base.host, base.port):
            raise httpx2.UnsupportedProtocol(f"a request to another host, {url.host}, is not sent")
        for name in [name for name in request.headers if name.lower() not in _ALLOWED]:
            del request.headers[name]
        request.headers.update({"accept-encoding": "identity", "user-agent": "hlx-brain", **headers})
        request.extensions["trace"] = deadline.trace

    def bound(response: httpx2.Response) -> None:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _TooLarge("its answer is compressed, which was not asked for")
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = _Bounded(response.stream)

    timeout = httpx2.Timeout(endpoint.seconds, connect=min(CONNECT_SECONDS, endpoint.seconds))
    with (
        _Deadline(endpoint.seconds) as deadline,
        httpx2.Client(
            timeout=timeout,
            follow_redirects=False,
            trust_env=not endpoint.provider.is_local,
            verify=_certificates(),
            event_hooks={"request": [prepare], "response": [bound]},
        ) as client,
    ):
        try:
            yield client
        except Exception as error:
            if deadline.expired:
                raise _Late(f"{error}") from None
            raise


def json_of(response: Any, endpoint: Endpoint) -> dict[str, Any]:
    """Return the JSON object of an answer; `CallFailed` if it has none. Tokens may have been paid for."""
    text = response.content.decode("utf-8", errors="replace")
    with suppress(ValueError, RecursionError):
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    shown = without_key(text[:4_000], endpoint.key)
    name = endpoint.provider.name
    raise CallFailed("malformed", f"{name} did not answer in its protocol", status=200, paid="unknown", text=shown)


@contextmanager
def failures(endpoint: Endpoint) -> Iterator[None]:
    """Turn every error of an SDK or of the network into `CallFailed`, whose words contain no key."""
    try:
        yield
    except CallFailed:
        raise
    except Exception as error:
        response = getattr(error, "response", None)
        if isinstance(response, httpx2.Response):
            raise _of_status(response, endpoint) from None
        cause = error if isinstance(error, httpx2.HTTPError) else error.__cause__ or error
        raise _of_network(cause, endpoint) from None


def _of_status(response: httpx2.Response, endpoint: Endpoint) -> CallFailed:
    status, name = response.status_code, endpoint.provider.name
    if 300 <= status < 400:
        return CallFailed("refused", f"{name} redirects to another address: it is not called", status=status)
    try:
        words = message_of(response.text, endpoint.key)
    except httpx2.HTTPError:
        words = ""
    later = status >= 500 or status in _LATER
    wait = None
    with suppress(ValueError):
        wait = max(0.0, float(response.headers.get("retry-after", "")))
    unpaid: Literal["nothing", "unknown"] = "nothing" if status in _UNPAID else "unknown"
    reason = f"{name} answers {status}" + (f": {words}" if words else "")
    return CallFailed(
        "unavailable" if later else "refused", reason, status=status, retry_after=wait, paid=unpaid
    )  # fmt: skip


def _of_network(error: BaseException, endpoint: Endpoint) -> CallFailed:
    name, host = endpoint.provider.name, endpoint.provider.host
    match error:
        case httpx2.ConnectError() | httpx2.ConnectTimeout() | httpx2.ProxyError() | httpx2.UnsupportedProtocol():
            hint = ": start it with `ollama serve`" if endpoint.provider.protocol == "ollama" else ""
            words = without_key(str(error), endpoint.key) or type(error).__name__
            return CallFailed("unavailable", f"{name} cannot be reached at {host} ({words}){hint}")
        case _TooLarge():
            return CallFailed("malformed", f"{name}: {error}", paid="unknown")
        case _Late() | httpx2.TimeoutException():
            reason = f"{name} did not answer in {endpoint.seconds:g} s"
        case httpx2.HTTPError():
            reason = f"{name} ended the connection without a whole answer"
        case _:
            reason = f"{name}: {type(error).__name__}: {without_key(str(error), endpoint.key)[:200]}"
    return CallFailed("unavailable", reason, paid="unknown")
