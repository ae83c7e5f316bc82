"""`hlx supervise --replay`: what a language model would have advised on recorded trainings, beside the rules."""

import time
from collections.abc import Sequence
from typing import Annotated

from typer import Exit, Option

from hlx_model.cli.options import AsJson, option
from hlx_model.cli.show import confirm, echo, echo_json, print_table
from hlx_model.evaluation.milestones import due
from hlx_model.money import dollars
from hlx_model.monitoring.losses import simulate
from hlx_model.providers.agreed import agree, has_agreed, what_is_sent
from hlx_model.providers.catalogue import PROVIDERS, resolve
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.question import Choice, concerns_all, describe
from hlx_model.reporting.numbers import NOTHING
from hlx_model.supervision.briefing import Briefing
from hlx_model.supervision.opinions import Opinion
from hlx_model.supervision.replay import Replayed, moments, recorded_curves
from hlx_model.supervision.supervisor import opinion_on, question_on


def supervise_command(
    replay: Annotated[bool, Option("--replay", help="Ask about the recorded healthy and broken trainings.")] = False,
    provider: Annotated[str, Option(help=f"{', '.join(PROVIDERS)}.")] = "qwen",
    model: Annotated[str | None, option("Model of the provider.", "the first that the page offers")] = None,
    yes: Annotated[bool, Option("--yes", help="Agree to what is sent and to its cost, without a question.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare a supervisor with the watchdog's rules.

    On recorded healthy and broken trainings: what each says, and at which step. A supervisor is asked after each epoch
    after which gates are evaluated. A question without an answer is named with the reason, and counts as not answered.
    Replies are kept: a repeated replay costs nothing. Exit code 1: the provider was not reached, or no question may be
    sent (no key, no price, a cap).
    """
    if not replay:
        raise ValueError("nothing to do: --replay asks a supervisor about the recorded trainings")
    files, choice = ProviderFiles.of_home(), resolve(provider, model)
    asked = {name: moments(name, due) for name in recorded_curves()}
    _agree(files, choice, [briefing for briefings in asked.values() for briefing in briefings], yes=yes)
    from hlx_model.providers.client import ProviderClient

    client, found, problem = ProviderClient(files), list[Replayed](), None
    unanswered: set[str] = set()
    for name, briefings in asked.items():
        opinions: list[Opinion] = []
        for briefing in briefings:
            outcome = client.ask(question_on(briefing, choice, "gates"), keep=True)
            if concerns_all(outcome):
                problem = describe(outcome)
                break
            opinion = opinion_on(outcome, briefing, "gates", time.time())
            opinions.append(opinion)
            if opinion.verdict is None and outcome.question not in unanswered:  # trainings may share a question
                unanswered.add(outcome.question)
                kept = "kept reply: " if outcome.kept else ""
                echo(f"{name}, step {opinion.step}: {kept}{opinion.outcome}", err=True)
        if problem:
            break
        alarm = simulate(recorded_curves()[name])
        found.append(Replayed(name, alarm.step if alarm else None, opinions))
        echo(f"{name}: {_answered(opinions)} of {len(opinions)} answered", err=True)
    if unanswered:
        echo(f"{len(unanswered)} questions have no answer, and their replies are kept: to ask again, and pay again, "
             "remove all kept replies by `hlx clean --replies --yes`", err=True)  # fmt: skip
    if problem and not found:
        raise ValueError(f"{choice}: {problem}")
    if as_json:
        echo_json({"supervisor": str(choice), "curves": [_content(one) for one in found], "problem": problem})
    else:
        print_table([_row(one) for one in found])
        _summary(choice, found)
    if problem:
        echo(f"error: ended after {len(found)} of {len(asked)} trainings: {problem}", err=True)
        raise Exit(1)


def _agree(files: ProviderFiles, choice: Choice, briefings: Sequence[Briefing], *, yes: bool) -> None:
    """Let a person agree to the cost, and once to what is sent; `ValueError` if nobody does, or there is no price."""
    from hlx_model.providers.client import worst_of
    from hlx_model.providers.prices import price_of, unknown_price

    price = price_of(choice, files)
    if price is None:
        raise ValueError(unknown_price(choice))
    questions = {one.digest: one for one in (question_on(briefing, choice, "gates") for briefing in briefings)}
    worst = sum(worst_of(question, price) for question in questions.values())
    if not (agreed := has_agreed(files, choice.provider)):
        echo(what_is_sent(choice.provider), err=True)
    echo(f"{len(questions)} questions to {choice} cost at most {dollars(worst)}; kept answers cost nothing", err=True)
    if not yes:
        unasked = "nothing was sent: repeat with --yes to agree to what is sent and to its cost"
        confirm("Send?", unasked=unasked, refused="nothing was sent: nobody agreed")
    if not agreed:
        agree(files, choice.provider)


def _row(one: Replayed) -> dict[str, object]:
    steps = {"rules stop": one.rules, "supervisor stops": one.stop, "watches": one.watch, "lead": one.lead}
    return {
        "training": one.name,
        **{name: NOTHING if step is None else f"{step:,}" for name, step in steps.items()},
        "answered": f"{_answered(one.opinions)} of {len(one.opinions)}",
    }


def _summary(choice: Choice, found: Sequence[Replayed]) -> None:
    healthy, broken = [one for one in found if one.healthy], [one for one in found if not one.healthy]
    for who, stops in (("rules", [one.rules for one in found]), (str(choice), [one.stop for one in found])):
        stopped = {one.name for one, stop in zip(found, stops, strict=True) if stop is not None}
        alarms, right = (sum(one.name in stopped for one in part) for part in (healthy, broken))
        echo(f"{who}: {alarms} false alarms on {len(healthy)} healthy trainings, {right} of {len(broken)} broken found")
    cost = sum(opinion.cost_nanodollars for one in found for opinion in one.opinions)
    echo(f"figures are steps; lead is how many steps before the rules it advises to stop. Cost: {dollars(cost)}")


def _answered(opinions: Sequence[Opinion]) -> int:
    return sum(opinion.verdict is not None for opinion in opinions)


def _content(one: Replayed) -> dict[str, object]:
    return {
        "training": one.name, "rules_stop": one.rules, "supervisor_stop": one.stop, "supervisor_watch": one.watch,
        "lead": one.lead, "opinions": [opinion.to_json() for opinion in one.opinions],
    }  # fmt: skip
