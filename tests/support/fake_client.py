"""A client of providers that answers by a function, and remembers what it was asked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hlx_model.providers.question import Answer, Outcome, Question, Refused, Unavailable, Usage

USAGE = Usage(100, 20)


@dataclass
class FakeClient:
    """Answers each question by `answer`, and keeps answers as the real one does."""

    answer: Callable[[Question], Outcome]
    asked: list[Question] = field(default_factory=list)
    kept: dict[str, Outcome] = field(default_factory=dict)

    def ask(self, question: Question, *, keep: bool = False) -> Outcome:
        """Answer, or return what was kept."""
        if keep and question.digest in self.kept:
            return self.kept[question.digest]
        self.asked.append(question)
        outcome = self.answer(question)
        if keep and isinstance(outcome, Answer):
            self.kept[question.digest] = Answer(
                question=outcome.question, choice=outcome.choice, usage=outcome.usage, seconds=outcome.seconds,
                content=outcome.content, kept=True,
            )  # fmt: skip
        return outcome


def answered(question: Question, content: dict[str, Any], cost: int = 7, usage: Usage | None = USAGE) -> Answer:
    """Return an answer to a question."""
    return Answer(
        question=question.digest, choice=question.choice, content=content, cost=cost, usage=usage, seconds=0.5
    )


def refused(question: Question, reason: str, *, asked: bool, status: int | None = None) -> Refused:
    """Return a refusal of a question."""
    return Refused(question=question.digest, choice=question.choice, reason=reason, asked=asked, status=status)


def unavailable(question: Question, reason: str, retry_after: float | None = None) -> Unavailable:
    """Return an outage."""
    return Unavailable(question=question.digest, choice=question.choice, reason=reason, retry_after=retry_after)
