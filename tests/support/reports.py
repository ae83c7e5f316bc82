"""Reports as JSON, for the tests of the pages that show them to people."""

from collections.abc import Callable
from typing import Any

from hlx_model.evaluation.intervals import wilson
from hlx_model.evaluation.translation import difference, distance
from hlx_model.language import Format
from hlx_model.reporting.models import EvaluationFigures, Report

FORMATS = tuple(map(str, Format))
PART_NAMES = ("convergence", "accuracy", "format correctness", "steady progress")


def rates(exact: int, samples: int, value: int | None = None) -> dict[str, Any]:
    """Return rates with so many exact matches, and as many value matches unless given; everything parses."""
    hits = {"exact_match": exact, "value_match": exact if value is None else value, "parse_rate": samples}
    found: dict[str, Any] = {"samples": samples}
    for name, number in hits.items():
        found |= {name: number / max(1, samples), f"{name}_interval": list(wilson(number, samples))}
    return found


def evaluation_of(all_to_hlx: dict[str, Any]) -> EvaluationFigures:
    """Return what was right on an evaluation document, with these rates and no others."""
    return EvaluationFigures.model_validate({
        "data_version": "", "documents": ["exam.md"], "quarantined": 0, "sentences": all_to_hlx["samples"],
        "all_to_hlx": all_to_hlx, "all_to_english": all_to_hlx,
        "to_hlx": {}, "by_novelty": {}, "by_document": {}, "by_section": {},
        "chrf_to_english": None, "wrong": [],
    })  # fmt: skip


def gate(name: str, outcome: str, value: Any, interval: list[float] | None = None) -> dict[str, Any]:
    """Return the result of a gate."""
    return {
        "name": name, "outcome": outcome, "reason": f"the reason of {name}", "value": value, "threshold": 0.5,
        "samples": 40, "interval": interval,
    }  # fmt: skip


def answer(expected: str, written: str) -> dict[str, Any]:
    """Return a wrong answer, as it is listed among the worst."""
    diff = difference(expected, written)
    return {
        "target": "LC-R", "source": "English", "prompt": "[LC-R] Search for documents → ", "expected": expected,
        "written": written, "exact": False, "parses": False, "same_value": False,
        "distance": distance(diff), "diff": [list(piece) for piece in diff],
    }  # fmt: skip


def phase_1() -> dict[str, Any]:
    """Return a report of phase 1: numbers, no translation, nothing to compare with."""
    row = {"epoch": 1, "learning_rate": 0.001, "tokens_per_second": 1000.0}
    return {
        "schema": "hlx-report/2",
        "outcome": "warn",
        "gates": [gate("training_completed", "pass", 5), gate("words", "warn", 0.7, [0.55, 0.82])],
        "checkpoint": "0123456789abcdef/phase1_FINAL_epoch5",
        "weights_sha256": "ab" * 32,
        "corpora": {"english_corpus": "cd" * 32},
        "gates_version": "2",
        "phase": 1, "size": "tiny", "epoch": 5, "epochs": 5, "step": 12000, "kind": "FINAL", "stopped": None,
        "figures": {
            "sample": {"texts": 512, "prefixes": 128, "rows": 128, "conversions": 64, "training": 256},
            "held_out_loss": 1.25, "training_loss": 1.0, "perplexity": 3.49, "unigram_baseline": 3.18,
            "bigram_baseline": 2.34, "copy_rate": 0.01, "held_out_tokens": 4000, "training_tokens": 120000,
        },
        "examples": [
            {"prompt": "Count the items", "expected": None, "written": "", "words": 0, "known": 0},
            {"prompt": "Sort the", "expected": " users", "written": " usres by age", "words": 3, "known": 2},
        ],
        "worst": [],
        "milestones": [{"epoch": 1, "outcome": "pass", "gates": [gate("next_token_loss", "pass", 2.5)]}],
        "curve": [
            {"step": 6000, "train_loss": 2.0, "held_out_loss": None, **row},
            {"step": 12000, "train_loss": 1.0, "held_out_loss": None, **row},
            {"step": 12000, "train_loss": 1.5, "held_out_loss": 1.25, **row},
        ],
        "best": {"epoch": 3, "held_out_loss": 0.75, "checkpoint": "phase1_BEST_epoch3"},
        "comparison": None,
        "grade": {
            "points": 85.5, "letter": "B", "capped": None,
            "parts": [
                {"name": PART_NAMES[0], "points": 27.0, "of": 30, "why": "loss 1.0"},
                {"name": PART_NAMES[1], "points": 22.0, "of": 30, "why": "loss 1.25"},
                {"name": PART_NAMES[2], "points": 16.5, "of": 20, "why": "70% of 40 words"},
                {"name": PART_NAMES[3], "points": 20.0, "of": 20, "why": "it never rose"},
            ],
        },
    }  # fmt: skip


def phase_3() -> dict[str, Any]:
    """Return a report of phase 3 with all kinds of answers, 25 operations and a length without samples."""
    worst = answer('🜊1000🜁0 "search"🜁1 ⟁documents🜂', 'rm"s"🜁1 &doch1')
    wrong = {key: value for key, value in worst.items() if key not in ("distance", "diff")}
    right = {**wrong, "written": wrong["expected"], "exact": True, "parses": True, "same_value": True}
    report = phase_1()
    report |= {"phase": 3, "examples": [right, {**right, "exact": False}, wrong], "worst": [worst, answer("5", "")]}
    report["gates"].append(gate("exact_match_to_hlx", "fail", 0.02, [0.0, 0.09]))
    report["comparison"] = {
        "with": "fedcba9876543210/phase3_FINAL_epoch5", "outcome": "worse",
        "figures": {
            "held_out_loss": {"before": 1.5, "now": 1.25, "outcome": "better"},
            "all_to_hlx.exact_match": {"before": 0.5, "now": 0.02, "outcome": "worse"},
            "training_pairs.exact_match": {"before": 0.6, "now": 0.61, "outcome": "same"},
        },
    }  # fmt: skip
    report["figures"] |= {
        "to_hlx": {name: rates(3, 4) for name in FORMATS},
        "to_english": {name: rates(1, 4) for name in FORMATS},
        "all_to_hlx": rates(12, 16, 14), "all_to_english": rates(4, 16),
        "between_formats": rates(9, 12), "training_pairs": rates(15, 16),
        "between": {s: {t: rates(3, 4) for t in FORMATS if t != s} for s in FORMATS},
        "by_operation": {f"operation{i}": rates(1, 30 - i) for i in range(25)},
        "by_source": [
            {"kind": "composed", "name": "composed entries", "to_hlx": rates(9, 12), "to_english": rates(3, 12),
             "trained_to_hlx": None},
            {"kind": "document", "name": "mine.md", "to_hlx": rates(3, 4), "to_english": rates(1, 4),
             "trained_to_hlx": rates(30, 32)},
        ],
        "by_length": {"1–16": rates(9, 10), "129–": rates(0, 0)},
        "held_out_values": 4,
        "standard_prompts": [
            {"target": "LC-R", "prompt": "Count the items", "written": '🜊1000🜁0 "count"🜂', "parses": True},
            {"target": "LC-B", "prompt": "Count the items", "written": "", "parses": False},
        ],
        "earlier_phases": {"english_corpus": {"now": 1.3, "then": 1.25}},
    }  # fmt: skip
    return report


def parsed(content: dict[str, Any]) -> Report:
    """Return the report that this JSON is."""
    return Report.from_json(content)


OURS = frozenset({"schema", "outcome", "letter", "kind", "phase", "target"})
"""Keys whose strings the program chose, never a model or a user."""
_OURS = {*PART_NAMES, "equal", "insert", "delete"}


def changed(value: Any, change: Callable[[Any], Any], *, but: frozenset[str] = OURS) -> Any:
    """Return a report with each string and number changed, except those that the program chose."""
    if isinstance(value, dict):
        return {key: item if key in but else changed(item, change, but=but) for key, item in value.items()}
    if isinstance(value, list):
        return [changed(item, change, but=but) for item in value]
    return value if value in _OURS else change(value)
