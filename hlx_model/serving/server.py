"""Serve an application until a signal ends the process: uvicorn, behind the request guard."""

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hlx_model.serving.app import create_app
from hlx_model.serving.cors import shared_with
from hlx_model.serving.errors import Refused, content_of
from hlx_model.serving.guard import TOKEN, GuardSettings, RequestGuard
from hlx_model.serving.listening import listen
from hlx_model.serving.service import Service

GRACE_SECONDS = 5
"""Seconds that answers have when the server ends, beyond the limit of a request."""
HEAD_BYTES = 1 << 16
"""Of the head of a request."""


def serve(load: Callable[[], Service], host: str, port: int, *, watch: bool = False) -> None:
    """Serve a model until a signal ends the process. What was asked before is answered.

    Args:
        load: returns the model; called when nothing else can be wrong.
        host: address to listen on.
        port: port to listen on.
        watch: whether newer checkpoints are taken up by themselves.

    Raises:
        ValueError: the port is in use, a setting is wrong, strangers could reach the server, or the model is not
            served.
    """
    settings = GuardSettings.from_environment(other_origins=True).listening_on(host)
    with listen(host, port, "--port") as listener:
        service = load()
        app = RequestGuard(
            create_app(service, watch=watch), settings, open_paths=("/health",), json_paths="/",
            refusal=lambda path, reason: content_of(path, Refused(403, reason)),
        )  # fmt: skip
        config = uvicorn.Config(
            shared_with(settings.origins, app), log_level="warning", access_log=False,
            http=_protocol(service.limits.body_seconds),
            timeout_graceful_shutdown=int(service.limits.seconds) + GRACE_SECONDS,
        )  # fmt: skip
        token = f", with the header Authorization: Bearer and the value of {TOKEN}" if settings.token else ""
        sys.stderr.write(f"serving {service.current.name}: {settings.address(host, port)}/translate{token}\n")
        with suppress(KeyboardInterrupt):
            # Uvicorn passes a signal on when it has ended: that is no error.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            uvicorn.Server(config).run(sockets=[listener])


def _protocol(seconds: float) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol with bounds on the head of a request, which uvicorn does not have."""

    class BoundedHead(HttpToolsProtocol):
        """Ends a connection whose request has no whole head after some seconds, or after `HEAD_BYTES`.

        A body that was refused is read and dropped, else its client would never see the answer; for some seconds too.
        """

        _timer: asyncio.TimerHandle | None = None
        _received = 0
        _in_head = _in_body = False

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._timer = self.loop.call_later(seconds, self._refuse, f"no request within {seconds:g} seconds")

        def connection_lost(self, exc: Exception | None) -> None:
            self._end_of_head()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_head = True

        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            self._in_head, self._in_body = False, True

        def on_message_complete(self) -> None:
            super().on_message_complete()
            self._in_body = False

        def data_received(self, data: bytes) -> None:
            of_body = self._in_body
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                return self._end_of_head()
            self._received += 0 if of_body or self._in_body else len(data)
            if self._received > HEAD_BYTES:
                self._refuse(f"the head of the request is longer than {HEAD_BYTES:,} bytes")
            elif self._timer is None:
                self._timer = self.loop.call_later(seconds, self._refuse, f"no head within {seconds:g} seconds")
            return None

        def _end_of_head(self) -> None:
            self._received = 0
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _refuse(self, reason: str) -> None:
            self._timer = None
            if self.transport.is_closing():
                return
            if self._in_head:
                self.send_400_response(reason)
            else:
                self.transport.close()

    return BoundedHead
