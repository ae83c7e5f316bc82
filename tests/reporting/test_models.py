"""The published schema is that of the code, and real reports of every phase keep it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from hlx_model.reporting.models import REPORT_SCHEMA, Report
from tests.conftest import Curriculum

PUBLISHED = Path(__file__).parents[2] / "docs" / "report.schema.json"
REPORT = TypeAdapter(with_config(ConfigDict(extra="forbid", use_attribute_docstrings=True))(Report))


def validate(report: Any) -> None:
    REPORT.validate_json(json.dumps(report, allow_nan=False), strict=True)


def test_the_published_schema_is_made_from_the_code() -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **REPORT.json_schema()}
    expected = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("HLX_UPDATE_DOCS"):
        PUBLISHED.write_text(expected, encoding="utf-8")
    assert PUBLISHED.read_text(encoding="utf-8") == expected


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_real_reports_keep_the_schema(curriculum: Curriculum, phase: int) -> None:
    report = json.loads((curriculum.phases[phase].judgement.directory / "report.json").read_text(encoding="utf-8"))
    assert report["schema"] == REPORT_SCHEMA
    validate(report)


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_no_field_may_be_missing_or_unknown(curriculum: Curriculum, phase: int) -> None:
    report = curriculum.phases[phase].judgement.report
    for field in report:
        with pytest.raises(ValidationError, match=field):
            validate({name: value for name, value in report.items() if name != field})
    with pytest.raises(ValidationError, match="figures"):
        validate({**report, "figures": {**report["figures"], "invented": 1}})
    with pytest.raises(ValidationError, match="phase"):
        validate({**report, "phase": 4})


def test_a_loss_that_is_no_number_is_its_name(curriculum: Curriculum) -> None:
    report = curriculum.phases[1].judgement.report
    validate({**report, "figures": {**report["figures"], "held_out_loss": "nan", "perplexity": "inf"}})
    with pytest.raises(ValidationError, match="held_out_loss"):
        validate({**report, "figures": {**report["figures"], "held_out_loss": "much"}})
