"""One call to any provider: kept answer, key, agreement, price, ledger, adapter, ledger, outcome, in this order.

    client = ProviderClient(ProviderFiles.of_home())
    outcome = client.ask(question, keep=True)
    checked = client.check("claude")      # free: does the key work, and which models has it?

What was paid is unknown after a time-out, a cut connection or an answer without a count of tokens: then the whole
reservation is booked. Nothing is ever sent a second time.
"""

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from hlx_model.files import canonical_json
from hlx_model.providers.adapters import EXTRA, Adapter, CallFailed, Endpoint, Reply, Revealed, adapter_of
from hlx_model.providers.adapters.reading import object_of
from hlx_model.providers.adapters.words import without_key
from hlx_model.providers.agreed import has_agreed
from hlx_model.providers.catalogue import Provider, provider_named
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import Ledger
from hlx_model.providers.prices import MAX_INPUT_BYTES, Price, price_of, unknown_price, worst_cost
from hlx_model.providers.question import (
    Answer,
    Choice,
    Malformed,
    Outcome,
    Question,
    Refused,
    Truncated,
    Unavailable,
)
from hlx_model.providers.replies import Replies
from hlx_model.shown import one_line

SECONDS = {"ollama": 900.0}
"""For a call, by protocol: a model on a CPU is slow."""
DEFAULT_SECONDS = 120.0
CHECK_SECONDS = 20.0
SHOWN = 500
"""Characters of an answer that is not as it must be, which are kept."""
_DATED = re.compile(r"(-(\d{8}|\d{4}-\d{2}-\d{2}|\d{4}|latest)|:latest)$")
"""How providers name a version of a model in their answers."""


class Entry(Protocol):
    """A key of the vault, as the client needs it."""

    @property
    def id(self) -> str:
        """Its name in the vault."""
        ...


class OpenedKey(Protocol):
    """A key that was opened."""

    @property
    def secret(self) -> Revealed:
        """The key itself."""
        ...


class Keys(Protocol):
    """The vault, as the client needs it (`vault.Vault`)."""

    def find(self, provider: str, key_id: str | None = None) -> Entry:
        """Return the key to use; `ValueError` if there is none."""
        ...

    def open(self, id: str) -> OpenedKey:
        """Open a key; `ValueError` if it does not open."""
        ...

    def mark(self, id: str, validated: bool, problem: str | None, models: tuple[str, ...] = ()) -> None:
        """Keep what a provider answered about a key."""
        ...


@dataclass(frozen=True)
class Checked:
    """Whether a provider takes a key."""

    valid: bool | None
    """None if that is not known: the provider was not reached, or was not called, for a reason here."""
    models: tuple[str, ...] = ()
    """Those that it offers for this key."""
    reason: str = ""
    """One line with the provider's own words, if it is not valid or not known."""


@dataclass(frozen=True)
class _Call:
    """A call that may be made."""

    provider: Provider
    adapter: Adapter
    price: Price
    worst: int
    key_id: str | None
    secret: Revealed | None


class ProviderClient:
    """Asks providers, for the home whose files are given (`question.Client`)."""

    def __init__(
        self,
        files: ProviderFiles,
        vault: Keys | None = None,
        *,
        timeout: float | None = None,
        use_gpu: bool = False,
    ) -> None:
        """Prepare to ask; nothing is opened yet.

        Args:
            files: of the home.
            vault: where keys are; by default that of the home.
            timeout: seconds for a whole call; by default 120, and 900 for a model on a machine of ours.
            use_gpu: let Ollama use the GPU. Otherwise it uses the CPU, since a training may have the GPU.
        """
        self._files, self._vault, self._timeout, self._use_gpu = files, vault, timeout, use_gpu
        self._ledger, self._replies = Ledger(files), Replies(files)

    def ask(self, question: Question, *, keep: bool = False) -> Outcome:
        """Ask a question and return what came of it; no behaviour of a provider raises an error.

        Args:
            question: what, and of which model.
            keep: keep what the model answers, good or bad, and answer the same question from what is kept. It then
                costs nothing and sends nothing.
        """
        if keep and (kept := self._replies.answer(question)) is not None:
            return kept
        try:
            call = self._prepare(question)
            reservation = self._ledger.reserve(question, call.worst)
        except (ValueError, OSError) as error:
            return Refused(question=question.digest, choice=question.choice, reason=one_line(error), asked=False)
        outcome = self._send(question, call, reservation)
        if keep:
            with suppress(OSError):  # the disk is full: the answer is not lost, and is asked again next time
                self._replies.put(question, outcome)
        return outcome

    def check(self, provider: str, key_id: str | None = None) -> Checked:
        """Ask a provider for its models, which costs nothing, and note in the vault what it answers about the key.

        Args:
            provider: its name.
            key_id: a key of the vault; by default the one that would be used.
        """
        try:
            found = provider_named(provider)
            id = self._find(found, key_id)
            if lacking := self._no_agreement(found):
                return Checked(None, reason=lacking)
            adapter, secret = adapter_of(found), self._open(id)
        except (ValueError, OSError) as error:
            return Checked(None, reason=one_line(error))
        endpoint = Endpoint(found, secret, self._timeout or CHECK_SECONDS)
        try:
            listed = adapter.models(endpoint)
        except CallFailed as error:
            valid = False if error.status in (401, 403) else None
            if valid is False:
                self._mark(id, False, error.reason)
            return Checked(valid, reason=error.reason)
        models = tuple(name for name in listed if without_key(name, endpoint.key) == name)
        self._mark(id, True, None, models)
        return Checked(True, models)

    def _prepare(self, question: Question) -> _Call:
        """Return the call that a question needs; `ValueError` says why it is not made."""
        provider = provider_named(question.choice.provider)
        id = self._find(provider, question.choice.key_id)  # first: replacing a key for another address agrees too
        if lacking := self._no_agreement(provider):
            raise ValueError(lacking)
        price = price_of(question.choice, self._files)
        if price is None:
            raise ValueError(unknown_price(question.choice))
        adapter = adapter_of(provider)
        worst = worst_of(question, price)
        return _Call(provider, adapter, price, worst, id, self._open(id))

    def _no_agreement(self, provider: Provider) -> str | None:
        """Return why nothing may be sent to a provider yet; None if a person agreed. Errors as for `has_agreed`."""
        if has_agreed(self._files, provider.name):
            return None
        where = f"{provider.name} at {provider.host}"
        return f"nobody agreed to send anything to {where}: `hlx keys agree {provider.name}`"

    def _find(self, provider: Provider, key_id: str | None) -> str | None:
        """Return the id of the key to use; None if none is needed."""
        return self._keys().find(provider.name, key_id).id if provider.needs_key else None

    def _open(self, id: str | None) -> Revealed | None:
        return None if id is None else self._keys().open(id).secret

    def _keys(self) -> Keys:
        if self._vault is None:
            try:
                from hlx_model.providers.vault import Vault
            except ModuleNotFoundError as error:
                raise ValueError(f"the package {error.name} is missing, which opens keys: {EXTRA}") from None
            self._vault = Vault(self._files)
        return self._vault

    def _mark(self, id: str | None, validated: bool, problem: str | None, models: tuple[str, ...] = ()) -> None:
        if id is None:
            return
        with suppress(ValueError, OSError):  # it was removed meanwhile: the next check says it again
            self._keys().mark(id, validated, problem, models)

    def _send(self, question: Question, call: _Call, reservation: str) -> Outcome:
        """Send a question for which its worst cost is reserved, and book what it cost."""
        started = time.monotonic()
        seconds = self._timeout or SECONDS.get(call.provider.protocol, DEFAULT_SECONDS)
        endpoint = Endpoint(call.provider, call.secret, seconds, self._use_gpu)
        cost: int | None = call.worst  # what is booked if this process is interrupted
        common: dict[str, Any] = {"question": question.digest, "choice": question.choice}
        make: Any
        try:
            reply = call.adapter.ask(question, endpoint)
            cost = self._cost(reply, question.choice, call)
            named = one_line(without_key(reply.model or "", endpoint.key), 80)
            common |= {"usage": reply.usage, "answered_by": named or None}
            make, details = _outcome(reply, question, endpoint)
        except CallFailed as error:
            cost = None if error.paid == "nothing" else call.worst
            if error.status in (401, 403):
                self._mark(call.key_id, False, error.reason)
            make, details = _failure(error)
        finally:
            self._book(reservation, cost)
        return make(**common, **details, cost=cost or 0, seconds=round(time.monotonic() - started, 3))  # type: ignore[no-any-return]

    def _cost(self, reply: Reply, choice: Choice, call: _Call) -> int:
        """Return what an answer cost: by its tokens, and the dearer price if another model answered."""
        if reply.usage is None:
            return call.worst
        prices = [call.price]
        if reply.model and not _same_model(reply.model, choice.model):
            other = price_of(Choice(choice.provider, reply.model), self._files)
            prices += [other] if other else []
        return max(price.cost(reply.usage.input_tokens, reply.usage.output_tokens) for price in prices)

    def _book(self, reservation: str, cost: int | None) -> None:
        with suppress(ValueError, OSError):  # then the reservation stays and counts as spent: `hlx costs` shows it
            if cost is None:
                self._ledger.release(reservation)
            else:
                self._ledger.settle(reservation, cost)


def worst_of(question: Question, price: Price) -> int:
    """Return the most that a question can cost, in nanodollars.

    Raises:
        ValueError: it is longer than any purpose of hlx needs, or a package is missing.
    """
    provider = provider_named(question.choice.provider)
    size = len(canonical_json(adapter_of(provider).body(question, provider)).encode())
    if size > MAX_INPUT_BYTES:
        raise ValueError(f"the question has {size:,} bytes; at most {MAX_INPUT_BYTES:,} are sent")
    return worst_cost(price, size, question.max_tokens)


def _outcome(reply: Reply, question: Question, endpoint: Endpoint) -> tuple[type[Outcome], Mapping[str, Any]]:
    """Return the outcome of an answer, by its type and its fields."""
    text, name = without_key(reply.text, endpoint.key), endpoint.provider.name
    begin = text[:SHOWN]
    if reply.model and not _same_model(reply.model, question.choice.model):
        other = one_line(without_key(reply.model, endpoint.key), 80)
        reason = f"another model answered: {other} instead of {question.choice.model}"
        return Malformed, {"reason": reason, "text": begin}
    if reply.ended == "refused":
        return Refused, {"reason": f"{name} declines to answer: {one_line(text, 300)}", "status": 200}
    if reply.ended == "length":
        return Truncated, {"text": begin}
    content, wrong = object_of(text, question.schema)
    if content is None:
        return Malformed, {"reason": one_line(wrong), "text": begin}
    read = canonical_json(content)
    if without_key(read, endpoint.key) != read:  # it was written in escapes
        return Malformed, {"reason": "the answer contains the key that it was asked with", "text": ""}
    return Answer, {"content": content}


def _failure(error: CallFailed) -> tuple[type[Outcome], Mapping[str, Any]]:
    match error.kind:
        case "refused":
            return Refused, {"reason": error.reason, "status": error.status}
        case "malformed":
            return Malformed, {"reason": error.reason, "text": error.text[:SHOWN]}
    return Unavailable, {"reason": error.reason, "status": error.status, "retry_after": error.retry_after}


def _same_model(answered: str, asked: str) -> bool:
    return _DATED.sub("", answered.lower()) == _DATED.sub("", asked.lower())
