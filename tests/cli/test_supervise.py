"""`hlx supervise --replay` compares a supervisor with the rules on recorded trainings."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hlx_model.evaluation.milestones import due
from hlx_model.providers.agreed import has_agreed
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.secret import Secret
from hlx_model.providers.vault import Vault
from hlx_model.supervision.replay import moments, recorded_curves
from tests.support.command import Hlx
from tests.support.fake_provider import FakeProvider, does, status, text
from tests.support.supervision import an_answer
from tests.support.vaults import CLAUDE, OPENAI

KEYS = {"claude": CLAUDE, "openai": OPENAI}

QUESTIONS = 28
"""Of 31 moments: two of the trainings are the same for ten epochs."""


def answer(system: str, user: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Advise to stop if the last training loss is above 4.9, or is not finite."""
    points = re.findall(r"^(\d+),\d+,([\w.+-]+),", user, re.MULTILINE)
    step, loss = points[-1]
    bad = not float(loss) < 4.9
    return an_answer(verdict="stop" if bad else "continue", evidence=[{"step": int(step), "figure": loss}])


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    """A server that all providers are, and a new home."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    with FakeProvider(answer=answer) as server:
        monkeypatch.setenv("HLX_PROVIDER_HOSTS", server.hosts)
        yield server


def test_lead_and_false_alarms_stand_beside_those_of_the_rules(fake: FakeProvider, hlx: Hlx) -> None:
    ran = hlx("supervise", "--replay", "--yes", "--json")
    assert ran.code == 0, ran.err
    found = {one["training"]: one for one in json.loads(ran.out)["curves"]}
    assert set(found) == set(recorded_curves()) and len(fake.asked) == QUESTIONS
    assert (found["diverged"]["rules_stop"], found["diverged"]["supervisor_stop"]) == (2, 6)
    assert found["diverged"]["lead"] == -4  # the rules check after each step, it is asked after epochs
    assert found["not_finite"]["supervisor_stop"] == 30 and found["rising"]["rules_stop"] == 90
    assert found["healthy-english"]["supervisor_stop"] is None
    # It is told no name, nothing of what the rules found, and nothing that comes later.
    for one in fake.asked:
        sent = one.body["messages"][1]["content"]
        assert not re.search("healthy|diverged|collapsed|not_finite|required", sent)
    assert f"{QUESTIONS} questions to qwen/qwen3:8b cost at most $0.00" in ran.err


def test_a_repeated_replay_asks_nothing_and_prints_the_same(fake: FakeProvider, hlx: Hlx) -> None:
    first = hlx("supervise", "--replay", "--yes")
    asked = len(fake.asked)
    second = hlx("supervise", "--replay", "--yes")
    assert first.code == 0 and first.out == second.out and len(fake.asked) == asked == QUESTIONS
    assert "rules: 0 false alarms on 5 healthy trainings, 4 of 4 broken found" in first.out
    assert "qwen/qwen3:8b: 1 false alarms on 5 healthy trainings, 3 of 4 broken found" in first.out


def test_a_malformed_answer_is_no_opinion_and_the_replay_continues(fake: FakeProvider, hlx: Hlx) -> None:
    fake.script(text("no JSON"), text("no JSON"))
    ran = hlx("supervise", "--replay", "--yes")
    assert ran.code == 0 and "collapsed: 1 of 3 answered" in ran.err and len(fake.asked) == QUESTIONS


@pytest.mark.parametrize("provider", ["claude", "openai"])
def test_a_question_that_the_model_declines_is_not_answered_and_the_table_goes_on(
    fake: FakeProvider, hlx: Hlx, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, provider: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Vault(ProviderFiles.of_home()).add(provider, "work", Secret.of(KEYS[provider]))
    fake.script(does("refusal"), text("no JSON"))
    replay = ("supervise", "--replay", "--provider", provider, "--yes")
    first = hlx(*replay)
    assert first.code == 0 and len(fake.asked) == QUESTIONS and "healthy-pairs" in first.out
    assert f"collapsed, step 4: refused: {provider} declines to answer: " in first.err
    assert "collapsed: 1 of 3 answered" in first.err
    assert first.err.count("`hlx clean --replies --yes`") == 1 and "2 questions have no answer" in first.err
    again = hlx(*replay)
    assert again.code == 0 and again.err.count("kept reply: refused: ") == 1 and len(fake.asked) == QUESTIONS
    assert "kept reply: malformed: " in again.err and again.err.count("`hlx clean --replies --yes`") == 1
    hlx("clean", "--replies", "--yes")
    mended = hlx(*replay)
    assert "no answer" not in mended.err and len(fake.asked) == 2 * QUESTIONS


def test_it_ends_at_the_first_error_that_concerns_all_questions(fake: FakeProvider, hlx: Hlx) -> None:
    fake.script(status(404, "no such model"))
    ran = hlx("supervise", "--replay", "--yes")
    assert ran.code == 1 and "no such model" in ran.error and len(fake.asked) == 1 and not ran.out
    first = len(moments("collapsed", due))
    fake.script(*[text("no JSON")] * first, status(500))
    ran = hlx("supervise", "--replay", "--yes")
    assert ran.code == 1 and "ended after 1 of 9 trainings: unavailable" in ran.error
    assert "collapsed" in ran.out and "diverged" not in ran.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to do: --replay"),
        (["--replay"], "nothing was sent: repeat with --yes"),
        (["--replay", "--provider", "nobody"], "provider is 'nobody': choose one of claude"),
        (
            ["--replay", "--provider", "claude", "--model", "no-such", "--yes"],
            "the price of claude/no-such is not known",
        ),
    ],
)
def test_what_it_does_not_do_is_one_line(fake: FakeProvider, hlx: Hlx, arguments: list[str], said: str) -> None:
    ran = hlx("supervise", *arguments)
    assert ran.code == 1 and said in ran.error and not fake.asked


def test_what_is_sent_is_shown_until_a_person_agrees(
    fake: FakeProvider, hlx: Hlx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HLX_PROVIDER_HOSTS", "qwen=https://ollama.example")
    ran = hlx("supervise", "--replay")
    assert ran.code == 1 and "https://ollama.example" in ran.err and "never gets" in ran.err
    assert not has_agreed(ProviderFiles.of_home(), "qwen")
