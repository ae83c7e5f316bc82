"""The providers that hlx works with, their models, and other names of those models.

A key can belong to a model that is not listed: the list is what the page offers. `resolve` corrects names that people
use and the provider's programming interface does not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from hlx_model.environment import Environment
from hlx_model.providers.question import Choice

Protocol = Literal["anthropic", "openai", "ollama"]


@dataclass(frozen=True)
class Model:
    """A model that the page offers."""

    name: str
    """The provider's own name of it."""
    title: str
    specialty: str


@dataclass(frozen=True)
class Provider:
    """Where a provider is and what it offers."""

    name: str
    title: str
    """Its company or program."""
    protocol: Protocol
    """How it is spoken to."""
    base_url: str
    """Used unless `HLX_PROVIDER_HOSTS` names another. No request can name one."""
    prices: str | None
    """Its name in the price list; None if it costs nothing."""
    models: tuple[Model, ...]

    @property
    def needs_key(self) -> bool:
        """Whether it costs money, and needs a key."""
        return self.prices is not None

    @property
    def host(self) -> str:
        """The address that is called: a key that was stored for another one does not open."""
        return Environment.read("HLX_PROVIDER_HOSTS").provider_hosts.get(self.name, self.base_url)

    @property
    def is_local(self) -> bool:
        """Whether the address is this machine: what is sent there leaves it never."""
        return urlsplit(self.host).hostname in ("localhost", "127.0.0.1", "::1")


PROVIDERS: Mapping[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("claude", "Anthropic", "anthropic", "https://api.anthropic.com", "anthropic", (
            Model("claude-sonnet-4-5", "Claude Sonnet 4.5", "Quality & Precision"),
            Model("claude-opus-4-1", "Claude Opus 4.1", "Maximum Capability"),
            Model("claude-haiku-4-5", "Claude Haiku 4.5", "Speed & Efficiency"),
        )),
        Provider("openai", "OpenAI", "openai", "https://api.openai.com/v1", "openai", (
            Model("gpt-5.1", "GPT-5.1", "Advanced Reasoning"),
            Model("gpt-4o", "GPT-4o", "Multimodal"),
        )),
        Provider("xai", "xAI", "openai", "https://api.x.ai/v1", "x-ai", (
            Model("grok-4-1-fast-reasoning", "Grok 4.1 Fast", "Performance & Scale"),
        )),
        Provider("qwen", "Ollama", "ollama", "http://127.0.0.1:11434", None, (
            Model("qwen3:8b", "Qwen 3 8B", "Free Distillation"),
            Model("qwen3:4b", "Qwen 3 4B", "Free Distillation"),
            Model("qwen3:1.7b", "Qwen 3 1.7B", "Free Distillation"),
        )),
    )
}  # fmt: skip

ALIASES = {
    "claude-sonnet-4.5": "claude-sonnet-4-5", "claude-opus-4.1": "claude-opus-4-1",
    "claude-haiku-4": "claude-haiku-4-5", "claude-haiku-4.5": "claude-haiku-4-5",
    "grok-4.1": "grok-4-1-fast-reasoning", "grok-4-1": "grok-4-1-fast-reasoning",
    "anthropic": "claude", "grok": "xai", "x-ai": "xai", "ollama": "qwen",
}  # fmt: skip
"""Names that people use for a model or a provider, in lower case with hyphens, and the names that exist."""


def provider_named(name: str) -> Provider:
    """Return a provider by its name, in any case, or another name of it; `ValueError` names those that there are."""
    folded = name.strip().lower()
    if found := PROVIDERS.get(ALIASES.get(folded, folded)):
        return found
    given = f"provider is {name!r}" if len(name) < 20 else "provider is not known"  # a long one may be a key
    raise ValueError(f"{given}: choose one of {', '.join(PROVIDERS)}")


def choice_named(text: str, variable: str) -> Choice:
    """Return the choice that a variable such as `HLX_TEACHER` names: `provider/model`.

    Args:
        text: its value.
        variable: its name, for the error.

    Raises:
        ValueError: the provider is not known; names the variable.
    """
    provider, _, model = text.partition("/")
    try:
        return resolve(provider, model)
    except ValueError as error:
        raise ValueError(f"{variable}: {error}") from None


def resolve(provider: str, model: str | None = None, key_id: str | None = None) -> Choice:
    """Return the choice of a model by a name that people use, such as `Claude Sonnet 4.5`.

    Args:
        provider: its name.
        model: its name, its title, or an alias; None for the provider's first.
        key_id: a key of the vault.

    Raises:
        ValueError: the provider is not known. A model that is not listed is taken as it is named.
    """
    found = provider_named(provider)
    if not model:
        return Choice(found.name, found.models[0].name, key_id)
    folded = "-".join(model.strip().lower().split())
    titles = {"-".join(one.title.lower().split()): one.name for one in found.models}
    return Choice(found.name, titles.get(folded) or ALIASES.get(folded) or model.strip(), key_id)
