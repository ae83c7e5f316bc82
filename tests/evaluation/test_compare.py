"""A report and the one before it: only a difference beyond chance counts."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from hlx_model.evaluation.compare import LOSS_MARGIN, compare_reports, previous_report
from hlx_model.evaluation.intervals import wilson
from hlx_model.files import write_json, write_text
from hlx_model.layout import CHECKPOINTS, MANIFEST, Artifacts
from hlx_model.reporting.models import Report
from tests.support.reports import parsed, phase_1, phase_3, rates


def translation(hits: int, loss: float | str = 0.3, *, samples: int = 100, corpus: str = "c1") -> Report:
    directions = ("all_to_hlx", "all_to_english", "between_formats", "training_pairs")
    content = phase_3() | {"checkpoint": f"id/{hits}", "corpora": {"paired_corpus": corpus}, "gates": []}
    found = {name: {**rates(hits, samples), **parse_rate(hits, samples)} for name in directions}
    content["figures"] |= {"held_out_loss": loss, **found}
    return parsed(content)


def parse_rate(hits: int, samples: int) -> dict[str, Any]:
    return {"parse_rate": hits / max(1, samples), "parse_rate_interval": list(wilson(hits, samples))}


@pytest.mark.parametrize(("before", "now", "outcome"), [(50, 80, "better"), (80, 50, "worse"), (50, 60, "same")])
def test_rates_differ_if_their_intervals_do_not_overlap(before: int, now: int, outcome: str) -> None:
    found = compare_reports(translation(before), translation(now))
    assert (found.other, found.outcome) == (f"id/{before}", outcome)
    assert found.figures["all_to_hlx.exact_match"].to_json() == {
        "before": before / 100, "now": now / 100, "outcome": outcome,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "now", "outcome"),
    [
        (0.3, 0.3 - LOSS_MARGIN * 1.1, "better"),
        (0.3, 0.3 + LOSS_MARGIN * 0.9, "same"),
        (0.3, 0.3 + LOSS_MARGIN * 1.1, "worse"),
        (0.3, "nan", "worse"),
        (0.3, "inf", "worse"),
        ("nan", 0.3, "better"),
        ("nan", "nan", "same"),
    ],
)
def test_losses_differ_beyond_a_margin(before: float | str, now: float | str, outcome: str) -> None:
    found = compare_reports(translation(50, before), translation(50, now))
    assert found.figures["held_out_loss"].to_json() == {"before": before, "now": now, "outcome": outcome}
    assert found.outcome == outcome


def test_one_worse_figure_makes_a_report_worse() -> None:
    assert compare_reports(translation(50, 0.3), translation(80, 0.5)).outcome == "worse"


def test_losses_are_compared_on_the_same_corpora_alone() -> None:
    found = compare_reports(translation(50, 0.3, corpus="c1"), translation(80, 0.9, corpus="c2"))
    assert "held_out_loss" not in found.figures and found.outcome == "better"


def test_rates_without_samples_are_skipped() -> None:
    assert list(compare_reports(translation(0, samples=0), translation(90)).figures) == ["held_out_loss"]


@pytest.mark.parametrize(("phase", "gate"), [(1, "words"), (2, "completions_parse")])
def test_phases_1_and_2_are_compared_by_their_gate(phase: int, gate: str) -> None:
    def report(hits: int) -> Report:
        result = {"name": gate, "outcome": "pass", "reason": "", "value": hits / 100, "threshold": 0.5}
        result |= {"samples": 100, "interval": list(wilson(hits, 100))}
        return parsed(phase_1() | {"phase": phase, "gates": [result]})

    found = compare_reports(report(50), report(90))
    assert list(found.figures) == ["held_out_loss", gate]
    assert found.figures[gate].outcome == found.outcome == "better"


def keep(artifacts: Artifacts, name: str, at: int, content: str) -> Path:
    """Write the report on a checkpoint that was made in minute `at`; return the checkpoint."""
    checkpoint = artifacts.training / name / CHECKPOINTS / "checkpoint"
    manifest = {"created": f"2026-11-01T00:0{at}:00+00:00", "step": 1, "kind": "FINAL"}
    write_json(checkpoint / MANIFEST, manifest)
    write_text(artifacts.report(checkpoint) / "report.json", content)
    # The times of the files say the opposite: they were copied, or touched.
    os.utime(artifacts.report(checkpoint) / "report.json", (1e9 - at, 1e9 - at))
    return checkpoint


def test_the_previous_report_is_the_newest_other_one_of_the_phase(tmp_path: Path) -> None:
    def written(hits: int, **changes: Any) -> str:
        return json.dumps(translation(hits).to_json() | changes)

    artifacts = Artifacts.at(tmp_path)
    keep(artifacts, "old", 1, written(10))
    keep(artifacts, "newest", 3, written(30))
    keep(artifacts, "middle", 2, written(20))
    own = keep(artifacts, "own", 9, written(90))
    removed = keep(artifacts, "removed", 4, written(40))
    shutil.rmtree(removed)
    keep(artifacts, "another_phase", 5, written(1, phase=2))
    keep(artifacts, "another_schema", 6, written(2, schema="hlx-report/0"))
    keep(artifacts, "cut_short", 7, '{"schema": ')
    keep(artifacts, "no_report", 8, "[]")
    found = previous_report(artifacts, own, 3)
    assert found is not None and found.checkpoint == "id/30"
    assert previous_report(artifacts, own, 1) is None
    assert previous_report(Artifacts.at(tmp_path / "none"), own, 3) is None
