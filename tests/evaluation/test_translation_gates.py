"""What the gates on translations pass and what they fail, on models whose every answer is known."""

from collections.abc import Callable

import pytest

from hlx_model.corpus import ENGLISH
from hlx_model.evaluation import writing
from hlx_model.evaluation.fitness import Requirements
from hlx_model.evaluation.gates import diversity, standard_prompts, translation
from hlx_model.evaluation.translation import PairRow, sentences_by_value, translate
from hlx_model.evaluation.writing import STANDARD_PROMPTS
from hlx_model.language import Format
from hlx_model.reporting.models import Translation
from hlx_model.verdicts import Outcome
from tests.support.answers import COUNT, SEARCH, broken
from tests.support.models import Writer

QUICK, BY_HEART = (Requirements("quick").fitness(by_heart=by_heart) for by_heart in (False, True))


def pairs() -> list[PairRow]:
    """Return two test values in both directions and every format."""
    return [
        PairRow(target, source, f"[{target}] {text} → ", answer, sentence)
        for sentence, lines in (("Search for documents", SEARCH), ("Count all users", COUNT))
        for format, line in lines.items()
        for target, source, text, answer in ((format, ENGLISH, sentence, line), (ENGLISH, format, line, sentence))
    ]


def translated(answer: Callable[[str], str]) -> dict[str, Outcome]:
    """Return the outcomes of phase 3's gates if the model answers each prompt in this way."""
    rows = pairs()
    answers = translate(Writer(answer), rows, sentences_by_value(rows))
    gates = [
        translation.parse_rate(answers, QUICK),
        translation.exact_match_to_hlx(answers, QUICK),
        translation.exact_match_to_english(answers, QUICK),
        translation.training_pairs(answers, QUICK),
        *broken(writing.answered_outputs(answers)).values(),
    ]
    return {gate.name: gate.outcome for gate in gates}


RIGHT: dict[str, str] = {row.prompt: row.answer for row in pairs()}


def off_by_one(prompt: str) -> str:
    """Return the answer to the same prompt about the other value."""
    prompts = list(RIGHT)
    return RIGHT[prompts[(prompts.index(prompt) + len(prompts) // 2) % len(prompts)]]


@pytest.mark.parametrize(
    ("answer", "failing"),
    [
        (RIGHT.__getitem__, set()),
        (off_by_one, {"exact_match_to_hlx", "exact_match_to_english", "training_pairs"}),
        (lambda prompt: "", {"parse_rate", "exact_match_to_hlx", "exact_match_to_english", "training_pairs"}),
        (
            lambda prompt: prompt[prompt.index(" ") + 1 : -3] + "...",
            {"parse_rate", "exact_match_to_hlx", "exact_match_to_english", "training_pairs", "parroting"},
        ),
        (
            lambda prompt: ":" * 13 + "p" * 12,
            {"parse_rate", "exact_match_to_hlx", "exact_match_to_english", "training_pairs", "collapse"},
        ),
        (
            lambda prompt: '000:{@rorm"s"🜁1 &doch1 &h_documpnts2',
            {"parse_rate", "exact_match_to_hlx", "exact_match_to_english", "training_pairs", "scrambled"},
        ),
        (lambda prompt: "zz" if prompt.startswith("[LC-B]") else RIGHT[prompt], {"parse_rate"}),
        (lambda prompt: "5" if prompt.startswith("[English]") else RIGHT[prompt], {"exact_match_to_english"}),
    ],
)
def test_translation_fails_by_the_gate_that_sees_the_fault(answer: Callable[[str], str], failing: set[str]) -> None:
    assert {name for name, outcome in translated(answer).items() if outcome == "fail"} == failing


@pytest.mark.parametrize(("right_of_20", "outcome"), [(0, "fail"), (4, "fail"), (9, "pass"), (20, "pass")])
@pytest.mark.parametrize("format", Format)
def test_a_format_that_was_not_learned_fails_whatever_the_others_are(
    format: Format, right_of_20: int, outcome: Outcome
) -> None:
    known = translate(Writer(RIGHT.__getitem__), pairs(), sentences_by_value(pairs()))
    for check, into_hlx in ((translation.exact_match_to_hlx, True), (translation.exact_match_to_english, False)):
        left, answers = right_of_20, list[Translation]()
        for answer in [answer for _ in range(10) for answer in known if (answer.source == ENGLISH) == into_hlx]:
            if format in (answer.source, answer.target):
                answer, left = answer.model_copy(update={"exact": left > 0}), left - 1
            answers.append(answer)
        gate = check(answers, QUICK)
        assert gate.outcome == outcome
        assert (f"notation {format} " in gate.reason) == (outcome == "fail")


def test_a_text_that_formats_write_alike_says_nothing_of_a_format() -> None:
    """A model that writes LC-T wherever LC-R is wanted is right in texts and numbers."""
    alike = PairRow("LC-R", ENGLISH, "[LC-R] Text hello → ", '"hello"', "hello")
    rows = [row for row in pairs() if row.source == ENGLISH] * 10 + [alike] * 200
    model = Writer(lambda prompt: RIGHT[prompt.replace("LC-R", "LC-T")] if prompt in RIGHT else '"hello"')
    answers = translate(model, rows, {})
    gate = translation.exact_match_to_hlx(answers, QUICK)
    assert gate.outcome == "fail" and gate.value is not None and gate.value > 0.9
    assert gate.threshold is None  # that of the rate was kept
    assert "; of lines of its own notation LC-R 0% (required ≥ 50% of HLXL, 100%)" in gate.reason
    parsed = translation.parse_rate(answers, QUICK)
    assert parsed.outcome == "fail" and "LC-R 0%" in parsed.reason and "LC-B 100%" in parsed.reason


def test_by_heart_exact_match_on_what_is_held_out_is_stated_and_not_required() -> None:
    answers = translate(Writer(lambda prompt: ""), pairs(), {})
    for check in (translation.exact_match_to_hlx, translation.exact_match_to_english):
        gate = check(answers, BY_HEART)
        assert (gate.outcome, gate.value, gate.threshold) == ("warn", 0.0, None)
        assert gate.reason.startswith("learned by heart, not shown to generalize (fewer than 36 values are in test); ")
    assert translation.training_pairs(answers, BY_HEART).outcome == "fail"


def right_line(prompt: str) -> str:
    return SEARCH[prompt[1 : prompt.index("]")]]


VALUES = {"Search for documents": (SEARCH["HLXL"],), "Count the items": (COUNT["HLXL"], SEARCH["HLXL"])}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (right_line, "pass"),
        (lambda prompt: right_line(prompt) if ":" in prompt else "5", "pass"),  # 12 of 20: but sentences have values
        (lambda prompt: "", "fail"),
        (lambda prompt: prompt[prompt.index(" ") + 1 : -3] + "...", "fail"),
        (lambda prompt: "::::pppp" * 4, "fail"),
        (lambda prompt: '000:{@rorm"s"🜁1 &doch1 &h_documpnts2', "fail"),
    ],
)
def test_the_standard_prompts_must_be_answered_in_every_format(answer: Callable[[str], str], outcome: Outcome) -> None:
    answers = writing.standard_answers(Writer(answer), {})
    gate = standard_prompts.standard_prompts(answers, QUICK)
    # Without known values, three prompts must be answered with a line that parses.
    assert gate.outcome == outcome and gate.samples == 12
    assert {(a.target, a.prompt) for a in answers} == {(format, text) for format in Format for text in STANDARD_PROMPTS}


def test_the_value_of_a_sentence_is_required_if_it_is_known() -> None:
    right = standard_prompts.standard_prompts(writing.standard_answers(Writer(right_line), VALUES), QUICK)
    assert (right.outcome, right.value, right.samples) == ("pass", 1.0, 20)
    answers = writing.standard_answers(Writer(lambda prompt: "5"), VALUES)
    assert {a.same_value for a in answers if a.prompt in VALUES} == {False}
    assert {a.same_value for a in answers if a.prompt not in VALUES} == {None}
    wrong = standard_prompts.standard_prompts(answers, QUICK)
    assert wrong.samples == 20 and wrong.outcome != "pass"
    by_heart = standard_prompts.standard_prompts(answers, BY_HEART)
    assert (by_heart.outcome, by_heart.samples) == ("fail", 8)
    unknown = standard_prompts.standard_prompts(writing.standard_answers(Writer(lambda prompt: ""), {}), BY_HEART)
    assert unknown.outcome == "warn" and unknown.reason.startswith("no standard prompt is in training; ")


def test_translations_must_differ_at_each_of_three_temperatures() -> None:
    asked = [answer for answer in translate(Writer(RIGHT.__getitem__), pairs(), {}) if answer.source == ENGLISH]
    right = writing.sampled_answers(Writer(RIGHT.__getitem__), asked)
    assert list(right) == [0.5, 1.0, 1.5]
    assert diversity.diversity(right, len(asked)).outcome == "pass"
    one = {**right, 1.5: writing.sampled_answers(Writer(lambda prompt: "5"), asked)[1.5]}
    gate = diversity.diversity(one, len(asked))
    assert gate.outcome == "fail" and "1 distinct texts among 8 at temperature 1.5" in gate.reason
