"""What lets pages of `HLX_ALLOWED_ORIGINS` read the answers of a guarded server (CORS). It needs starlette."""

from collections.abc import Collection

from starlette.middleware.cors import CORSMiddleware

from hlx_model.serving.guard import App

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
HEADERS = ("Authorization", "Idempotency-Key")
"""Headers that a page may send beside those that it always may."""
EXPOSED = ("Content-Disposition", "Location", "Retry-After", "X-HLX-Verdict")


def shared_with(origins: Collection[str] | None, guarded: App) -> App:
    """Return a guarded application whose answers, refusals too, pages of the origins can read; without any, itself.

    A browser asks before it sends (preflight), and its question contains no token: it is answered here.
    """
    if not origins:
        return guarded
    return CORSMiddleware(
        guarded,
        allow_origins=frozenset(origins),
        allow_methods=METHODS,
        allow_headers=HEADERS,
        allow_credentials=True,  # the cookie of the token
        allow_private_network=True,
        expose_headers=EXPOSED,
    )
