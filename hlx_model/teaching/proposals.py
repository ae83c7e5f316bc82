"""What a teacher proposed: a row for each entry of its answers, and for each entry that got none.

    proposals = propose(client, choice, requests, cost_of=lambda outcome: outcome.cost)

Nothing that it wrote is believed here: `admission.py` decides. Every answer is kept by the digest of its question, so
that the same requests send nothing again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from hlx_model.language import Format
from hlx_model.providers.question import Answer, Choice, Client, Outcome, Question, Unavailable, concerns_all, describe
from hlx_model.shown import shorten
from hlx_model.teaching.prompt import ENTRIES, batches, judge_question, teacher_question
from hlx_model.teaching.written import AskedQuestion

PROPOSALS_SCHEMA = pa.schema([
    (name, pa.string())
    for name in ("id", "value_sha256", str(Format.HLXL), "known", "english", "question", "provider", "model", "problem")
])  # fmt: skip
"""`known` is the sentence of the request; `problem` why the entry cannot be used, whatever its sentence is."""
MOST_CHARACTERS = 2_000
"""Of a sentence that is kept; what is longer is refused anyway."""
UNKNOWN_ID, TWICE, MISSING = "its id is none that was asked", "its id is there more than once", "it was not answered"

Row = Mapping[str, Any]


class Proposals(NamedTuple):
    """What a teacher proposed."""

    table: pa.Table
    questions: dict[str, AskedQuestion]
    """By digest."""


def propose(
    client: Client, choice: Choice, requests: pa.Table, *, cost_of: Callable[[Outcome], int], session: str | None = None
) -> Proposals:
    """Ask a teacher for a sentence for each request, and return what it proposed.

    Args:
        client: who asks.
        choice: the teacher.
        requests: rows of `teacher_requests`.
        cost_of: returns what an outcome cost when it was paid, in nanodollars.
        session: who pays: the id of the run.

    Raises:
        ValueError: the provider refuses, or does not answer now. What it answered before is kept.
    """
    found: list[Row] = []
    questions: dict[str, AskedQuestion] = {}
    for done, rows in enumerate(batches(requests.to_pylist())):
        question = teacher_question(choice, rows, session)
        outcome = client.ask(question, keep=True)
        found += _proposed(question, rows, entries_of(question, outcome, done * ENTRIES, requests.num_rows))
        questions[question.digest] = AskedQuestion(
            provider=choice.provider, model=choice.model, system=question.system, user=question.user,
            cost_nanodollars=cost_of(outcome), entries=len(rows),
        )  # fmt: skip
    return Proposals(pa.Table.from_pylist(found, PROPOSALS_SCHEMA), questions)


def judge(client: Client, choice: Choice, rows: Sequence[Row], session: str | None = None) -> Iterator[tuple[Row, str]]:
    """Ask a judge about proposals; yield each that does not mean the same, with the reason.

    Raises:
        ValueError: as for `propose`.
    """
    done = 0
    for some in batches(rows):
        question = judge_question(choice, some, session)
        entries = entries_of(question, client.ask(question, keep=True), done, len(rows))
        done += len(some)
        if isinstance(entries, str):
            yield from ((row, f"the judge {choice} did not answer: {entries}") for row in some)
            continue
        said = [(entry["id"], entry["same"]) for entry in entries]
        yield from ((row, f"the judge {choice} does not say that it means the same") for row in some
                    if [same for id, same in said if id == row["id"]] != ["yes"])  # fmt: skip


def entries_of(question: Question, outcome: Outcome, done: int, of: int) -> Sequence[Row] | str:
    """Return the entries of an answer, or one line on why it has none.

    Raises:
        ValueError: the provider refuses, or does not answer now.
    """
    if isinstance(outcome, Answer):
        entries: Sequence[Row] = outcome.content["entries"]
        return entries
    if not concerns_all(outcome):
        return describe(outcome)
    again = "materialize again " + ("later" if isinstance(outcome, Unavailable) else "when that is changed")
    raise ValueError(f"{question.choice}, after {done} of {of} entries: {describe(outcome)}; "
                     f"what it answered is kept: {again}")  # fmt: skip


def _proposed(question: Question, rows: Sequence[Row], entries: Sequence[Row] | str) -> Iterable[Row]:
    """Yield a row for each entry of an answer, and one for each request without an entry."""
    asked = {row["id"]: row for row in rows}
    origin = {"question": question.digest, "provider": question.choice.provider, "model": question.choice.model}
    given = [] if isinstance(entries, str) else entries
    count = Counter(entry["id"] for entry in given)
    for entry in given:
        request = asked.get(entry["id"])
        problem = UNKNOWN_ID if request is None else TWICE if count[entry["id"]] > 1 else None
        yield _row(entry["id"], request, shorten(entry["english"], MOST_CHARACTERS), problem, origin)
    for id, request in asked.items():
        if not count[id]:
            yield _row(id, request, None, entries if isinstance(entries, str) else MISSING, origin)


def _row(id: str, request: Row | None, english: str | None, problem: str | None, origin: Row) -> Row:
    of = request or {}
    return {
        "id": id, "value_sha256": of.get("value_sha256"), str(Format.HLXL): of.get(Format.HLXL),
        "known": of.get("english"), "english": english, "problem": problem, **origin,
    }  # fmt: skip
