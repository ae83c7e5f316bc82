"""What is refused, and how each kind of client reads it.

Routes of the service answer `{"detail": "…"}`; those of the studio's client have `"success": false` and `"error"`
beside it; those of OpenAI's API answer `{"error": {"message": …, "type": …, "param": …, "code": …}}`.
"""

from typing import Any

from fastapi.responses import JSONResponse, Response

OPENAI, STUDIO = "/v1/", ("/query", "/reload")
_TYPES = {403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_MIN_SERVER_ERROR = 500


class Refused(Exception):
    """A request is not answered.

    Args:
        status: of the answer.
        detail: one line: what is wrong, and what to do.
        param: the field of OpenAI's API that is wrong.
        code: of OpenAI's API.
        retry_after: seconds after which the same request may be answered.
    """

    def __init__(
        self, status: int, detail: str, *, param: str | None = None, code: str | None = None,
        retry_after: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.status, self.detail, self.param, self.code, self.retry_after = status, detail, param, code, retry_after


def content_of(path: str, error: Refused) -> dict[str, Any]:
    """Return the JSON that says to the clients of a path why a request is refused."""
    if path.startswith(OPENAI):
        kind = (
            "server_error" if error.status >= _MIN_SERVER_ERROR else _TYPES.get(error.status, "invalid_request_error")
        )
        return {"error": {"message": error.detail, "type": kind, "param": error.param, "code": error.code}}
    return {"detail": error.detail} | ({"success": False, "error": error.detail} if path in STUDIO else {})


def answer(path: str, error: Refused) -> Response:
    """Return the answer to a request for a path that is refused."""
    # OpenAI's clients expect 400 for what is not valid.
    status = 400 if path.startswith(OPENAI) and error.status == 422 else error.status
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return JSONResponse(content_of(path, error), status, headers)
