"""The forms of the page for keys and caps: each answers with the part that has changed, or with the page."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from pydantic import SecretStr

from hlx_assets.center import providers
from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.forms import Form, checked
from hlx_assets.center.pages import The, html, is_htmx, page, page_router
from hlx_assets.center.parts import Did, Reading
from hlx_assets.center.provider_models import KeyInfo
from hlx_assets.center.rendering import render
from hlx_assets.center.requests import BudgetRequest, KeyChange, KeyRequest
from hlx_model.providers.ledger import DEFAULT_CAPS
from hlx_model.providers.secret import looks_like_key
from hlx_model.serving.guard import WITHOUT_TOKEN

router = page_router()


@router.post("/center/keys/add")
def add_key(center: The, request: Request, form: Form) -> Response:
    """Store a key."""

    def add() -> Did:
        agreed = form.get("agreed") == "1"
        if not agreed and not providers.agreed(center, form.get("provider", "")):
            raise CenterError(409, "tick that you agree to what is sent to this provider")
        given = {name: form.get(name, "") for name in ("provider", "name", "key")}
        key = providers.add_key(center, checked(KeyRequest, {**given, "agreed": agreed}))
        return _did(key, f"Stored: {key.provider} {key.name}, {_state(key.problem, key.validated)}")

    typed = {name: form.get(name, "") for name in ("provider", "name")}
    if looks_like_key(typed["name"]):
        typed["name"] = ""  # a key in the wrong field does not come back
    return _answer(center, request, "keys", Did(values=typed), add)


def _did(key: KeyInfo, said: str) -> Did:
    """Return what was done with a key, marked if its provider refuses it."""
    return Did(said=said, refused=key.problem is not None)


def _state(problem: str | None, validated: str | None) -> str:
    if problem:
        return f"refused: {problem}"
    return "accepted by its provider" if validated else "its provider has not checked it yet"


@router.get("/center/keys/add")
@router.get("/center/keys/{key_id}/{action}")
@router.get("/center/models/{provider}/agree")
@router.get("/center/budget")
def left_in_the_browser() -> Response:
    """Redirect from an address that a refused form leaves in the browser to the page."""
    return RedirectResponse("/center", 307)


@router.post("/center/models/{provider}/agree")
def agree(center: The, request: Request, provider: str) -> Response:
    """Keep that a person agreed to what is sent to a provider."""

    def agreed() -> Did:
        return Did(said=f"Agreed: {providers.agree_to(center, provider).title}")

    return _answer(center, request, "models", Did(), agreed)


@router.post("/center/keys/{key_id}/{action}")
def act(center: The, request: Request, key_id: str, action: str, form: Form) -> Response:
    """Check, rename, replace or remove a key."""

    def check() -> Did:
        found = providers.validate(center, key_id)
        said = {True: "accepted by its provider", False: f"refused: {found.reason}", None: f"not known: {found.reason}"}
        return _did(found.key, f"{found.key.provider} {found.key.name}: {said[found.valid]}")

    def rename() -> Did:
        return Did(said=f"Renamed: {providers.change_key(center, key_id, KeyChange(name=form.get('name', ''))).name}")

    def replace_key() -> Did:
        key = providers.change_key(center, key_id, KeyChange(key=SecretStr(form.get("key", ""))))
        return _did(key, f"Replaced: {key.name} ends with {key.key}, {_state(key.problem, key.validated)}")

    def remove() -> Did:
        entry = providers.remove_key(center, key_id)
        return Did(said=f"Removed: {entry.provider} {entry.name}. Revoke it at its provider too.")

    actions: Mapping[str, Callable[[], Did]] = {
        "check": check, "rename": rename, "replace": replace_key, "remove": remove
    }  # fmt: skip
    if action not in actions:
        raise CenterError(404, f"a key has no action {action[:50]!r}")
    return _answer(center, request, "keys", Did(of=key_id), actions[action])


@router.post("/center/budget")
def set_budget(center: The, request: Request, form: Form) -> Response:
    """Set the caps."""

    def put() -> Did:
        caps = {name: form[name].strip() for name in DEFAULT_CAPS if form.get(name, "").strip()}
        token = {"token": form["token"]} if form.get("token") else {}
        providers.set_budget(center, checked(BudgetRequest, {**caps, **token}))
        return Did(said="The caps are set.")

    return _answer(center, request, "costs", Did(values={name: form.get(name, "") for name in DEFAULT_CAPS}), put)


def _answer(center: Center, request: Request, part: str, undone: Did, do: Callable[[], Did]) -> Response:
    """Do what a form requests, and answer with its part, or without JavaScript with the page.

    Args:
        center: of the home.
        request: of the browser.
        part: of the page, which the form belongs to.
        undone: what its part shows if it cannot be done: what was typed.
        do: does it, and returns what its part shows then.
    """
    status = 200
    try:
        did = do()
    except CenterError as error:
        did, status = replace(undone, problem=error.detail), error.status
    reading = Reading(center)
    reading.did[part] = did
    if part == "keys" and did.said and request.scope.get(WITHOUT_TOKEN) and providers.has_paid_key(center):
        # The next request of this browser needs the login that it does not have yet.
        locked = f"{did.said} {providers.LOCKED}"
        if is_htmx(request):
            return html(render("parts/problem", problem=locked))
        return html(render("error", title="Stored", problem=locked))
    if is_htmx(request):
        return html(reading.part(part), headers={"HX-Trigger": "keyed"} if part == "keys" else {})
    return page(reading, status) if did.problem else RedirectResponse(f"/center#{part}-section", 303)
