"""What tests of providers share: a schema, a question, and a vault with one key that needs no encryption."""

from dataclasses import dataclass, field
from typing import Any

from hlx_model.providers.question import Choice, Purpose, Question

SCHEMA: dict[str, Any] = {
    "type": "object", "additionalProperties": False, "required": ["verdict", "step"],
    "properties": {"verdict": {"enum": ["watch", "stop"]}, "step": {"type": "integer", "minimum": 1}},
}  # fmt: skip
MODELS = {"claude": "claude-haiku-4-5", "openai": "gpt-4o", "xai": "grok-4-1-fast-reasoning", "qwen": "qwen3:8b"}
KEY = "sk-test-Zq3vT8mWb1Kx5Ry7Lp9Nd2"


def a_question(
    provider: str = "claude", *, user: str = "The loss rises.", session: str | None = "run-1", max_tokens: int = 300,
    purpose: Purpose = "supervision", model: str | None = None,
) -> Question:  # fmt: skip
    """Return a question to a provider's model."""
    choice = Choice(provider, model or MODELS[provider])
    return Question(purpose, choice, "You watch a training.", user, SCHEMA, max_tokens, session)


@dataclass
class OneKey:
    """A vault with one key for every provider; it is the key and its entry too."""

    key: str = KEY
    id: str = "key-1"
    marks: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def secret(self) -> "OneKey":
        """The key, as the vault gives it."""
        return self

    def reveal(self) -> str:
        """Return the key itself."""
        return self.key

    def find(self, provider: str, key_id: str | None = None) -> "OneKey":
        """Return the key, whoever asks."""
        return self

    def open(self, id: str) -> "OneKey":
        """Return the key."""
        return self

    def mark(self, id: str, validated: bool, problem: str | None, models: tuple[str, ...] = ()) -> None:
        """Note what a provider said of it."""
        self.marks.append((id, validated, problem, models))
