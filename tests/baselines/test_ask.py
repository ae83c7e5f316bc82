"""A model of a provider is asked about every row once, and no longer than it makes sense."""

from collections.abc import Callable

import pytest

from hlx_model.baselines.ask import ATTEMPTS, FIRST, ask_model
from hlx_model.baselines.sample import Example, Sample, SampleRow
from hlx_model.baselines.table import model_of
from hlx_model.language import Format
from hlx_model.providers.question import Answer, Choice, Malformed, Outcome, Question, Truncated
from tests.support.answers import SEARCH
from tests.support.fake_client import FakeClient, answered, refused, unavailable

CHOICE = Choice("claude", "claude-haiku-4-5")
SAMPLE = Sample(
    tuple(
        SampleRow("held-out" if number < 3 else "evaluation", "small.md", f"Search {number}", format, (SEARCH[format],))
        for number in range(5)
        for format in Format
    ),
    (Example("Search for documents", SEARCH["HLXL"]),),
)


class Price:
    """A nanodollar a token of the question, ten a token of the answer."""

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        return input_tokens + 10 * output_tokens


def right(question: Question) -> Answer:
    """The right answer of a question."""
    format = next(format for format in Format if f"English sentences into {format}," in question.system)
    return answered(question, {"hlx": SEARCH[format]})


def malformed(question: Question) -> Malformed:
    return Malformed(question=question.digest, choice=CHOICE, reason="no JSON", text=SEARCH["HLXL"], cost=3)


def truncated(question: Question) -> Truncated:
    return Truncated(question=question.digest, choice=CHOICE, text="{", cost=5)


def declined(question: Question) -> Outcome:
    return refused(question, "declines to answer", asked=True, status=200)


def busy(question: Question) -> Outcome:
    return unavailable(question, "too many requests", 7)


def overloaded(question: Question) -> Outcome:
    return unavailable(question, "overloaded", 3600)


def each(*outcomes: Callable[[Question], Outcome]) -> Callable[[Question], Outcome]:
    """These outcomes one after the other, and then right answers."""
    left = list(outcomes)
    return lambda question: left.pop(0)(question) if left else right(question)


def test_every_row_is_asked_once_and_a_second_time_costs_nothing() -> None:
    client = FakeClient(right)
    first = ask_model(client, CHOICE, SAMPLE, max_tokens=500, session="run")
    assert len(client.asked) == len({question.digest for question in client.asked}) == len(SAMPLE.rows)
    assert (first.outcomes, first.spent, first.note) == ({"answered": 20}, 140, None)
    second = ask_model(client, CHOICE, SAMPLE, max_tokens=500, session="another run")
    assert len(client.asked) == len(SAMPLE.rows) and second.spent == 0
    one, other = (model_of(CHOICE, found, Price()) for found in (first, second))
    assert one.cost_per_1000_nanodollars == other.cost_per_1000_nanodollars == 1000 * (100 + 10 * 20)
    assert one.all_to_hlx["held-out"].samples == 12 and one.all_to_hlx["evaluation"].samples == 8
    assert {rates.exact_match for rates in one.to_hlx["held-out"].values()} == {1.0}
    assert one.median_seconds == one.p90_seconds == 0.5
    assert model_of(CHOICE, first, None).cost_per_1000_nanodollars is None


def test_no_answer_is_a_wrong_answer() -> None:
    found = ask_model(FakeClient(each(malformed, truncated, declined)), CHOICE, SAMPLE, max_tokens=500)
    assert found.outcomes == {"malformed": 1, "truncated": 1, "refused": 1, "answered": 17} and found.note is None
    assert [reply.answer.same_value for reply in found.replies] == [False] * 3 + [True] * 17
    assert found.spent == 3 + 5 + 17 * 7


@pytest.mark.parametrize(
    ("asked", "status"), [(False, None), (True, 401), (True, 402), (True, 403), (True, 404), (True, 400)]
)
def test_a_request_that_is_refused_is_not_sent_again(asked: bool, status: int | None) -> None:
    client = FakeClient(each(right, lambda question: refused(question, "no money", asked=asked, status=status)))
    found = ask_model(client, CHOICE, SAMPLE, max_tokens=500)
    assert len(client.asked) == 2 and len(found.replies) == 1 and found.note == "refused: no money"
    assert model_of(CHOICE, found, Price()).samples == 1


def test_an_outage_is_waited_for_and_is_not_counted_as_wrong() -> None:
    waited: list[float] = []
    found = ask_model(FakeClient(each(busy, busy)), CHOICE, SAMPLE, max_tokens=500, wait=waited.append)
    assert waited == [7, 7] and found.note is None
    assert found.outcomes == {"unavailable": 2, "answered": 20} and all(reply.answer.exact for reply in found.replies)


def test_a_long_outage_ends_the_model_and_the_rest_is_asked_next_time() -> None:
    waited: list[float] = []
    client = FakeClient(each(right, *[overloaded] * ATTEMPTS))
    found = ask_model(client, CHOICE, SAMPLE, max_tokens=500, wait=waited.append)
    assert len(found.replies) == 1 and found.note == "unavailable: overloaded" and max(waited) <= 60
    again = ask_model(client, CHOICE, SAMPLE, max_tokens=500, wait=waited.append)
    assert len(again.replies) == len(SAMPLE.rows) and again.spent == 7 * (len(SAMPLE.rows) - 1)


def test_a_model_that_answers_nothing_is_not_paid_for_every_row() -> None:
    client = FakeClient(truncated)
    found = ask_model(client, CHOICE, SAMPLE, max_tokens=500)
    assert len(client.asked) == len(found.replies) == FIRST < len(SAMPLE.rows)
    assert found.note is not None and found.note.startswith("truncated: ")
    assert model_of(CHOICE, found, Price()).cost_per_1000_nanodollars is None
