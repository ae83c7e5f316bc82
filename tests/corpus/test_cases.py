"""Documents that users have given: each gives what is expected of it, by the command and in the graph."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hlx_assets.io_manager import artifacts_at_home
from hlx_model.corpus import store
from tests.support.command import Hlx
from tests.support.dagster_home import make_home, opened
from tests.support.documents import SHARED, shared

EXPECTED = SHARED / "cases" / "expected.json"
CASES: dict[str, dict[str, Any]] = json.loads(EXPECTED.read_text(encoding="utf-8")) if EXPECTED.is_file() else {}
_RULES = {"is no JSON": "row_is_readable", "no value on a side": "value_on_each_side"}
"""Rules that are expected by other words than their names; the reason says these words."""


def check_quarantine(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert [row["line"] for row in found] == [row["line"] for row in expected]
    for row, wanted in zip(found, expected, strict=True):
        rule, _, said = wanted.get("rule", row["rule"]).partition("; ")
        assert row["rule"] == _RULES.get(rule, rule.replace(" the ", "_"))
        assert rule not in _RULES or rule in row["reason"]
        assert all(code in row["reason"] for code in re.findall(r"U\+\w+", said))
        if "notation" in said:
            assert re.sub("[^ -~]|[`]", "", row["reason"]).endswith(said.removeprefix("says that "))


@pytest.mark.parametrize("name", CASES or ["none"])
def test_a_document_gives_what_is_expected_by_the_command(name: str, hlx: Hlx) -> None:
    document, expected = shared("cases", name), CASES[name]
    checked = hlx("corpus", "check", document, "--json")
    assert checked.code == expected["exit"]
    result = json.loads(checked.out)
    assert (result["rows"]["english"], result["rows"]["hlx"]) == (expected["english"], expected["hlx"])
    check_quarantine(result["quarantined"], expected["quarantined"])


@pytest.mark.parametrize("name", CASES or ["none"])
def test_a_document_gives_what_is_expected_in_the_graph(name: str, tmp_path: Path) -> None:
    document, expected = shared("cases", name), CASES[name]
    make_home(tmp_path / "home")
    with opened(tmp_path / "home") as home:
        run = home.materialize("corpus_document", "corpus_examples", corpus_document={"corpus": str(document)})
        examples = home.latest("corpus_examples")
        check_quarantine(store.quarantined(examples).to_pylist(), expected["quarantined"])
        assert run.check("corpus_examples", "quarantine").passed == (expected["exit"] == 0)
        assert run.check("corpus_examples", "schema").passed
        # So small a corpus has nothing to hold out, and `coverage` lets nothing be derived from it in the graph.
        for asset, rows in (("english_corpus", expected["english"]), ("hlx_corpus", expected["hlx"])):
            assert store.store_derived(artifacts_at_home(), asset, examples).rows == rows
