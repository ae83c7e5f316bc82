"""Ask a supervisor for its opinion on a training. Whatever happens is an opinion for the record, with what it cost.

opinion = ask_opinion(client, choice, briefing, trigger="gates", session=run_id)
record_opinion(training, opinion)
"""

import time
from collections.abc import Mapping
from typing import Any

from hlx_model.providers.question import Answer, Choice, Client, Outcome, Question, describe
from hlx_model.shown import one_line
from hlx_model.supervision.briefing import SCHEMA, SYSTEM, Briefing
from hlx_model.supervision.opinions import Evidence, Opinion, Trigger
from hlx_model.supervision.schedule import WORST_TOKENS

ANSWERED = "answered"
"""The outcome of an opinion that has a verdict (`question.describe`)."""
_LONGEST, _MOST = 400, 8
"""Characters of a text and lines of a list that are kept of an answer."""


def question_on(briefing: Briefing, choice: Choice, trigger: Trigger, session: str | None = None) -> Question:
    """Return the question on a training.

    Args:
        briefing: the training now.
        choice: the supervisor.
        trigger: why it is asked.
        session: who pays.
    """
    return Question("supervision", choice, SYSTEM, briefing.user_prompt(trigger), SCHEMA, WORST_TOKENS[1], session)


def ask_opinion(
    client: Client, choice: Choice, briefing: Briefing, *, trigger: Trigger, session: str | None = None,
    keep: bool = False,
) -> Opinion:  # fmt: skip
    """Ask for an opinion, and return it for the record, as `opinion_on`.

    Args:
        client: who asks.
        choice: the supervisor.
        briefing: the training now.
        trigger: why it is asked.
        session: the training session that pays.
        keep: answer the same question from what is kept.
    """
    asked = time.time()
    outcome = client.ask(question_on(briefing, choice, trigger, session), keep=keep)
    return opinion_on(outcome, briefing, trigger, asked)


def opinion_on(outcome: Outcome, briefing: Briefing, trigger: Trigger, asked: float) -> Opinion:
    """Return what came of a question on a training, for the record.

    An answer that cites a step that it was not shown is `malformed` and has no verdict.

    Args:
        outcome: of the question.
        briefing: what it showed.
        trigger: why it was asked.
        asked: when, in Unix seconds.
    """
    choice = outcome.choice
    epoch = briefing.gates[-1].epoch if trigger == "gates" and briefing.gates else briefing.epoch
    opinion = Opinion(
        time=asked, trigger=trigger, step=briefing.step, epoch=epoch, provider=choice.provider, model=choice.model,
        outcome=one_line(describe(outcome)), cost_nanodollars=outcome.cost, question=outcome.question,
    )  # fmt: skip
    if not isinstance(outcome, Answer):
        return opinion
    cited = [one["step"] for one in outcome.content["evidence"]]
    if unknown := sorted({*cited} - briefing.shown_steps):
        steps = ", ".join(map(str, unknown[:3]))
        return opinion.replace(outcome=f"malformed: it cites steps that it was not shown ({steps})")
    return opinion.replace(**_read(outcome.content))


def _read(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an opinion in an answer, each of bounded length and as one line."""
    evidence = [Evidence(step=one["step"], figure=_line(one["figure"])) for one in content["evidence"][:_MOST]]
    return {
        "verdict": content["verdict"], "confidence": content["confidence"], "evidence": tuple(evidence),
        "signs": tuple(map(_line, content["signs"][:_MOST])), "advice": _line(content["advice"]),
        "note": _line(content["note"]),
    }  # fmt: skip


def _line(text: str) -> str:
    return one_line(text, _LONGEST)
