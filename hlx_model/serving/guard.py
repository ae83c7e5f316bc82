"""The request guard: ASGI middleware that refuses requests of foreign web pages and of strangers.

A browser sends requests to this machine for any page that is open in it, with its cookies and logins. The guard
therefore checks each request before the application sees it:

- Its `Host` is a name of this machine's loopback interface or one of `HLX_SITE`. Without this rule a page could let its
  own name point to 127.0.0.1 after it was loaded (DNS rebinding), and read every answer.
- If it can change something (any method except GET, HEAD and OPTIONS, and every WebSocket), its `Origin` is this
  server or absent, and its `Sec-Fetch-Site` agrees. Browsers set both headers; a page cannot. A server may accept the
  origins of `HLX_ALLOWED_ORIGINS` too.
- Its body is JSON or empty. A browser lets a page send other bodies to any server without a preflight request. A server
  may accept a form if its `Origin` is this server.
- If the server has a token (`HLX_API_TOKEN`, or one of its own), it contains that: from programs as a bearer, from
  browsers as a cookie. A server may require it only from some moment on.

A refusal is status 403 and one sentence, which is also logged. No other page may show an answer in a frame, because a
person could be led to click in it unknowingly.
"""

import hashlib
import hmac
import ipaddress
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from hlx_model.environment import HOST_NAME, Environment

log = logging.getLogger(__name__)

SITE, TOKEN, BEHIND_PROXY, ORIGINS = "HLX_SITE", "HLX_API_TOKEN", "HLX_BEHIND_PROXY", "HLX_ALLOWED_ORIGINS"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
COOKIE = "hlx_token"
PARAMETER = "token"
"""The parameter of a link that contains the token, `http://127.0.0.1:3000/?token=…`; the answer sets the cookie."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Rule = Callable[[Scope], str | None]
"""Returns the reason to refuse a request, or None."""

UNTRUSTED = "hlx.untrusted"
"""In the scope of a request for an open path that does not carry the token: the answer contains nothing private."""
WITHOUT_TOKEN = "hlx.without_token"
"""In the scope of a request that does not carry the token, and may do without it."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_FROM_HERE = frozenset({"same-origin", "none"})
_JSON, _FORM, _TEXT = "application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-8"
_LONGEST = 100


@dataclass(frozen=True)
class GuardSettings:
    """Names, token and proxy of a server."""

    sites: frozenset[str] = frozenset()
    """Host names of the server beside those of loopback, in lower case, without ports."""
    token: str | None = None
    behind_proxy: bool = False
    """A proxy in front of the server requires a login."""
    origins: frozenset[str] | None = None
    """Origins whose pages may use the server beside its own; None if it accepts no others, whatever the user sets."""

    @classmethod
    def from_environment(cls, *, other_origins: bool = False) -> "GuardSettings":
        """Read `HLX_SITE`, `HLX_API_TOKEN` and `HLX_BEHIND_PROXY`, and with `other_origins` `HLX_ALLOWED_ORIGINS`.

        Raises:
            ValueError: one of them is wrong; names it. The token itself is not repeated.
        """
        found = Environment.read(SITE, TOKEN, BEHIND_PROXY, *([ORIGINS] if other_origins else []))
        origins = found.allowed_origins if other_origins else None
        return cls(found.sites, found.api_token, found.behind_proxy == "1", origins)

    def listening_on(self, host: str) -> "GuardSettings":
        """Return the settings of a server that listens on an address. Its address is a host name too, if no wildcard.

        Raises:
            ValueError: the address is not loopback, and neither a token nor a proxy protects the server.
        """
        if not is_loopback(host) and not self.behind_proxy and self.token is None:
            proxy = f"{BEHIND_PROXY}=1, if a proxy in front of this server requires a login"
            secret = f"{TOKEN}, a secret that each request must contain (or {proxy})"
            raise ValueError(f"to listen on {host or 'every interface'} needs {secret}: set it, or listen on 127.0.0.1")
        address = _address(host)
        if address is None or address.is_unspecified:
            return self
        # A page's name cannot be a number, so DNS rebinding cannot use it.
        return replace(self, sites=self.sites | {f"[{address}]" if address.version == 6 else str(address)})

    def address(self, host: str, port: int) -> str:
        """Return the address at which a browser finds a server that listens on a host and a port."""
        # A browser cannot open a wildcard.
        named = next(iter(sorted(self.sites)), "127.0.0.1") if host in ("0.0.0.0", "::") else host
        return f"http://{f'[{named}]' if ':' in named and not named.startswith('[') else named}:{port}"

    def announcement(self, page: str, host: str, port: int, path: str) -> str:
        """Return the lines that say where a page of the server is, and how to log in if it has a token.

        Args:
            page: what the page is.
            host: the address that the server listens on.
            port: its port.
            path: of the page.
        """
        address = self.address(host, port)
        log_in = f"log in first: {address}/?{PARAMETER}=… (the value of {TOKEN})\n" if self.token else ""
        return f"{log_in}{page}: {address}{path}\n"


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens on an address."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]"))
    return None


def _detail(path: str, reason: str) -> Mapping[str, Any]:
    return {"detail": reason}


class RequestGuard:
    """An ASGI application that passes a request on to another if no rule refuses it.

    Args:
        app: the application to guard.
        settings: the hosts, the origins and the token of this server.
        rules: further rules of this application.
        forms: the application has pages with forms.
        open_paths: may be read without the token.
        required: says whether the token is required now; by default always.
        json_paths: the beginning of paths at which a refusal is JSON and not plain text.
        refusal: returns the JSON of a refusal for a path and its reason; by default `{"detail": "…"}`.
    """

    def __init__(
        self, app: App, settings: GuardSettings, *rules: Rule,
        forms: bool = False, open_paths: Collection[str] = (), required: Callable[[], bool] = lambda: True,
        json_paths: str | None = None, refusal: Callable[[str, str], Mapping[str, Any]] = _detail,
    ) -> None:  # fmt: skip
        self._app, self._settings, self._forms, self._required = app, settings, forms, required
        self._open_paths, self._json_paths, self._refusal = frozenset(open_paths), json_paths, refusal
        self._rules: tuple[Rule, ...] = (self._host, self._cross_site, self._body, *rules)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        for rule in self._rules:
            if reason := rule(scope):
                return await self._refuse(scope, send, reason)
        if (token := self._settings.token) is not None and not self._carries_token(scope, token):
            if link := self._traded(scope, token):
                return await _answer(send, 303, "", *link)
            scope[WITHOUT_TOKEN] = True
            if self._required():
                scope[UNTRUSTED] = self._is_open(scope)
                if not scope[UNTRUSTED]:
                    return await self._refuse(scope, send, _TOKEN_MISSING)
        return await self._app(scope, receive, _unframed(send))

    def _host(self, scope: Scope) -> str | None:
        """Refuse a request for a host that is not this server."""
        hosts = _headers(scope, "host")
        match = HOST_NAME.fullmatch(hosts[0].lower()) if len(hosts) == 1 else None
        if match is None:
            return f"exactly one Host is expected, found {_shown(', '.join(hosts))}"
        if match[1] in LOOPBACK or match[1] in self._settings.sites:
            return None
        return f"this server is not {_shown(hosts[0])}: if it should be, add that name to {SITE}"

    def _cross_site(self, scope: Scope) -> str | None:
        """Refuse a request of a page of another origin, if it can change something."""
        if scope["type"] == "http" and scope["method"] in _READING:
            return None
        allowed = self._settings.origins or frozenset()
        here = f"only pages of this server ({SITE}){'' if self._settings.origins is None else f' or of {ORIGINS}'}"
        origins = [origin.lower() for origin in _headers(scope, "origin")]
        for origin in origins:
            if origin not in allowed and not _is_own(scope, origin):
                return f"it comes from a page of {_shown(origin)}: {here} may send it"
        if origins and allowed.issuperset(origins):
            return None
        for relation in _headers(scope, "sec-fetch-site"):
            if relation not in _FROM_HERE:
                return f"it comes from a {_shown(relation)} page: {here} may send it"
        return None

    def _body(self, scope: Scope) -> str | None:
        """Refuse a body that a browser lets a page send to any server without a preflight request."""
        if scope["type"] != "http":
            return None
        lengths = _headers(scope, "content-length")
        if not _headers(scope, "transfer-encoding") and all(length.strip() in ("", "0") for length in lengths):
            return None
        kinds = _headers(scope, "content-type")
        # Only the part before the parameters counts: Dagster accepts `text/plain; application/json` as JSON too.
        kind = kinds[0].partition(";")[0].strip().lower() if len(kinds) == 1 else ""
        if kind == _JSON:
            return None
        if kind == _FORM and self._forms and scope["method"] == "POST":
            origins = _headers(scope, "origin")
            if origins and all(_is_own(scope, origin.lower()) for origin in origins):
                return None
            pages = f"only pages of this server ({SITE}) may send one"
            return f"its body is a form, and its page is not known: {pages}; programs send {_JSON}"
        return f"its body is {_shown(', '.join(kinds) or 'of no type')}: send application/json"

    def _is_open(self, scope: Scope) -> bool:
        return scope["type"] == "http" and scope["method"] in _READING and scope["path"] in self._open_paths

    def _carries_token(self, scope: Scope, token: str) -> bool:
        bearers = [value[7:].strip() for value in _headers(scope, "authorization") if value[:7].lower() == "bearer "]
        pairs = [part.strip().partition("=") for header in _headers(scope, "cookie") for part in header.split(";")]
        cookies = [value for name, _, value in pairs if name == COOKIE]
        return _contains(bearers, token) or _contains(cookies, _cookie(token))

    def _traded(self, scope: Scope, token: str) -> list[tuple[str, str]] | None:
        """Return the headers that give a browser its cookie, if its link contains the token."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        named = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if not _contains([value for name, value in named if name == PARAMETER], token):
            return None
        rest = urlencode([(name, value) for name, value in named if name != PARAMETER])
        # One slash: for a browser two slashes begin the name of another host.
        path = "/" + scope.get("raw_path", scope["path"].encode()).decode("latin-1").partition("?")[0].lstrip("/\\")
        target = f"{path}?{rest}" if rest else path
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        cookie = f"{COOKIE}={_cookie(token)}; Path=/; HttpOnly; SameSite=Strict{secure}"
        return [("location", target), ("set-cookie", cookie), ("referrer-policy", "no-referrer")]

    async def _refuse(self, scope: Scope, send: Send, reason: str) -> None:
        log.warning("refused a request for %s: %s", _shown(scope["path"]), reason)
        if scope["type"] != "http":
            # Before a WebSocket is accepted, this makes the server answer 403. A browser tells a page no more.
            await send({"type": "websocket.close", "code": 1008})
        elif self._json_paths is not None and scope["path"].startswith(self._json_paths):
            await _answer(send, 403, json.dumps(self._refusal(scope["path"], f"refused: {reason}")), kind=_JSON)
        else:
            await _answer(send, 403, f"refused: {reason}\n")


_ADVICE = f"open its address with /?{PARAMETER}=… once in a browser, or send the header Authorization: Bearer …"
_TOKEN_MISSING = f"this server needs its token, which {TOKEN} sets or the link contains that it printed: {_ADVICE}"


def _is_own(scope: Scope, origin: str) -> bool:
    """Return whether an origin, in lower case, is this server. Behind a proxy its scheme may be another one."""
    scheme, separator, host = origin.partition("://")
    return bool(separator) and scheme in ("http", "https") and host == _headers(scope, "host")[0].lower()


def _cookie(token: str) -> str:
    """Return the cookie for a token: not the token itself, because other servers of this host see the cookie."""
    return hmac.new(token.encode(), b"hlx-brain cookie", hashlib.sha256).hexdigest()


def _contains(found: Iterable[str], secret: str) -> bool:
    """Return whether one of the values is the secret, in a time that does not depend on how much of it is right."""
    same = [hmac.compare_digest(value.encode("latin-1", "replace"), secret.encode()) for value in found]
    return any(same)


def _headers(scope: Scope, name: str) -> list[str]:
    wanted = name.encode()
    return [value.decode("latin-1").strip() for key, value in scope["headers"] if key.lower() == wanted]


def _shown(text: str) -> str:
    """Return a part of a request as printable ASCII."""
    return ascii(text[:_LONGEST])


def _unframed(send: Send) -> Send:
    async def send_unframed(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"x-frame-options", b"SAMEORIGIN")]}
        await send(message)

    return send_unframed


async def _answer(send: Send, status: int, body: str, *more: tuple[str, str], kind: str = _TEXT) -> None:
    headers = [("content-type", kind), ("content-length", str(len(body.encode())))]
    headers += [("x-content-type-options", "nosniff"), ("cache-control", "no-store"), *more]
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body.encode()})
