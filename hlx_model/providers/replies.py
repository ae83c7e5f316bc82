"""Answers that were paid for, kept by the digest of their question: asked again, it costs nothing and sends nothing.

`DAGSTER_HOME/providers/replies/<digest>.json`. `hlx clean --replies` removes them.
"""

import re
from typing import Any, Literal

from hlx_model.files import utc_now, write_json
from hlx_model.json_model import JsonModel
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.question import (
    Answer,
    Malformed,
    Outcome,
    Question,
    Refused,
    Result,
    Truncated,
    Usage,
    concerns_all,
)

_DIGEST = re.compile("[0-9a-f]{64}")


class KeptReply(JsonModel):
    """What a model answered once."""

    time: str
    """UTC, ISO 8601."""
    provider: str
    model: str
    purpose: str
    outcome: Literal["Answer", "Refused", "Malformed", "Truncated"]
    content: dict[str, Any]
    reason: str = ""
    text: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: int
    """What it cost then, in nanodollars."""
    seconds: float
    answered_by: str | None = None


class Replies:
    """The kept answers of a home."""

    def __init__(self, files: ProviderFiles) -> None:
        self._files = files

    def get(self, digest: str) -> KeptReply | None:
        """Return what was answered to the question of a digest; None if nothing is kept, or it cannot be read."""
        try:
            return KeptReply.read(self._files.replies / f"{digest}.json")
        except (OSError, ValueError):
            return None

    def put(self, question: Question, outcome: Outcome) -> None:
        """Keep what a model answered, good or bad, but nothing that concerns all questions (`concerns_all`)."""
        name = type(outcome).__name__
        if not concerns_all(outcome):
            usage = outcome.usage
            kept = KeptReply.from_json({
                "time": utc_now(), "provider": question.choice.provider, "model": question.choice.model,
                "purpose": question.purpose, "outcome": name, "cost": outcome.cost, "seconds": outcome.seconds,
                "content": dict(outcome.content) if isinstance(outcome, Answer) else {},
                "reason": getattr(outcome, "reason", ""), "text": getattr(outcome, "text", ""),
                "answered_by": outcome.answered_by,
                "input_tokens": usage.input_tokens if usage else None,
                "output_tokens": usage.output_tokens if usage else None,
            })  # fmt: skip
            self._files.make()
            self._files.replies.mkdir(mode=0o700, exist_ok=True)
            write_json(self._files.replies / f"{question.digest}.json", kept.to_json())

    def answer(self, question: Question) -> Outcome | None:
        """Return the outcome of a question that was asked before, at no cost; None if nothing is kept."""
        kept = self.get(question.digest)
        if kept is None:
            return None
        usage = None
        if kept.input_tokens is not None and kept.output_tokens is not None:
            usage = Usage(kept.input_tokens, kept.output_tokens)
        common: dict[str, Any] = {
            "question": question.digest, "choice": question.choice, "usage": usage, "seconds": kept.seconds,
            "answered_by": kept.answered_by, "kept": True,
        }  # fmt: skip
        match kept.outcome:
            case "Answer":
                return Answer(content=kept.content, **common)
            case "Refused":
                return Refused(reason=kept.reason, **common)
            case "Malformed":
                return Malformed(reason=kept.reason, text=kept.text, **common)
        return Truncated(text=kept.text, **common)

    def size(self) -> tuple[int, int]:
        """Return how many answers are kept, and their bytes."""
        sizes = [path.stat().st_size for path in self._paths()]
        return len(sizes), sum(sizes)

    def remove_all(self) -> int:
        """Remove every kept answer, and return how many there were."""
        paths = self._paths()
        for path in paths:
            path.unlink(missing_ok=True)
        return len(paths)

    def _paths(self) -> list[Any]:
        folder = self._files.replies
        return [path for path in folder.glob("*.json") if _DIGEST.fullmatch(path.stem)] if folder.is_dir() else []


def kept_cost(files: ProviderFiles, outcome: Result) -> int:
    """Return what an outcome has cost in nanodollars when it was asked, also if it is kept from before."""
    kept = Replies(files).get(outcome.question) if outcome.kept else None
    return kept.cost if kept else outcome.cost
