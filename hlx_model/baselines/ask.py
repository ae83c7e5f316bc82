"""Ask a model of a provider about each row, one after the other, so that the time of an answer is its own."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from hlx_model.baselines.questions import ANSWER, question_for
from hlx_model.baselines.sample import Sample, SampleRow
from hlx_model.baselines.score import score
from hlx_model.providers.question import Answer, Choice, Client, Outcome, Question, Unavailable, concerns_all, describe
from hlx_model.reporting.models import Translation

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a row is asked while the provider is unavailable."""
FIRST = 8
"""If none of so many rows is answered at first, the others are not asked: they would cost money and tell nothing."""
_WAIT = 5.0
"""Seconds between two attempts, if the provider does not say."""
_LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class Reply:
    """What a model made of one row."""

    row: SampleRow
    answer: Translation
    """If there is none (a refusal, no JSON, too long), its text is empty: it is wrong."""
    outcome: str
    """One line: `answered`, or why not."""
    seconds: float
    result: Outcome | None = None
    """None of our model."""


@dataclass(frozen=True)
class Replies:
    """The replies of one model, in the order of the rows."""

    replies: tuple[Reply, ...]
    outcomes: dict[str, int]
    """The number of calls by outcome, those without a reply included."""
    spent: int
    """Nanodollars that were booked."""
    note: str | None
    """Why rows are missing, as one line."""


def ask_model(
    client: Client, choice: Choice, sample: Sample, *, max_tokens: int, session: str | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Replies:  # fmt: skip
    """Ask a model about every row. An answer is kept: asked again, it costs nothing.

    It ends early, and says why, if a call can only fail: a key, a price or an agreement is missing, a cap is reached,
    the provider refuses the request (HTTP 4xx), is unavailable `ATTEMPTS` times for one row, or gives no answer to the
    first `FIRST` rows. Rows that were not asked are not counted as wrong.

    Args:
        client: who asks.
        choice: the model.
        sample: the rows, and the training examples.
        max_tokens: of an answer, its reasoning included.
        session: what the ledger books the calls to.
        wait: waits for so many seconds.
    """
    replies, outcomes, spent, note = list[Reply](), Counter[str](), 0, None
    for row in sample.rows:
        question = question_for(row, sample.examples, choice, max_tokens=max_tokens, session=session)
        for result in _results(client, question, wait):
            outcomes["answered" if isinstance(result, Answer) else type(result).__name__.lower()] += 1
            spent += result.cost
        if not concerns_all(result):
            text = result.content[ANSWER] if isinstance(result, Answer) else ""
            replies.append(Reply(row, score(row, text), describe(result), result.seconds, result))
        if concerns_all(result) or (len(replies) == FIRST and not outcomes["answered"]):
            note = describe(result)
            log.warning("%s: ended after %d of %d rows: %s", choice, len(replies), len(sample.rows), note)
            break
    return Replies(tuple(replies), dict(outcomes), spent, note)


def _results(client: Client, question: Question, wait: Callable[[float], None]) -> list[Outcome]:
    """Return what a question came to: the last result counts, those before it were outages."""
    results = [client.ask(question, keep=True)]
    while isinstance(last := results[-1], Unavailable) and len(results) < ATTEMPTS:
        wait(min(last.retry_after or _WAIT, _LONGEST_WAIT))
        results.append(client.ask(question, keep=True))
    return results
