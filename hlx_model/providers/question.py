"""What is asked of a model, and what comes back: one shape for every provider.

    match client.ask(question):
        case Answer(content=content): ...
        case Unavailable(reason=reason): ...

A client never raises for what a provider does: a refusal, an outage or nonsense is a result, with what it has cost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from hlx_model.files import digest_of

Purpose = Literal["supervision", "teaching", "judging", "baselines", "check"]
"""What a question is for; the ledger sums by it. `check` asks nothing of a model: it is free."""


@dataclass(frozen=True)
class Choice:
    """A model of a provider, and the key to use."""

    provider: str
    """Its name in the catalogue: claude, openai, xai or qwen."""
    model: str
    """The provider's own name of the model (`catalogue.resolve`)."""
    key_id: str | None = None
    """A key of the vault; None for the newest valid one of the provider."""

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True)
class Question:
    """One call: a system prompt, a prompt, and the JSON schema that the answer must have."""

    purpose: Purpose
    choice: Choice
    system: str
    user: str
    schema: Mapping[str, Any]
    """JSON Schema (2020-12) of an object."""
    max_tokens: int
    """Of the answer, its reasoning included."""
    session: str | None = None
    """The training session that pays: the ledger has a cap for each."""

    @property
    def digest(self) -> str:
        """The SHA-256 of what is asked of which model; not of who pays, or with which key."""
        return digest_of({
            "purpose": self.purpose, "provider": self.choice.provider, "model": self.choice.model,
            "system": self.system, "user": self.user, "schema": dict(self.schema), "max_tokens": self.max_tokens,
        })  # fmt: skip


@dataclass(frozen=True)
class Usage:
    """Tokens of a call, as the provider counts them."""

    input_tokens: int
    output_tokens: int
    """Reasoning included."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What every outcome of a call has."""

    question: str
    """The digest of the question."""
    choice: Choice
    usage: Usage | None = None
    """None if the provider did not say."""
    cost: int = 0
    """What the ledger booked, in nanodollars."""
    seconds: float = 0.0
    answered_by: str | None = None
    """The model that the provider names in its answer."""
    kept: bool = False
    """Whether it is an answer from before, which cost nothing this time."""


@dataclass(frozen=True, kw_only=True)
class Answer(Result):
    """An answer that has the schema."""

    content: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Refused(Result):
    """The provider or its model will not answer: a bad key, no money, a policy. Asking again changes nothing.

    Or we did not ask: a cap, an unknown price, a key that is missing, a person who has not agreed.
    """

    reason: str
    """One line for a person, with the provider's own words, and what to do."""
    asked: bool = True
    """Whether anything was sent."""
    status: int | None = None
    """HTTP status."""


@dataclass(frozen=True, kw_only=True)
class Malformed(Result):
    """An answer that is not JSON, has not the schema, or is of another model."""

    reason: str
    text: str
    """The beginning of the answer."""


@dataclass(frozen=True, kw_only=True)
class Truncated(Result):
    """An answer that ended at `max_tokens`."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Unavailable(Result):
    """An outage, too many requests, a time-out: asking later may help. It is never asked again unseen."""

    reason: str
    status: int | None = None
    retry_after: float | None = None
    """Seconds, if the provider says."""


Outcome = Answer | Refused | Malformed | Truncated | Unavailable


class Client(Protocol):
    """Who asks. `ProviderClient` is the real one; what uses it needs no more than this."""

    def ask(self, question: Question, *, keep: bool = False) -> Outcome:
        """Ask a question.

        Args:
            question: what, and of which model.
            keep: keep an answer, and answer the same question from what is kept. It then costs nothing.
        """
        ...


def concerns_all(outcome: Outcome) -> bool:
    """Return whether every further question would fare the same.

    It is so in an outage, if nothing was sent, or if the provider refused the request. Whatever a model answers, a
    refusal too, concerns its question alone.
    """
    if isinstance(outcome, Refused):
        return not outcome.kept and (not outcome.asked or outcome.status != 200)
    return isinstance(outcome, Unavailable)


def describe(outcome: Outcome) -> str:
    """Return one line on an outcome: its kind, and its reason if it is no answer."""
    match outcome:
        case Answer():
            return "answered"
        case Truncated():
            return "truncated: the answer ended at the most tokens that it may have"
        case Refused(reason=reason) | Malformed(reason=reason) | Unavailable(reason=reason):
            return f"{type(outcome).__name__.lower()}: {reason}"
