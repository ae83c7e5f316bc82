"""What each gate passes and what it fails, with models that are known to the last symbol."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hlx_model.evaluation.detectors import diagnose
from hlx_model.evaluation.gates import final as g
from hlx_model.evaluation.gates import registry
from hlx_model.evaluation.losses import Baselines, Prediction
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.evaluation.translation import sentences_by_value, translate
from hlx_model.language import Format
from hlx_model.verdicts import GateResult, Outcome
from tests.evaluation.models import Writer

T = Thresholds()
SEARCH = {
    "HLXL": '{1000: {@0: "search", @1: &h_documents}}',
    "LC-R": '🜊1000🜁0 "search"🜁1 ⟁documents🜂',
    "LC-T": '{C:1000,0="search",1=@documents}',
    "LC-B": '[1000|0:"search"|1:&documents]',
}


def by_name(gates: list[GateResult]) -> dict[str, GateResult]:
    return {gate.name: gate for gate in gates}


def test_the_gates_of_every_phase_are_described() -> None:
    assert {name for names in registry.GATES_OF_PHASE.values() for name in names} == set(registry.GATES)
    for names in registry.GATES_OF_PHASE.values():
        assert len(set(names)) == len(names)
        assert {"training_completed", "copy_rate", "reported_loss"} <= set(names)


def test_the_standard_prompts_are_the_failure_reports_five_and_the_guides_three() -> None:
    assert g.STANDARD_PROMPTS == (
        "Search for documents", "Filter active users", "HLX: search documents",
        "HLXL: SEARCH documents WHERE status = active", 'LC-R: 🜊1000🜁0 "search"🜁1',
        "Map each item to its name", "Sort users by age descending", "Count the items",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "stopped", "outcome"),
    [("FINAL", None, "pass"), ("EPOCH", None, "warn"), ("BEST", None, "warn"), ("STOPPED", "loss is nan", "fail")],
)
def test_only_a_training_that_came_to_its_end_is_complete(kind: str, stopped: str | None, outcome: Outcome) -> None:
    gate = g.training_completed(kind, 10, 200, stopped)
    assert gate.outcome == outcome
    assert stopped is None or stopped in gate.reason


LEARNED = Prediction(0.24, 0.0, 900)
"""Of training text."""


@pytest.mark.parametrize(
    ("loss", "train_tokens", "outcome"),
    [
        (1.93, 500_000, "pass"),
        (1.95, 500_000, "fail"),  # not 0.4 below the bigram baseline of 2.34
        (2.10, 500_000, "fail"),  # a model without attention
        (3.15, 500_000, "fail"),  # characters shuffled within each sentence
        (3.3, 4_000, "warn"),  # the 164 sentences of the real corpus: too few to ask it
        (1.9, 4_000, "pass"),
        (math.nan, 500_000, "fail"),
        (math.inf, 500_000, "fail"),
    ],
)
def test_a_held_out_loss_must_be_below_what_counting_reaches(loss: float, train_tokens: int, outcome: Outcome) -> None:
    gate = g.perplexity(Prediction(loss, 0.0, 900), LEARNED, Baselines(3.18, 2.34, train_tokens), T)
    assert gate.outcome == outcome
    assert gate.threshold == pytest.approx(1.94) and "bigram 2.340" in gate.reason


@pytest.mark.parametrize("loss", [5.0, 2e8, math.nan])
def test_a_small_corpus_excuses_no_model_that_has_not_even_learned_it(loss: float) -> None:
    unlearned = Prediction(loss, 0.0, 900)
    assert g.perplexity(unlearned, unlearned, Baselines(3.18, 2.34, 4_000), T).outcome == "fail"


@pytest.mark.parametrize(
    ("phase", "steps", "tokens", "short"),
    [(1, 300, 300_000, False), (1, 299, 9_000_000, True), (2, 9_000, 299_999, True), (3, 9_000, 400_000, True)],
)
def test_a_training_is_short_by_its_steps_or_by_its_tokens(phase: int, steps: int, tokens: int, short: bool) -> None:
    reason = g.short_training_reason(phase, steps, tokens, T)
    assert (reason is not None) == short
    assert reason is None or reason.startswith(f"{steps} steps and {tokens} tokens are too few")


@pytest.mark.parametrize(("loss", "excused"), [(1.93, False), (1.95, True), (math.nan, True)])
def test_a_model_that_has_not_learned_its_own_training_text_is_not_asked_to_write(loss: float, excused: bool) -> None:
    reason = g.unlearned_reason(Prediction(loss, 0.0, 900), Baselines(3.18, 2.34, 4_000), T)
    assert (reason is not None) == excused


def test_what_is_excused_warns_and_says_why_and_the_rest_is_as_it_was() -> None:
    names = ("copy_rate", "words", "collapse", "not_forgotten")
    failed = [GateResult(name, "fail", "its figure") for name in names]
    passed = GateResult("scrambled", "pass", "its figure")
    found = g.downgrade_to_warning([*failed, passed], registry.WRITING, "too short")
    assert [gate.outcome for gate in found] == ["fail", "warn", "warn", "fail", "pass"]
    assert found[1].reason == "its figure; too short" and found[-1] is passed
    assert g.downgrade_to_warning(failed, registry.WRITING, None) == failed


@pytest.mark.parametrize(("hits", "outcome"), [(49, "fail"), (50, "warn"), (89, "warn"), (90, "pass"), (100, "pass")])
def test_a_rate_fails_below_what_is_asked_and_warns_below_what_is_good(hits: int, outcome: Outcome) -> None:
    gate = g.rate_gate("parse_rate", "answers that parse", hits, 100, 0.5, 0.9)
    assert (gate.outcome, gate.value, gate.samples) == (outcome, hits / 100, 100)
    assert gate.interval is not None and gate.interval[0] < hits / 100 <= gate.interval[1] + 1e-12
    assert f"{hits}.0% ({hits} of 100); at least 50% is asked, 90% is good" in gate.reason


def test_a_rate_of_nothing_fails() -> None:
    assert g.rate_gate("parse_rate", "answers that parse", 0, 0, 0.5, 0.9).outcome == "fail"


@pytest.mark.parametrize("hits", [0, 100])
def test_with_too_little_held_out_a_rate_warns_and_says_so(hits: int) -> None:
    gate = g.rate_gate("parse_rate", "answers", hits, 100, 0.5, 0.9, lenient=g.few_held_out_reason(3))
    assert gate.outcome == "warn" and "only 3 held-out values" in gate.reason


RUN, SCRAMBLED = ":" * 30, 'h"o{@rorm"s"🜁1 &d{och1&h_1p{nts2'


@pytest.mark.parametrize(
    ("name", "texts", "outcome"),
    [
        ("collapse", [RUN], "pass"),  # one odd text in twenty is no sign
        ("collapse", [RUN, RUN], "fail"),
        ("parroting", ["Count the items"] * 2, "fail"),
        ("scrambled", [SCRAMBLED], "pass"),
        ("scrambled", [SCRAMBLED] * 10, "warn"),  # half may be those of a model that has only begun
        ("scrambled", [SCRAMBLED] * 11, "fail"),
    ],
)
def test_a_share_of_broken_texts_fails_and_shows_one(name: str, texts: list[str], outcome: Outcome) -> None:
    findings = [diagnose("Count the items", text) for text in texts]
    gates = by_name(g.broken_texts("answers", texts, findings, 20, T))
    assert gates.keys() == registry.DETECTED.keys()
    assert gates[name].outcome == outcome and f"for example {texts[0]!r}" in gates[name].reason
    assert {gate.outcome for other, gate in gates.items() if other != name} == {"pass"}


def test_what_was_trained_from_a_closed_gate_warns_for_good() -> None:
    assert g.lineage(()).outcome == "pass"
    gate = g.lineage(["0123456789abcdef/phase1_STOPPED_epoch1"])
    assert gate.outcome == "warn" and "0123456789abcdef/phase1_STOPPED_epoch1" in gate.reason


def endlessly(texts: list[str]) -> Callable[[str], str]:
    turn: Iterator[str] = itertools.cycle(texts)
    return lambda prompt: next(turn)


@pytest.mark.parametrize(
    ("different", "corpus_texts", "outcome"),
    [(64, 5000, "pass"), (33, 5000, "pass"), (20, 5000, "fail"), (1, 5000, "fail"), (20, 36, "pass"), (5, 36, "fail")],
)
def test_sampled_texts_must_differ_about_as_those_of_the_corpus_do(
    different: int, corpus_texts: int, outcome: Outcome
) -> None:
    gate = g.diversity(Writer(endlessly([f"text {i}" for i in range(different)])), corpus_texts)
    assert (gate.name, gate.outcome) == ("diversity", outcome)


HELD_OUT = ["Search for documents", "Sort the users by age", "Count the items"]
WORDS = {"Search", "for", "documents", "Sort", "the", "users", "by", "age", "Count", "items", "Filter", "active"}


def free(answer: Callable[[str], str]) -> dict[str, GateResult]:
    return by_name(g.free_running(Writer(answer), HELD_OUT, WORDS, T)[0])


def test_free_running_text_of_the_corpus_words_passes() -> None:
    gates = free(lambda prompt: " the users by age")
    assert {name: gate.outcome for name, gate in gates.items()} == {
        "words": "pass", "collapse": "pass", "scrambled": "pass", "parroting": "pass",
    }  # fmt: skip
    assert gates["words"].samples == 4 * gates["collapse"].samples


def test_phase_1_shows_what_was_written_beside_what_the_corpus_has() -> None:
    examples = g.free_running(Writer(lambda prompt: " the qomt"), HELD_OUT, WORDS, T)[1]
    assert examples[0] == {
        "prompt": "Search for documents", "expected": None, "written": " the qomt", "words": 2, "known": 1,
    }  # fmt: skip
    assert examples[-1] == {
        "prompt": "Count", "expected": " the items", "written": " the qomt", "words": 2, "known": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "failing"),
    [
        (lambda prompt: " zex trit qomt", "words"),
        (lambda prompt: "qomt", "words"),  # it finishes each prompt's last word, to none that there is
        (lambda prompt: "", "words"),  # it writes none at all
        (lambda prompt: ":" * 30, "collapse"),
        (lambda prompt: "::::pppp" * 3, "collapse"),
        (lambda prompt: f"{prompt}...", "parroting"),
    ],
)
def test_free_running_text_of_other_words_or_of_a_run_or_of_its_prompt_fails(
    answer: Callable[[str], str], failing: str
) -> None:
    assert free(answer)[failing].outcome == "fail"


def lines_of(*formats: str) -> list[dict[str, Any]]:
    return [{"format": format, "text": SEARCH[format]} for format in formats]


def completing(text: str) -> str:
    """The rest of whichever line begins with `text`."""
    (line,) = {line for line in SEARCH.values() if line.startswith(text)}
    return line[len(text) :]


def test_completions_of_held_out_lines_must_parse_in_every_format() -> None:
    gates, examples = g.completions(Writer(completing), lines_of(*SEARCH), None, T)
    assert [(gate.name, gate.outcome) for gate in gates] == [
        (name, "pass") for name in ("completions_parse", *registry.DETECTED)
    ]
    assert all(example["parses"] for example in examples) and len(examples) == 4


def test_one_format_that_was_never_learned_fails_however_good_the_others_are() -> None:
    model = Writer(lambda prompt: "zzz" if "🜊" in prompt else completing(prompt))
    gates = by_name(g.completions(model, lines_of(*SEARCH), None, T)[0])
    assert gates["completions_parse"].outcome == "fail"
    assert "LC-R 0%" in gates["completions_parse"].reason and "worst LC-R" in gates["completions_parse"].reason


def test_a_correct_line_that_looks_like_a_run_is_no_collapse() -> None:
    row = {"format": "HLXL", "text": "[" + ", ".join("1" * 12) + "]"}
    writer = Writer(lambda prompt: row["text"][len(prompt) :])
    assert by_name(g.completions(writer, [row], None, T)[0])["collapse"].outcome == "pass"
    assert by_name(g.completions(Writer(lambda prompt: ":" * 20), [row], None, T)[0])["collapse"].outcome == "fail"


def test_nothing_held_out_warns() -> None:
    assert g.completions(Writer(str), [], None, T)[0][0].outcome == "warn"


COUNT = {
    "HLXL": '{1000: {@0: "count", @1: &h_users}}',
    "LC-R": '🜊1000🜁0 "count"🜁1 ⟁users🜂',
    "LC-T": '{C:1000,0="count",1=@users}',
    "LC-B": '[1000|0:"count"|1:&users]',
}


def pairs() -> list[dict[str, Any]]:
    """Two held-out values in both directions and every format."""
    rows = []
    for sentence, lines in (("Search for documents", SEARCH), ("Count all users", COUNT)):
        for format, line in lines.items():
            given = (format, "English", sentence, line), ("English", format, line, sentence)
            rows += [
                {"target": t, "source": s, "prompt": f"[{t}] {text} → ", "answer": answer, "value_sha256": sentence}
                for t, s, text, answer in given
            ]
    return rows


def translated(answer: Callable[[str], str], lenient: str | None = None) -> dict[str, Outcome]:
    """The outcomes of phase 3's gates where the model answers each prompt so."""
    rows = pairs()
    answers = translate(Writer(answer), rows, sentences_by_value(rows))
    return {gate.name: gate.outcome for gate in g.translation(answers, answers, lenient, T)}


RIGHT: dict[str, str] = {row["prompt"]: row["answer"] for row in pairs()}
ALL_PASS = dict.fromkeys(
    ("parse_rate", "exact_match_to_hlx", "exact_match_to_english", "training_pairs", *registry.DETECTED), "pass"
)


def off_by_one(prompt: str) -> str:
    """The answer to the same question about the other value."""
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
    found = translated(answer)
    assert found.keys() == ALL_PASS.keys()
    failed = {name for name, outcome in found.items() if outcome == "fail"}
    assert failed == failing


def test_a_corpus_with_few_held_out_values_still_shows_parroting_and_what_was_trained_on() -> None:
    found = translated(lambda prompt: prompt[prompt.index(" ") + 1 : -3], g.few_held_out_reason(1))
    assert {name for name, outcome in found.items() if outcome == "fail"} == {"training_pairs", "parroting"}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (lambda prompt: SEARCH[prompt[1 : prompt.index("]")]], "pass"),
        (lambda prompt: "", "fail"),
        (lambda prompt: prompt[prompt.index(" ") + 1 : -3] + "...", "fail"),
        (lambda prompt: "::::pppp" * 4, "fail"),
        (lambda prompt: '000:{@rorm"s"🜁1 &doch1 &h_documpnts2', "fail"),
    ],
)
def test_the_standard_prompts_are_asked_in_every_format_and_must_be_answered(
    answer: Callable[[str], str], outcome: Outcome
) -> None:
    gate, answers = g.standard_prompts(Writer(answer), None, T)
    assert gate.outcome == outcome and gate.samples == 32
    assert {(a["target"], a["prompt"]) for a in answers} == {
        (str(format), text) for format in Format for text in g.STANDARD_PROMPTS
    }


@pytest.mark.parametrize(
    ("now", "replay", "outcome"),
    [(0.77, 0.04, "pass"), (1.31, 0.04, "pass"), (2.07, 0.04, "fail"), (2.07, 0.0, "warn")],
)
def test_english_that_is_forgotten_fails_where_it_was_replayed(now: float, replay: float, outcome: Outcome) -> None:
    losses = {"english_corpus": (now, 1.02), "hlx_corpus": (0.4, 0.5)}
    gate = g.not_forgotten(losses, replay, T)
    assert gate.outcome == outcome
    assert "english_corpus 1.02 then" in gate.reason
    assert outcome != "warn" or "nothing is replayed" in gate.reason
    few = g.not_forgotten(losses, replay, T, lenient=g.few_held_out_reason(8))
    assert few.outcome == ("warn" if outcome == "fail" else outcome)


def test_a_pick_is_seeded_and_keeps_the_order() -> None:
    rows = list(range(100))
    assert g.pick(rows, 10, seed=1) == g.pick(rows, 10, seed=1) == sorted(g.pick(rows, 10, seed=1))
    assert g.pick(rows, 10, seed=1) != g.pick(rows, 10, seed=2)
    assert g.pick(rows, 100, seed=1) == rows
