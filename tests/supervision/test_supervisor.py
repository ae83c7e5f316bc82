"""Whatever comes of a question is an opinion for the record."""

import json
from pathlib import Path
from typing import Any

import pytest

from hlx_model.providers.client import ProviderClient
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import Ledger
from hlx_model.providers.prices import set_price
from hlx_model.providers.question import Choice, Outcome, Question
from hlx_model.supervision.opinions import Opinion, read_opinions, record_opinion
from hlx_model.supervision.supervisor import ask_opinion
from tests.support.fake_client import FakeClient, answered
from tests.support.fake_provider import Behaviour, FakeProvider, content, does, status, text
from tests.support.supervision import a_briefing, an_answer

QWEN = Choice("qwen", "qwen3:1.7b")


def opinion_of(answer: dict[str, Any], **options: Any) -> Opinion:
    client = FakeClient(lambda question: answered(question, answer))
    return ask_opinion(client, QWEN, a_briefing(), **{"trigger": "time", **options})


def test_an_answer_is_an_opinion_with_its_cost() -> None:
    found = opinion_of(an_answer(verdict="stop", confidence="high"))
    assert (found.outcome, found.verdict, found.confidence, found.cost_nanodollars) == ("answered", "stop", "high", 7)
    assert found.evidence[0].step == 60 and found.signs == ("flat validation loss",)
    assert (found.provider, found.model, found.step, found.epoch) == ("qwen", "qwen3:1.7b", 60, 6)


def test_of_evaluated_gates_the_epoch_is_theirs() -> None:
    assert opinion_of(an_answer(), trigger="gates").epoch == 5


def test_a_step_that_it_was_not_shown_makes_the_answer_malformed() -> None:
    for step in (61, 3, 0, -1, 10**30):
        found = opinion_of(an_answer(evidence=[{"step": 60, "figure": "x"}, {"step": step, "figure": "x"}]))
        assert found.outcome == f"malformed: it cites steps that it was not shown ({step})"
        assert found.verdict is None and not found.evidence and not found.note and found.cost_nanodollars == 7


def test_what_it_writes_is_bounded_and_cannot_control_a_terminal(tmp_path: Path) -> None:
    long = "a\x1b[31m\u202e\n" * 10_000
    answer = an_answer(note=long, advice=long, signs=[long] * 99, evidence=[{"step": 60, "figure": long}] * 99)
    record_opinion(tmp_path, opinion_of(answer))
    (line,) = (tmp_path / "opinions.jsonl").read_text().splitlines()
    assert len(line) < 20_000 and "\x1b" not in line and "\\u001b" not in line and "\u202e" not in line
    (read,) = read_opinions(tmp_path)
    assert len(read.signs) == len(read.evidence) == 8


OUTCOMES: dict[str, tuple[Behaviour, str, int | None]] = {
    "another schema": (content({"verdict": "continue"}), "malformed: the answer has not its schema", 180),
    "a verdict of its own": (content(an_answer(verdict="pause")), "malformed: the answer has not its schema", 180),
    "prose": (text("It looks fine."), "malformed: the answer is not JSON", 180),
    "an end at the most tokens": (does("max_tokens"), "truncated", 180),
    "another model": (does("other_model"), "malformed: another model answered", 180),
    "an outage": (status(500), "unavailable: ", 0),
    "too many requests": (status(429, retry_after=7), "unavailable: ", 0),
    "a model that is gone": (status(404), "refused: ", 0),
    "no count of tokens": (does("no_usage"), "answered", None),
    "a cut connection": (does("cut"), "unavailable: ", None),
}
"""What the server does, how the outcome begins, and what is paid; None: all that was reserved."""


@pytest.mark.parametrize("case", OUTCOMES)
def test_each_outcome_is_recorded_with_what_was_paid(
    case: str, files: ProviderFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behaviour, begins, paid = OUTCOMES[case]
    set_price(files, QWEN, "0.001", "0.002")  # a nanodollar for each token of 120, two for each of 30
    with FakeProvider(answer=lambda system, user, schema: an_answer()) as fake:
        monkeypatch.setenv("HLX_PROVIDER_HOSTS", fake.hosts)
        fake.script(behaviour)
        client = ProviderClient(files)
        record_opinion(tmp_path, ask_opinion(client, QWEN, a_briefing(), trigger="time", session="run-1"))
        record_opinion(tmp_path, ask_opinion(client, QWEN, a_briefing(), trigger="time", session="run-1"))
    first, second = read_opinions(tmp_path)
    assert first.outcome.startswith(begins) and "\n" not in first.outcome
    assert (first.verdict is None) == (begins != "answered")
    assert second.verdict == "watch" and second.cost_nanodollars == 180
    if paid is not None:
        assert first.cost_nanodollars == paid
    else:
        assert first.cost_nanodollars > 3_000  # a nanodollar for each byte
    spending = Ledger(files).spending()
    assert spending.by_session == {"run-1": first.cost_nanodollars + 180} and not spending.open
    assert set(spending.by_purpose) == {"supervision"}


def test_a_cap_is_an_outcome_too_and_nothing_is_sent(files: ProviderFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    set_price(files, QWEN, "3", "15")
    Ledger(files).set_cap("session", 1000)
    with FakeProvider(answer=lambda system, user, schema: an_answer()) as fake:
        monkeypatch.setenv("HLX_PROVIDER_HOSTS", fake.hosts)
        found = ask_opinion(ProviderClient(files), QWEN, a_briefing(), trigger="time", session="run-1")
        assert not fake.asked
    assert found.outcome.startswith("refused: the cap of a session is") and found.cost_nanodollars == 0


def test_lines_that_cannot_be_read_are_skipped(tmp_path: Path) -> None:
    record_opinion(tmp_path, opinion_of(an_answer()))
    with (tmp_path / "opinions.jsonl").open("ab") as file:
        file.write(b'{"time": 1}\nnull\n\xff\xfe{\n' + json.dumps({"verdict": "stop"}).encode() + b"\n")
    record_opinion(tmp_path, opinion_of(an_answer(verdict="stop")))
    assert [one.verdict for one in read_opinions(tmp_path)] == ["watch", "stop"]


def test_the_session_pays_and_a_kept_answer_is_asked_once() -> None:
    asked: list[Question] = []

    def answer(question: Question) -> Outcome:
        asked.append(question)
        return answered(question, an_answer())

    client = FakeClient(answer)
    for _ in range(2):
        ask_opinion(client, QWEN, a_briefing(), trigger="time", session="run-1", keep=True)
    (question,) = asked
    assert (question.session, question.purpose, question.choice) == ("run-1", "supervision", QWEN)
