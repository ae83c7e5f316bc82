"""What each gate of a report passes and what it fails, on models that are known to the last symbol."""

import itertools
import math
from collections.abc import Callable, Iterator

import pytest

from hlx_model.evaluation import writing
from hlx_model.evaluation.detectors import Outputs, diagnose
from hlx_model.evaluation.fitness import Requirements
from hlx_model.evaluation.gates import (
    diversity,
    limits,
    training_record,
    words,
)
from hlx_model.evaluation.gates.completions_parse import completions_parse
from hlx_model.evaluation.gates.not_forgotten import not_forgotten
from hlx_model.evaluation.gates.perplexity import perplexity, perplexity_by_heart
from hlx_model.evaluation.gates.reported_loss import reported_loss
from hlx_model.evaluation.measurements import pick
from hlx_model.evaluation.prediction import Baselines, Prediction
from hlx_model.evaluation.rate_gate import rate_gate
from hlx_model.evaluation.writing import HlxRow
from hlx_model.reporting.models import RetentionMetrics
from hlx_model.verdicts import GateResult, Limit, Outcome
from tests.support.answers import SEARCH, broken
from tests.support.models import Writer

QUICK, BY_HEART = (Requirements("quick").fitness(by_heart=by_heart) for by_heart in (False, True))


@pytest.mark.parametrize(
    ("kind", "stopped", "outcome"),
    [("FINAL", None, "pass"), ("EPOCH", None, "warn"), ("BEST", None, "warn"), ("STOPPED", "loss is nan", "fail")],
)
def test_only_a_training_that_reached_its_end_is_complete(kind: str, stopped: str | None, outcome: Outcome) -> None:
    gate = training_record.training_completed(kind, 10, 200, stopped)
    assert gate.outcome == outcome
    assert stopped is None or stopped in gate.reason


def test_weights_without_a_record_warn() -> None:
    gates = [
        training_record.training_completed("FOREIGN", None, None, None),
        training_record.lineage(None),
        reported_loss(LEARNED, None),
    ]
    assert [gate.outcome for gate in gates] == ["warn"] * 3
    assert all(gate.reason.startswith("not recorded: ") for gate in gates)


LEARNED = Prediction(0.24, 0.0, 900)
"""Of training text."""


BASELINES = Baselines(3.18, 2.34, 500_000)


@pytest.mark.parametrize(
    ("loss", "outcome"),
    [
        (1.93, "pass"),
        (1.95, "fail"),  # not 0.4 below the bigram baseline of 2.34
        (2.10, "fail"),  # a model without attention
        (3.15, "fail"),  # characters shuffled within each sentence
        (math.nan, "fail"),
        (math.inf, "fail"),
    ],
)
def test_a_held_out_loss_must_be_below_what_counting_reaches(loss: float, outcome: Outcome) -> None:
    gate = perplexity(Prediction(loss, 0.0, 900), BASELINES)
    assert gate.outcome == outcome
    assert gate.threshold == pytest.approx(1.94)
    assert "required < 1.940 (unigram baseline 3.180, bigram 2.340)" in gate.reason


@pytest.mark.parametrize(("loss", "outcome"), [(0.24, "pass"), (1.16, "pass"), (1.17, "fail"), (math.nan, "fail")])
def test_a_corpus_learned_by_heart_must_be_learned_itself(loss: float, outcome: Outcome) -> None:
    gate = perplexity_by_heart(Prediction(loss, 0.0, 900), BASELINES)
    assert gate.outcome == outcome and gate.threshold == pytest.approx(1.17)
    assert gate.reason.startswith("loss on training text ")


@pytest.mark.parametrize(("hits", "outcome"), [(49, "fail"), (50, "warn"), (89, "warn"), (90, "pass"), (100, "pass")])
def test_a_rate_fails_below_the_required_and_warns_below_a_good_one(hits: int, outcome: Outcome) -> None:
    gate = rate_gate("parse_rate", "parse rate", hits, 100, Limit(required=0.5, good=0.9))
    assert (gate.outcome, gate.value, gate.samples) == (outcome, hits / 100, 100)
    assert gate.interval is not None and gate.interval[0] < hits / 100 <= gate.interval[1] + 1e-12
    limits = "good ≥ 90% missed, required ≥ 50%" if outcome == "warn" else "required ≥ 50%, good ≥ 90%"
    assert gate.reason == f"parse rate {hits}.0% ({hits} of 100; {limits})"


def test_a_rate_of_nothing_fails() -> None:
    assert rate_gate("parse_rate", "parse rate", 0, 0, Limit(required=0.5, good=0.9)).outcome == "fail"


def test_a_lowered_limit_warns_and_names_the_profiles() -> None:
    assert limits.limits(QUICK).outcome == limits.limits(BY_HEART).outcome == "pass"
    gate = limits.limits(Requirements("production", {"evaluation": 0.5}).fitness(by_heart=False))
    assert gate.outcome == "warn" and gate.reason.endswith(": evaluation 50% (production 80%)")


RUN, SCRAMBLED = ":" * 30, 'h"o{@rorm"s"🜁1 &d{och1&h_1p{nts2'


@pytest.mark.parametrize(
    ("name", "texts", "outcome"),
    [
        ("collapse", [RUN], "pass"),  # one odd text in twenty proves nothing
        ("collapse", [RUN, RUN], "fail"),
        ("parroting", ["Count the items"] * 2, "fail"),
        ("scrambled", [SCRAMBLED], "pass"),
        ("scrambled", [SCRAMBLED] * 10, "warn"),  # half may be those of a model that has only begun
        ("scrambled", [SCRAMBLED] * 11, "fail"),
    ],
)
def test_a_share_of_broken_texts_fails_and_shows_one(name: str, texts: list[str], outcome: Outcome) -> None:
    suspects = [(text, diagnose("Count the items", text)) for text in texts]
    gates = broken(Outputs("answers", suspects, 20))
    assert gates[name].outcome == outcome and f"for example {texts[0]!r}" in gates[name].reason
    assert {gate.outcome for other, gate in gates.items() if other != name} == {"pass"}


def test_a_training_from_a_closed_gate_warns_for_good() -> None:
    assert training_record.lineage(()).outcome == "pass"
    gate = training_record.lineage(["0123456789abcdef/phase1_STOPPED_epoch1"])
    assert gate.outcome == "warn" and "0123456789abcdef/phase1_STOPPED_epoch1" in gate.reason


def endlessly(texts: list[str]) -> Callable[[str], str]:
    turn: Iterator[str] = itertools.cycle(texts)
    return lambda prompt: next(turn)


@pytest.mark.parametrize(
    ("different", "expected", "outcome"), [(64, 64, "pass"), (33, 64, "pass"), (20, 64, "fail"), (1, 64, "fail"),
    (20, 30, "pass"), (5, 30, "fail")],
)  # fmt: skip
def test_sampled_texts_must_differ_as_those_of_the_corpus_do(different: int, expected: int, outcome: Outcome) -> None:
    texts = writing.sampled_texts(Writer(endlessly([f"text {i}" for i in range(different)])))
    gate = diversity.diversity({1.0: texts}, expected)
    assert (gate.name, gate.outcome) == ("diversity", outcome)


HELD_OUT = ["Search for documents", "Sort the users by age", "Count the items"]
WORDS = {"Search", "for", "documents", "Sort", "the", "users", "by", "age", "Count", "items", "Filter", "active"}


def free(answer: Callable[[str], str]) -> dict[str, GateResult]:
    found = writing.continuations(Writer(answer), HELD_OUT, WORDS)
    return {"words": words.words(found, QUICK.limits["words"]), **broken(writing.continued_outputs(found))}


def test_free_running_text_of_the_corpus_words_passes() -> None:
    gates = free(lambda prompt: " the users by age")
    assert {name: gate.outcome for name, gate in gates.items()} == {
        "words": "pass", "collapse": "pass", "scrambled": "pass", "parroting": "pass",
    }  # fmt: skip
    assert gates["words"].samples == 4 * gates["collapse"].samples


def test_a_continuation_counts_its_words_and_those_of_the_corpus() -> None:
    examples = writing.continuations(Writer(lambda prompt: " the qomt"), HELD_OUT, WORDS)
    assert examples[0].to_json() == {
        "prompt": "Search for documents", "expected": None, "written": " the qomt", "words": 2, "known": 1,
    }  # fmt: skip
    assert examples[-1].to_json() == {
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
def test_free_running_text_fails_by_the_gate_that_sees_the_fault(answer: Callable[[str], str], failing: str) -> None:
    assert free(answer)[failing].outcome == "fail"


def lines_of(*formats: str) -> list[HlxRow]:
    return [HlxRow(format, SEARCH[format]) for format in formats]


def completing(text: str) -> str:
    """Return the rest of the line that begins with `text`."""
    (line,) = {line for line in SEARCH.values() if line.startswith(text)}
    return line[len(text) :]


def completed(answer: Callable[[str], str], rows: list[HlxRow]) -> dict[str, GateResult]:
    """Return the gates of phase 2 if the model completes each prefix in this way."""
    found = writing.completions(Writer(answer), rows)
    return {
        "completions_parse": completions_parse(found, QUICK.limits["completions_parse"]),
        **broken(writing.completed_outputs(found)),
    }


def test_completions_of_held_out_lines_must_parse_in_every_format() -> None:
    gates = completed(completing, lines_of(*SEARCH))
    assert {gate.outcome for gate in gates.values()} == {"pass"}
    examples = writing.completions(Writer(completing), lines_of(*SEARCH))
    assert all(example.parses for example in examples) and len(examples) == 4


def test_a_format_that_was_not_learned_fails_however_good_the_others_are() -> None:
    gate = completed(lambda p: "zzz" if "🜊" in p else completing(p), lines_of(*SEARCH))["completions_parse"]
    assert gate.outcome == "fail"
    assert "LC-R 0%" in gate.reason and "worst LC-R" in gate.reason


def test_lines_that_several_formats_write_alike_do_not_stand_for_one() -> None:
    """HLXL, LC-R and LC-T write `"hello"` so: a model without LC-R completes it too."""
    alike = [
        HlxRow(f, f'"{word}"') for word in ("hello", "good morning", "thank you") for f in ("HLXL", "LC-R", "LC-T")
    ]
    rests = {row.text[: len(row.text) // 2]: row.text[len(row.text) // 2 :] for row in alike}
    without_lc_r = completed(
        lambda p: "zzz" if "🜊" in p else rests.get(p) or completing(p), [*lines_of(*SEARCH), *alike]
    )
    gate = without_lc_r["completions_parse"]
    assert gate.outcome == "fail" and "LC-R 0%" in gate.reason and (gate.samples, gate.value) == (1, 0.0)
    assert completed(rests.__getitem__, alike)["completions_parse"].outcome == "warn"


def test_a_correct_line_that_looks_like_a_run_has_not_collapsed() -> None:
    row = HlxRow("HLXL", "[" + ", ".join("1" * 12) + "]")
    assert completed(lambda prompt: row.text[len(prompt) :], [row])["collapse"].outcome == "pass"
    assert completed(lambda prompt: ":" * 20, [row])["collapse"].outcome == "fail"


def test_without_lines_the_parse_rate_warns() -> None:
    assert completed(str, [])["completions_parse"].outcome == "warn"


@pytest.mark.parametrize(
    ("now", "replay", "outcome"),
    [(0.77, 0.04, "pass"), (1.31, 0.04, "pass"), (2.07, 0.04, "fail"), (2.07, 0.0, "pass")],
)
def test_forgotten_english_fails_if_it_was_replayed(now: float, replay: float, outcome: Outcome) -> None:
    changes = {
        "english_corpus": RetentionMetrics(now=now, then=1.02),
        "hlx_corpus": RetentionMetrics(now=0.4, then=0.5),
    }
    gate = not_forgotten(changes, replay)
    assert gate.outcome == outcome
    assert f"english_corpus 1.02 → {now} nats" in gate.reason
    assert replay or gate.reason.startswith("nothing was replayed, so nothing is required: loss on the earlier phases ")


def test_without_a_report_on_an_earlier_phase_forgetting_warns() -> None:
    assert not_forgotten({}, 0.04).outcome == "warn"
    assert not_forgotten({}, 0.0).outcome == "pass"


def test_a_pick_is_seeded_and_keeps_the_order() -> None:
    rows = list(range(100))
    assert pick(rows, 10, seed=1) == pick(rows, 10, seed=1) == sorted(pick(rows, 10, seed=1))
    assert pick(rows, 10, seed=1) != pick(rows, 10, seed=2)
    assert pick(rows, 100, seed=1) == rows
