"""The published schema is made from the models, and real reports of every phase are valid."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from hlx_model.reporting.models import REPORT_SCHEMA, Report
from tests.support.curriculum import Curriculum
from tests.support.reports import phase_1

SCHEMA = "https://json-schema.org/draft/2020-12/schema"
PUBLISHED = Path(__file__).parents[2] / "docs" / "report.schema.json"


def test_the_published_schema_is_made_from_the_code() -> None:
    schema = {"$schema": SCHEMA, **Report.model_json_schema(mode="serialization")}
    expected = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("HLX_UPDATE_DOCS"):
        PUBLISHED.write_text(expected, encoding="utf-8")
    assert PUBLISHED.read_text(encoding="utf-8") == expected


def refused(report: Any) -> str:
    with pytest.raises(ValueError, match=r"\A.+\Z") as error:
        Report.from_json(report)
    return str(error.value)


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_a_real_report_is_read_and_written_without_a_change(curriculum: Curriculum, phase: int) -> None:
    path = curriculum.phases[phase].evaluation.directory / "report.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["schema"] == REPORT_SCHEMA
    report = Report.read(path)
    assert json.dumps(report.to_json()) == json.dumps(content)
    assert (report.translation is not None) == (phase == 3)


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_a_missing_or_an_unknown_field_is_refused_by_name(curriculum: Curriculum, phase: int) -> None:
    report = curriculum.phases[phase].evaluation.report.to_json()
    later = {"evaluation", "evaluation_note", "fitness", "best", "pass_on"}  # older reports lack them
    older = Report.from_json({name: value for name, value in report.items() if name not in later})
    assert older.evaluation is None and older.evaluation_note is None and older.fitness is None
    uncapped = {name: value for name, value in report["grade"].items() if name != "capped"}  # of 0.4.0
    assert Report.from_json(report | {"grade": uncapped}).grade.capped is None
    for field in report.keys() - later:
        assert field in refused({name: value for name, value in report.items() if name != field})
    assert "figures" in refused({**report, "figures": {**report["figures"], "invented": 1}})
    assert "phase" in refused({**report, "phase": 4})


def test_a_loss_that_is_not_finite_is_its_name() -> None:
    report = phase_1()
    report["figures"] |= {"held_out_loss": "nan", "perplexity": "inf"}
    found = Report.from_json(report)
    assert math.isnan(found.figures.held_out_loss) and math.isinf(found.figures.perplexity)
    absent = ("evaluation", "evaluation_note", "fitness", "pass_on")
    assert found.to_json() == {**report, **dict.fromkeys(absent)}
    report["figures"]["held_out_loss"] = "much"
    assert "held_out_loss" in refused(report)


def test_another_schema_gives_none_and_a_damaged_report_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    for other in ({"schema": "hlx-report/1"}, {}):
        path.write_text(json.dumps(other), encoding="utf-8")
        assert Report.read_current(path) is None
    for damaged in ("{", "[]", json.dumps({"schema": REPORT_SCHEMA})):
        path.write_text(damaged, encoding="utf-8")
        with pytest.raises(ValueError, match=r"report\.json: .+"):
            Report.read_current(path)
