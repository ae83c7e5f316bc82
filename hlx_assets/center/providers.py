"""What the Training Center does with keys, models, costs and opinions. Only a start with a provider calls one."""

import hmac
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.models import TrainingSession
from hlx_assets.center.provider_models import (
    Costs,
    KeyInfo,
    ModelInfo,
    OpenCall,
    OpinionInfo,
    ProviderInfo,
    Validation,
)
from hlx_assets.center.requests import BudgetRequest, KeyChange, KeyRequest
from hlx_model.money import NANO
from hlx_model.providers.agreed import agree, has_agreed, what_is_sent
from hlx_model.providers.catalogue import PROVIDERS, Provider, provider_named, resolve
from hlx_model.providers.client import ProviderClient
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import DEFAULT_CAPS, Ledger
from hlx_model.providers.prices import price_of, tier, unknown_price
from hlx_model.providers.question import Choice
from hlx_model.providers.secret import Secret
from hlx_model.providers.vault import KeyEntry, Vault
from hlx_model.shown import one_line
from hlx_model.supervision.opinions import read_opinions

T = TypeVar("T")
WITHOUT = "or start without a provider (without_provider: true)"
LOCKED = "From now on every request needs the login: open the link that the Training Center printed when it started."
FOR_PROGRAMS = "Programs send the token of that link in the header `Authorization: Bearer TOKEN`."


def keys(center: Center) -> list[KeyInfo]:
    """Return the keys, the newest first."""
    return _done(lambda: [_info(center, entry) for entry in _vault(center).entries()])


def add_key(center: Center, request: KeyRequest) -> KeyInfo:
    """Store a key and ask its provider, if a person agreed, whether it accepts it; that costs nothing.

    Raises:
        CenterError: 422; the provider, the name or the key is not valid.
    """
    paid = [provider.name for provider in PROVIDERS.values() if provider.needs_key]
    if (name := name_of(request.provider)) not in paid:  # not repeated: fields are mixed up, and one of them is a key
        raise CenterError(422, f"provider: choose one of {', '.join(paid)}")
    entry = _done(lambda: _vault(center).add(name, request.name, Secret.of(request.key.get_secret_value())))
    if request.agreed:
        agree_to(center, name)
    return validate(center, entry.id).key


def change_key(center: Center, key_id: str, request: KeyChange) -> KeyInfo:
    """Rename a key, or store another secret in its place; `CenterError` 404 if there is none, 422 for a bad value."""
    entry = _known(center, key_id)
    if request.name is None and request.key is None:
        raise CenterError(422, "give a name, or a key")
    if request.name is not None:
        name = request.name
        _done(lambda: _vault(center).rename(entry.id, name))
    if request.key is not None:
        secret = request.key
        _done(lambda: _vault(center).replace(entry.id, Secret.of(secret.get_secret_value())))
        return validate(center, entry.id).key
    return _info(center, _known(center, key_id))


def remove_key(center: Center, key_id: str) -> KeyEntry:
    """Remove a key and return what it was; `CenterError` 404 if there is none."""
    entry = _known(center, key_id)
    return _done(lambda: _vault(center).remove(entry.id))


def validate(center: Center, key_id: str) -> Validation:
    """Ask a provider whether it accepts a key; `CenterError` 404 if there is none."""
    entry = _known(center, key_id)
    found = ProviderClient(_files(center)).check(entry.provider, entry.id)
    return Validation(valid=found.valid, reason=found.reason, key=_info(center, _known(center, key_id)))


def has_paid_key(center: Center) -> bool:
    """Return whether a key is stored of a provider that costs money."""
    return _done(_vault(center).has_paid_key)


def providers(center: Center) -> list[ProviderInfo]:
    """Return the providers with their models."""
    return _done(lambda: [_provider(center, provider) for provider in PROVIDERS.values()])


def costs(center: Center) -> Costs:
    """Return what is spent, and the caps."""
    spending = _done(Ledger(_files(center)).spending)
    return Costs(
        booked_usd=_usd(spending.booked), reserved_usd=_usd(spending.reserved), today_usd=_usd(spending.today),
        all_usd=_usd(spending.all), caps_usd=_dollars(spending.caps), by_provider=_dollars(spending.by_provider),
        by_purpose=_dollars(spending.by_purpose), by_session=_dollars(spending.by_session),
        by_day=_dollars(spending.by_day), closed=spending.closed,
        open=[
            OpenCall(id=one.id, time=one.time, model=f"{one.provider}/{one.model}", purpose=one.purpose,
                     session=one.session, usd=_usd(one.amount), alive=one.alive)
            for one in spending.open
        ],
    )  # fmt: skip


def set_budget(center: Center, request: BudgetRequest) -> Costs:
    """Set caps; `CenterError` 403 if the token is not entered again."""
    given = request.token.get_secret_value() if request.token else ""
    if center.token is not None and not hmac.compare_digest(given.encode(), center.token.encode()):
        raise CenterError(403, "token: enter the token of this server again: it is in the link that it printed, or in "
                          "HLX_API_TOKEN")  # fmt: skip
    ledger, caps = Ledger(_files(center)), request.model_dump(include={*DEFAULT_CAPS}, exclude_none=True)
    if not caps:
        raise CenterError(422, f"give at least one of {', '.join(DEFAULT_CAPS)}: dollars")
    for name, amount in caps.items():
        _done(partial(ledger.set_cap, name, round(amount * NANO)))
    return costs(center)


def opinions(center: Center, session: TrainingSession) -> list[OpinionInfo]:
    """Return the opinions of supervisors on the trainings of a session, the oldest first."""
    return [
        OpinionInfo.model_validate({**one.to_json(), "training_id": name, "cost_usd": _usd(one.cost_nanodollars)})
        for name in session.trainings
        for one in read_opinions(center.artifacts.training / name)
    ]


def name_of(provider: str | None) -> str | None:
    """Return the name of a provider that a person named; None if there is no such provider."""
    try:
        return provider_named(provider).name if provider else None
    except ValueError:
        return None


def supervisor(center: Center, provider: str, model: str | None, key_id: str | None) -> Choice:
    """Return who supervises a session, after its provider has accepted the key.

    Raises:
        CenterError: 422 if the provider is not known, there is no key, or the provider refuses it; 409 if nobody agreed
            to what is sent; 503 if it was not reached. Its words are in the line.
    """
    choice = _done(lambda: resolve(provider, model))
    found = provider_named(choice.provider)
    try:
        entry = _vault(center).find(found.name, key_id) if found.needs_key else None
    except ValueError as error:
        raise CenterError(422, f"{one_line(error)}, {WITHOUT}") from None
    if not _done(lambda: has_agreed(_files(center), found.name)):
        raise CenterError(409, f"nobody agreed to what is sent to {found.title} at {found.host}: agree on the page or "
                          f"with `hlx keys agree {found.name}`, {WITHOUT}")  # fmt: skip
    if _done(lambda: price_of(choice, _files(center))) is None:
        raise CenterError(422, f"{unknown_price(choice)}, {WITHOUT}")
    checked = ProviderClient(_files(center)).check(found.name, entry.id if entry else None)
    if checked.valid is not True:
        key = f"the key {entry.name}: " if entry else ""
        raise CenterError(
            503 if checked.valid is None else 422,
            f"{found.title}, {key}{checked.reason.rstrip('.')}; mend that, {WITHOUT}",
        )
    if not found.needs_key and not {choice.model, f"{choice.model}:latest"} & {*checked.models}:
        raise CenterError(422, f"{found.title} has no model {choice.model}: `ollama pull {choice.model}`, {WITHOUT}")
    return Choice(choice.provider, choice.model, entry.id if entry else None)


def agreed(center: Center, provider: str) -> bool:
    """Return whether a person agreed to what is sent to a provider; False for one that does not exist."""
    name = name_of(provider)
    return name is not None and _done(lambda: has_agreed(_files(center), name))


def agree_to(center: Center, provider: str) -> ProviderInfo:
    """Keep that a person agreed to what is sent to a provider; `CenterError` 404 if there is none of that name."""
    if (name := name_of(provider)) is None:
        raise CenterError(404, f"there is no such provider: choose one of {', '.join(PROVIDERS)}")
    _done(lambda: agree(_files(center), name))
    return _done(lambda: _provider(center, PROVIDERS[name]))


def worst_cost(
    center: Center, choice: Choice, tokens: tuple[int, int], calls: int | None
) -> tuple[float | None, float]:
    """Return the most that calls cost and the cap of a session, in dollars.

    Args:
        center: of the home.
        choice: who is asked.
        tokens: of a question and of its answer, at most.
        calls: their number; None if it is not known: then they cost at most the cap.

    Returns:
        The most within the cap, None if the price is not known; and the cap.
    """
    cap = _done(Ledger(_files(center)).caps)["session"]
    price = _done(lambda: price_of(choice, _files(center)))
    if price is None:
        return None, _usd(cap)
    each = price.cost(*tokens)
    return _usd(min(cap, each * calls) if calls is not None else cap if each else 0), _usd(cap)


def spent_by_session(center: Center) -> dict[str, float] | None:
    """Return what was spent for each session, in dollars; None if the ledger cannot be read."""
    try:
        return _dollars(Ledger(_files(center)).spending().by_session)
    except (ValueError, OSError):
        return None


def _provider(center: Center, provider: Provider) -> ProviderInfo:
    own = [entry for entry in _vault(center).entries() if entry.provider == provider.name]
    usable = not provider.needs_key or any(entry.problem is None for entry in own)
    files, models = _files(center), []
    for model in provider.models:
        choice = Choice(provider.name, model.name)
        price = price_of(choice, files)
        models.append(ModelInfo(
            name=model.name, title=model.title, specialty=model.specialty, tier=tier(choice, files),
            input_usd=price.input / 1000 if price else None, output_usd=price.output / 1000 if price else None,
        ))  # fmt: skip
    return ProviderInfo(
        name=provider.name, title=provider.title, host=provider.host, needs_key=provider.needs_key, usable=usable,
        agreed=has_agreed(files, provider.name), sends=what_is_sent(provider.name), models=models,
    )  # fmt: skip


def _info(center: Center, entry: KeyEntry) -> KeyInfo:
    return KeyInfo(
        id=entry.id, provider=entry.provider, name=entry.name, key=f"…{entry.last4}", models=list(entry.models),
        host=entry.host, created=entry.created, last_used=entry.last_used, validated=entry.validated,
        problem=entry.problem, agreed=has_agreed(_files(center), entry.provider),
    )  # fmt: skip


def _known(center: Center, key_id: str) -> KeyEntry:
    found = [entry for entry in _done(_vault(center).entries) if entry.id == key_id]
    if not found:
        raise CenterError(404, "there is no key of that id: GET /api/keys/list lists them")
    return found[0]


def _files(center: Center) -> ProviderFiles:
    return ProviderFiles.of_home(center.home)


def _vault(center: Center) -> Vault:
    return Vault(_files(center))


def _done(do: Callable[[], T]) -> T:
    """Return what a function returns; what it refuses is an answer with its line."""
    try:
        return do()
    except ValueError as error:
        raise CenterError(422, one_line(error)) from None
    except OSError as error:
        raise CenterError(503, one_line(error)) from None


def _usd(nano: int) -> float:
    return nano / NANO


def _dollars(amounts: Mapping[str, int]) -> dict[str, float]:
    return {name: _usd(amount) for name, amount in amounts.items()}
