"""The conclusion of a report: one or two sentences on what a model can do and what it cannot."""

import re
from typing import Any

import pytest

from hlx_model.evaluation.fitness import BY_HEART, LIMITS
from hlx_model.evaluation.gates import GATES
from hlx_model.reporting.conclusion import _WRITING, MIN_BY_HEART, MIN_USEFUL, conclusion
from hlx_model.reporting.numbers import format_share, format_whole_percent
from hlx_model.reporting.pages import report_markdown, report_page
from tests.support.curriculum import Curriculum
from tests.support.reports import changed, evaluation_of, gate, parsed, phase_1, phase_3, rates

LOSS = "its test loss is 1.25 nats per token (a uniform guess has 4.76)."
HEART: dict[str, Any] = {"fitness": {"profile": "quick", "by_heart": True, "limits": {}}}


def translating(held_out: int, of: int, trained: int, evaluated: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a report of phase 3 that failed no gate.

    Args:
        held_out: how many answers to test sentences are right.
        of: how many there are.
        trained: how many of 256 training pairs are right.
        evaluated: how many of 1,312 answers to sentences of an evaluation are right; 0 is no evaluation.
        fields: of the report.
    """
    report = phase_3()
    report["gates"].pop()
    report["figures"] |= {"all_to_hlx": rates(held_out, of), "training_pairs": rates(trained, 256)}
    return report | {"evaluation": evaluation_of(rates(evaluated, 1312)).to_json() if evaluated else None} | fields


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (
            translating(1, 8, 256, **HEART),
            "It knows its training pairs by heart (100%) and is right on 1 of 8 answers in HLX to sentences that it "
            "has not seen.",
        ),
        (
            translating(8, 8, 256, **HEART),
            "It knows its training pairs by heart (100%) and is right on 8 of 8 answers in HLX to sentences that it "
            "has not seen, too few to show that it generalizes.",
        ),
        (
            translating(1, 8, 128, **HEART),
            "It reproduces 50% of its training pairs and is right on 1 of 8 answers in HLX to sentences that it has "
            "not seen.",
        ),
        # Many values are in test, and it has learned its training pairs alone.
        (
            translating(13, 512, 254),
            "It knows its training pairs by heart (99%) and is right on 3% of 512 answers in HLX to sentences that it "
            "has not seen.",
        ),
        (
            translating(374, 512, 250, evaluated=880),
            "It is right on 67% of 1,312 answers in HLX to sentences that people wrote and that it has not seen, and "
            "on 73% of 512 test sentences.",
        ),
        (translating(374, 512, 250), "It is right on 73% of 512 answers in HLX to sentences that it has not seen."),
        (
            translating(490, 512, 250, evaluated=1246, outcome="pass"),
            "It is right on 95% of 1,312 answers in HLX to sentences that people wrote and that it has not seen, and "
            "on 96% of 512 test sentences: good enough to use.",
        ),
        # Phrasings of people are unknown to it, but it has not learned by heart.
        (
            translating(374, 512, 256, evaluated=300),
            "It is right on 23% of 1,312 answers in HLX to sentences that people wrote and that it has not seen, and "
            "on 73% of 512 test sentences.",
        ),
        (
            translating(0, 0, 256, **HEART),
            "It knows its training pairs by heart (100%). Nothing was held out: nothing shows what it does with other "
            "text.",
        ),
        (
            translating(374, 512, 250, evaluated=880, kind="FOREIGN"),
            "It is right on 67% of 1,312 answers in HLX to sentences that people wrote, and on 73% of 512 test "
            "sentences; the file does not say what it was trained on.",
        ),
        (
            translating(374, 512, 250, kind="FOREIGN"),
            "It is right on 73% of 512 answers in HLX to test sentences; the file does not say what it was trained on.",
        ),
    ],
)
def test_a_model_that_translates_is_concluded_from_unseen_sentences(report: dict[str, Any], said: str) -> None:
    assert conclusion(parsed(report)) == said


def writing(gates: list[dict[str, Any]], tokens: int = 4000, **fields: Any) -> dict[str, Any]:
    """Return a report of a phase that does not translate, with these gates and so many test tokens."""
    report = phase_1()
    report["figures"]["held_out_tokens"] = tokens
    return report | {"gates": gates} | fields


WORDS, LINES = gate("words", "pass", 0.984), gate("completions_parse", "pass", 0.94)


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (writing([WORDS]), f"It writes 98% known words when it continues sentences; {LOSS}"),
        (writing([LINES], phase=2), f"Of the lines that it completes, 94% parse in the worst format; {LOSS}"),
        (
            writing([WORDS], **HEART),
            "It writes 98% known words when it continues training sentences; its loss is 1.00 nats per token on "
            "training text and 1.25 on test text (a uniform guess has 4.76).",
        ),
        (
            writing([WORDS], tokens=0),
            "It writes 98% known words when it continues sentences; its loss on training text is 1.00 nats per token "
            "(a uniform guess has 4.76). Nothing was held out: nothing shows what it does with other text.",
        ),
        (
            writing([WORDS], kind="FOREIGN"),
            f"It writes 98% known words when it continues sentences; {LOSS[:-1]}; the file does not say what it was "
            "trained on.",
        ),
        (writing([LINES | {"value": None, "samples": 0}], phase=2), LOSS.capitalize()),
    ],
)
def test_a_model_that_does_not_translate_is_concluded_in_words(report: dict[str, Any], said: str) -> None:
    assert conclusion(parsed(report)).lower() == said.lower()
    assert conclusion(parsed(report))[0].isupper()


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        (["words"], "It failed the gate words. It writes"),
        (["words", "collapse"], "It failed the gates words, collapse. It writes"),
        (
            ["words", "perplexity", "lineage", "limits"],
            "It failed 4 gates, the first of them words, perplexity, lineage. It writes",
        ),
    ],
)
def test_what_failed_comes_first(failed: list[str], said: str) -> None:
    report = writing([gate(name, "fail", 0.5) for name in failed], outcome="fail")
    assert conclusion(parsed(report)).startswith(said)


def test_a_stop_comes_first_without_its_figures() -> None:
    stopped = "gate next_token_loss failed at epoch 1: validation loss 7.92 nats, required < 5.26"
    report = writing([gate("training_completed", "fail", 1), WORDS], epoch=1, stopped=stopped)
    assert conclusion(parsed(report)).startswith(
        "Its training was stopped at epoch 1 of 5: gate next_token_loss failed at epoch 1. It writes 98% known words"
    )


def test_a_warning_is_never_good_enough_to_use() -> None:
    good = translating(490, 512, 250, evaluated=1246)
    for outcome in ("warn", "fail"):
        assert "good enough" not in conclusion(parsed(good | {"outcome": outcome}))
    assert "good enough" not in conclusion(parsed(translating(490, 512, 250, evaluated=1049, outcome="pass")))
    assert "good enough" in conclusion(parsed(translating(490, 512, 250, evaluated=1050, outcome="pass")))


def test_its_limits_are_those_of_the_gates() -> None:
    assert LIMITS["production"]["evaluation"].required == MIN_USEFUL
    assert BY_HEART["training_pairs"].required == MIN_BY_HEART
    assert GATES.keys() >= _WRITING.keys()


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_it_stands_first_on_the_page_and_in_the_markdown(curriculum: Curriculum, phase: int) -> None:
    report = curriculum.phases[phase].evaluation.report
    said = conclusion(report)
    assert 1 <= len(re.findall(r"\.(?: |$)", said)) <= 2
    # Nothing but the title is above it.
    assert re.search(rf"</h1>\n<p class=\"conclusion\">{re.escape(said)}</p>", report_page(report))
    assert report_markdown(report).split("\n")[2] == f"**{said}**"


def test_a_loss_that_diverged_is_short() -> None:
    report = phase_1()
    report["figures"]["held_out_loss"] = 1.25e300
    assert "its test loss is 1.25e+300 nats per token" in conclusion(parsed(report))


@pytest.mark.parametrize("name", ["nan", "inf", "-inf"])
def test_figures_that_are_not_finite_are_named(name: str) -> None:
    for report in (phase_1(), translating(374, 512, 250, evaluated=880)):
        broken = changed(report, lambda value: name if isinstance(value, float) else value)
        assert name.replace("-", "") in conclusion(parsed(broken))


@pytest.mark.parametrize(
    ("rate", "samples", "shown"),
    [
        (0.125, 8, "1 of 8"), (0.0, 39, "0 of 39"), (0.5, 40, "50% of 40"), (0.6707, 1312, "67% of 1,312"),
        (0.998, 512, "99% of 512"), (0.002, 512, "1% of 512"), (1.0, 512, "100% of 512"), (0.0, 512, "0% of 512"),
        (float("nan"), 8, "nan of 8"),
    ],
)  # fmt: skip
def test_a_share_of_few_is_a_count_and_only_all_is_100_percent(rate: float, samples: int, shown: str) -> None:
    assert format_share(rate, samples) == shown


def test_a_rate_that_was_not_measured_is_a_dash() -> None:
    assert format_whole_percent(None) == "–"
