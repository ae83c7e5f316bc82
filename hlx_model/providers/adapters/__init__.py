"""One adapter a protocol: how a question becomes a request, and an answer a `Reply`. No SDK type leaves it.

    adapter = adapter_of(provider)
    adapter.body(question, provider)       # exactly what is sent
    adapter.ask(question, endpoint)        # Reply, or CallFailed
    adapter.models(endpoint)               # the free call that shows whether a key is valid

The address is that of the catalogue or of `HLX_PROVIDER_HOSTS`. No variable of an SDK changes where a request goes or
what it contains, a redirect is not followed, and nothing is sent a second time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, Protocol, cast

from hlx_model.providers.catalogue import Provider
from hlx_model.providers.question import Question, Usage

EXTRA = "install the extra `center`: pip install 'hlx-brain[center]', or make ui"


class Revealed(Protocol):
    """A key that is shown only on purpose."""

    def reveal(self) -> str:
        """Return the key itself."""
        ...


@dataclass(frozen=True)
class Endpoint:
    """Where a request goes and with which key."""

    provider: Provider
    secret: Revealed | None = field(repr=False)
    seconds: float
    """For the whole call."""
    use_gpu: bool = False
    """Whether a model on this machine may use the GPU."""

    @property
    def key(self) -> str:
        """The key itself, empty if none is needed."""
        return self.secret.reveal() if self.secret else ""


@dataclass(frozen=True)
class Reply:
    """What came back, before anything is believed of it."""

    text: str
    """Of a refusal, its words."""
    usage: Usage | None
    model: str | None
    """The model that the provider names."""
    ended: Literal["end", "length", "refused"] = "end"


class CallFailed(Exception):
    """No answer came back."""

    def __init__(
        self,
        kind: Literal["refused", "unavailable", "malformed"],
        reason: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        paid: Literal["nothing", "unknown"] = "nothing",
        text: str = "",
    ) -> None:
        super().__init__(reason)
        self.kind, self.reason, self.status, self.retry_after = kind, reason, status, retry_after
        self.paid, self.text = paid, text


class Adapter(Protocol):
    """What the module of an adapter offers."""

    def body(self, question: Question, provider: Provider) -> dict[str, Any]:
        """Return the JSON of the request."""
        ...

    def ask(self, question: Question, endpoint: Endpoint) -> Reply:
        """Send it; `CallFailed` if no answer comes back."""
        ...

    def models(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Return the names of the provider's models, by a call that costs nothing; `CallFailed` if there is none."""
        ...


def adapter_of(provider: Provider) -> Adapter:
    """Return the adapter of a provider; `ValueError` if a package is missing."""
    try:
        import_module("jsonschema")  # checks every answer: missing, it must be noticed before anything is paid
        return cast(Adapter, import_module(f"{__name__}.{provider.protocol}"))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("hlx_model"):
            raise
        raise ValueError(f"the package {error.name} is missing, which calls {provider.name}: {EXTRA}") from None


_KEYWORDS = ("type", "properties", "required", "items", "enum", "const", "anyOf", "description", "$defs", "$ref")


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON schema as providers take it: no bounds, every property required, no others.

    What it omits is checked when the answer is there.
    """
    kept: dict[str, Any] = {name: schema[name] for name in _KEYWORDS if name in schema}
    for name in ("properties", "$defs"):
        if name in kept:
            kept[name] = {key: strict_schema(part) for key, part in kept[name].items()}
    if "items" in kept:
        kept["items"] = strict_schema(kept["items"])
    if "anyOf" in kept:
        kept["anyOf"] = [strict_schema(part) for part in kept["anyOf"]]
    if "properties" in kept:
        kept |= {"required": list(kept["properties"]), "additionalProperties": False}
    return kept
