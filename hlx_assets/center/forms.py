"""Reads the forms of the page: `application/x-www-form-urlencoded`, as a browser sends them without JavaScript too."""

from collections.abc import Mapping
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from hlx_assets.center.context import CenterError
from hlx_assets.center.models import TrainingSession
from hlx_assets.center.requests import SessionSettings, StartRequest
from hlx_model.json_model import first_error

MAX_BYTES = 64 * 1024
_MAX_FIELDS = 100
_FIELDS = ("corpus", "provider", "model", "targetModel", "epochs", "profile", "after", "confirmed", "without_provider")

_Model = TypeVar("_Model", bound=BaseModel)


async def read_form(request: Request) -> dict[str, str]:
    """Read the body of a request as a form; of a name that occurs twice, the last value.

    Raises:
        CenterError: 413 if it is too large, 415 if it is no form, 422 if it is broken.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise CenterError(413, f"the form is larger than {MAX_BYTES // 1024} KiB: shorten its texts")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind != "application/x-www-form-urlencoded":
        raise CenterError(415, "the body must be a form, application/x-www-form-urlencoded; /api takes JSON")
    try:
        text = body.decode("ascii")
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"))
    except ValueError as error:
        raise CenterError(422, "the form is broken: it must be urlencoded UTF-8 of at most 100 fields") from error


Form = Annotated[dict[str, str], Depends(read_form)]


def start_request(form: Mapping[str, str]) -> StartRequest:
    """Return what the form of a new session asks for; an empty field counts as not given.

    Raises:
        CenterError: 422; names the field.
    """
    given = {name: value.strip() for name, value in form.items() if value.strip()}
    if supervisor := given.get("supervisor"):
        given["provider"], _, model = supervisor.partition("/")
        given.setdefault("model", model)
    settings = {name: given[name] for name in SessionSettings.model_fields if name in given}
    return checked(StartRequest, {name: given[name] for name in _FIELDS if name in given} | {"settings": settings})


def form_of(session: TrainingSession) -> dict[str, str]:
    """Return the values of the form that start a session like this one again."""
    fields = {
        "corpus": session.corpus, "supervisor": f"{session.provider}/{session.model}" if session.provider else None,
        "targetModel": session.target_model, "profile": session.profile, "after": session.after,
    }  # fmt: skip
    given = {name: value for name, value in (fields | session.settings).items() if value not in (None, "", False)}
    return {name: "1" if value is True else str(value) for name, value in given.items()}


def checked(model: type[_Model], values: Mapping[str, object]) -> _Model:
    """Return a request of these values; `CenterError` 422 names the field that is wrong."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise CenterError(422, first_error(error)) from error
