"""Old runs are removed from the history, and what gates and lineage need is kept."""

import json
from pathlib import Path

import dagster as dg
import pytest

from hlx_assets import prune
from hlx_assets.io_manager import latest_path
from hlx_model.layout import DOCUMENT, EXAMPLES
from tests.support.command import Hlx, runner
from tests.support.dagster_home import Home

CORPUS = (DOCUMENT, EXAMPLES)


@pytest.fixture
def make_prune(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hlx:
    def main() -> None:
        prune.main()
        raise SystemExit(0)

    return runner(main, "make prune", monkeypatch, capsys)


def runs_of(home: Home) -> set[str]:
    with home.instance() as instance:
        return {run.run_id for run in instance.get_runs()}


def test_what_nothing_needs_is_removed(empty_home: Home, make_prune: Hlx) -> None:
    made = [empty_home.materialize(*CORPUS).id for _ in range(2)]
    document = empty_home.materialize(DOCUMENT, corpus_document={"corpus": None, "entries": 50}).id
    with empty_home.instance() as instance:
        before = latest_path(instance, dg.AssetKey(EXAMPLES))
        running = instance.create_run_for_job(dg.JobDefinition(name="x", graph_def=dg.GraphDefinition(name="x"))).run_id
    everything = {*made, document, running}
    assert make_prune().out.startswith("runs older than 90 days that nothing needs: 0; nothing was removed")
    assert "nothing needs: 1; nothing was removed" in make_prune("--days", 0).out
    assert runs_of(empty_home) == everything
    assert make_prune("--days", 0, "--yes").out == "runs older than 0 days that nothing needs: 1; removed\n"
    assert runs_of(empty_home) == {made[1], document, running}
    left = [path for path in empty_home.path.rglob("*") if made[0] in path.name]
    assert left == []
    with empty_home.instance() as instance:
        assert latest_path(instance, dg.AssetKey(EXAMPLES)) == before
    # The gates read what they read before: the next asset is made from it.
    assert empty_home.materialize("hlx_corpus").success
    assert make_prune("--days", 0).out.startswith("runs older than 0 days that nothing needs: 0")


def test_the_runs_of_trainings_and_reports_are_kept(home: Home, make_prune: Hlx) -> None:
    trained = {
        json.loads(path.read_text())["run_id"] for path in (home.path / "artifacts").glob("training/*/heartbeat.json")
    }
    assert trained and trained <= runs_of(home)
    again = home.materialize("phase1_validation_report").id
    make_prune("--days", 0, "--yes")
    assert trained | {again} <= runs_of(home)
    with home.instance() as instance:
        assert latest_path(instance, dg.AssetKey("phase1_checkpoint")).exists()


@pytest.mark.parametrize("days", ["-1", "nan", "1e9", "soon"])
def test_an_impossible_age_is_refused(make_prune: Hlx, tmp_path: Path, days: str) -> None:
    ran = make_prune("--days", days)
    assert ran.code == 2 and "--days" in ran.err and "Traceback" not in ran.err
