"""`pass_on: best` in the graph: the best checkpoint is materialized, judged, and starts the next phase."""

from typing import Any

import dagster as dg

from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.reporting.models import Report
from tests.support.dagster_home import Home

CHOSEN: dict[str, dict[str, Any]] = {
    "phase1_checkpoint": {"pass_on": "best"},
    # The best epoch may be long before this small document is learned by heart.
    "phase1_validation_report": {"require": {"words": 0.0}},
    "phase2_checkpoint": {"epochs": 1},
}


def test_the_best_one_is_materialized_judged_and_starts_the_next_phase(home: Home) -> None:
    final = home.latest("phase1_checkpoint")
    run = home.materialize(*CHOSEN, **CHOSEN)
    assert run.success, run.failures
    best, report = home.latest("phase1_checkpoint"), home.latest("phase1_validation_report")
    manifest = read_manifest(best)
    assert (final.name, manifest.kind, best.parent) == ("phase1_FINAL_epoch40", "BEST", final.parent)
    shown = run.materialization("phase1_checkpoint").metadata
    assert (shown["checkpoint"].value, shown["found"].value) == (best.name, True)
    assert (shown["epoch"].value, shown["epochs"].value) == (str(manifest.epoch), "40")
    assert "the best of 40 epochs, chosen (pass_on: best)" in str(shown["lineage"].value)
    assert isinstance(shown["lineage"], dg.MarkdownMetadataValue)
    judged = Report.read(report / "report.json")
    assert (report.name, judged.checkpoint.rpartition("/")[2], judged.pass_on) == (best.name, best.name, "best")
    for asset in ("phase1_checkpoint", "phase1_validation_report"):
        assert run.check(asset, "training_completed").passed
    key = dg.AssetCheckKey(dg.AssetKey("phase1_checkpoint"), "gates_in_training")
    last = [check for check in run.checks if check.asset_check_key == key][-1]
    assert "40" in (last.description or ""), "also the milestones after the best epoch"
    parent = read_manifest(home.latest("phase2_checkpoint")).parent
    assert parent is not None
    assert (parent.name, parent.weights_sha256, parent.pass_on) == (best.name, manifest.weights_sha256, "best")
