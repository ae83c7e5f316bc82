"""`hlx costs` and `hlx clean --replies`."""

import json
from pathlib import Path

import pytest

from hlx_model.money import NANO
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import Ledger
from hlx_model.providers.question import Answer, Usage
from hlx_model.providers.replies import Replies
from tests.support.command import Hlx
from tests.support.providers import a_question


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProviderFiles:
    """The files of a new home, which is $DAGSTER_HOME."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return ProviderFiles.of_home()


def test_costs_of_a_new_home_are_its_caps_and_nothing_is_written(hlx: Hlx, files: ProviderFiles) -> None:
    ran = hlx("costs")
    assert ran.code == 0 and ["a", "session", "$5.00"] in [line.split() for line in ran.out.splitlines()]
    assert "$20.00" in ran.out and not files.root.exists()


def test_costs_are_shown_by_provider_purpose_session_and_day(hlx: Hlx, files: ProviderFiles) -> None:
    ledger = Ledger(files)
    ledger.settle(ledger.reserve(a_question("claude"), NANO // 10), NANO // 20)
    ledger.settle(ledger.reserve(a_question("openai", session="run-2", purpose="judging"), NANO // 10), NANO // 5)
    held = ledger.reserve(a_question("claude"), NANO // 100)
    ran = hlx("costs")
    lines = [line.split() for line in ran.out.splitlines()]
    assert ["all", "days", "$20.00", "$0.26"] in lines
    for words in (["provider", "claude", "$0.06"], ["purpose", "judging", "$0.20"], ["session", "run-2", "$0.20"]):
        assert words in lines
    assert held in ran.out and "running" in ran.out
    assert (
        "closed: openai: gpt-4o cost $0.20, more than the $0.10 reserved for it; `hlx costs reopen openai`" in ran.out
    )
    shown = json.loads(hlx("costs", "--json").out)
    assert shown["all"] == 26 * NANO // 100 and shown["open"][0]["id"] == held and shown["replies"]["count"] == 0


def test_a_cap_is_set_and_shown_and_a_wrong_one_is_one_line(hlx: Hlx, files: ProviderFiles) -> None:
    ran = hlx("costs", "cap", "day", "7.50")
    assert ran.code == 0 and "cap of a day (UTC): $7.50, before $5.00" in ran.out
    assert Ledger(files).caps()["day"] == 7_500_000_000
    for words in (("week", "1"), ("day", "much"), ("day", "-1"), ("day", "nan")):
        ran = hlx("costs", "cap", *words)
        assert ran.code == 1 and ran.error.count("\n") == 0
    assert "give an amount from 0 to 100000" in hlx("costs", "cap", "day", "-1").error
    assert Ledger(files).caps()["day"] == 7_500_000_000


def test_a_closed_provider_is_opened_again_and_a_running_call_is_not_released(hlx: Hlx, files: ProviderFiles) -> None:
    ledger = Ledger(files)
    ledger.settle(ledger.reserve(a_question("xai"), 1), 2)
    assert hlx("costs", "reopen", "Grok").out == "open again: xai\n"
    assert "xai is not closed" in hlx("costs", "reopen", "xai").error
    held = ledger.reserve(a_question(), 5)
    assert "which is running" in hlx("costs", "release", held).error
    assert "no reservation" in hlx("costs", "release", "nothing").error


def test_kept_answers_are_counted_shown_and_removed(hlx: Hlx, files: ProviderFiles) -> None:
    assert "no answers" in hlx("clean", "--replies").out
    for user in ("a", "b", "c"):
        question = a_question(user=user)
        answer = Answer(
            question=question.digest, choice=question.choice, usage=Usage(1, 2), content={"verdict": "stop", "step": 1}
        )
        Replies(files).put(question, answer)
    (files.replies / "own.json").write_text("{}")
    shown = hlx("clean", "--replies")
    assert "kept answers of providers: 3" in shown.out and "nothing was removed" in shown.out
    assert "kept answers: 3" in hlx("costs").out
    removed = json.loads(hlx("clean", "--replies", "--yes", "--json").out)
    assert removed["removed"] == 3 and [path.name for path in files.replies.iterdir()] == ["own.json"]
    assert "omit --checkpoint-dir" in hlx("clean", "--replies", "--checkpoint-dir", "x").error
