"""A gate holds in every run: the whole graph, one asset alone, with checks deselected, after tampering."""

import dagster as dg
import pytest

from hlx_assets.definitions import defs
from hlx_model.files import read_json
from hlx_model.model.transformer import Transformer
from tests.support.dagster_home import Home, Run
from tests.support.damage import flip, reseal, rewrite_checkpoint

LOST = {"lr": 10.0}
"""A learning rate that nothing can be learned with."""


@pytest.fixture
def stopped(home: Home) -> Run:
    """Phase 1 trained again beside an older good checkpoint, and stopped."""
    return home.materialize(
        "phase1_checkpoint", "phase1_validation_report", "phase2_checkpoint", phase1_checkpoint=LOST
    )


def test_a_phase_that_cannot_learn_is_stopped_materialized_and_blocks_the_next(stopped: Run) -> None:
    assert not stopped.success
    assert stopped.materialized == ["phase1_checkpoint", "phase1_validation_report"]
    completed = stopped.check("phase1_validation_report", "training_completed")
    assert not completed.passed and "stopped at epoch" in (completed.description or "")


def test_the_next_phase_alone_is_refused_in_spite_of_an_older_checkpoint(home: Home, stopped: Run) -> None:
    run = home.materialize("phase2_checkpoint")
    assert not run.success and run.materialized == []
    why = run.failures["phase2_checkpoint"]
    assert "training_completed" in why and "stopped at epoch" in why


def test_it_runs_again_after_a_good_retraining(home: Home, stopped: Run) -> None:
    good = home.materialize("phase1_checkpoint", "phase1_validation_report")
    assert good.success, good.failures
    run = home.materialize("phase2_checkpoint")
    assert run.success, run.failures


def test_a_checkpoint_without_a_report_of_its_own_is_refused(home: Home) -> None:
    run = home.materialize("phase1_checkpoint", phase1_checkpoint=LOST)
    assert run.success
    refused = home.materialize("phase2_checkpoint")
    assert "its training was stopped" in refused.failures["phase2_checkpoint"]


def test_checks_that_were_deselected_open_no_gate(home: Home) -> None:
    assert home.materialize("phase1_checkpoint", phase1_checkpoint=LOST).success
    job = dg.define_asset_job(
        "no_checks", selection=dg.AssetSelection.assets("phase1_validation_report").without_checks()
    )
    unchecked = dg.Definitions(assets=defs.assets, asset_checks=defs.asset_checks, jobs=[job], resources=defs.resources)
    with home.instance() as instance:
        run = unchecked.resolve_job_def("no_checks").execute_in_process(instance=instance)
        assert run.success and not run.get_asset_check_evaluations()
    refused = home.materialize("phase2_checkpoint")
    why = refused.failures["phase2_checkpoint"]
    assert "training_completed" in why and "stopped at epoch" in why


def test_a_checkpoint_that_is_no_model_gets_no_report_in_any_run(home: Home) -> None:
    """Its hashes are right: the weights were broken when it was written."""

    def change(model: Transformer) -> None:
        next(model.parameters()).data.view(-1)[0] = float("nan")

    rewrite_checkpoint(home.latest("phase1_checkpoint"), change)
    alone = home.materialize("phase1_validation_report")
    assert "is closed: finite: not finite" in alone.failures["phase1_validation_report"]


def test_one_changed_byte_of_the_weights_closes_the_gate(home: Home) -> None:
    flip(home.latest("phase1_checkpoint") / "model.safetensors", -1)
    run = home.materialize("phase2_checkpoint")
    assert "model.safetensors" in run.failures["phase2_checkpoint"]


def test_a_verdict_of_another_version_of_the_gates_closes_the_gate(home: Home) -> None:
    reseal(home.latest("phase1_validation_report") / "verdict.json", gates_version="0")
    run = home.materialize("phase2_checkpoint")
    assert "it was not judged by new gates" in run.failures["phase2_checkpoint"]


def test_a_changed_corpus_closes_the_gate(home: Home) -> None:
    manifest = read_json(home.latest("phase1_checkpoint") / "manifest.json")
    rows = home.path / "artifacts" / manifest["corpora"]["english_corpus"]["path"] / "rows.parquet"
    other = next(p for p in (home.path / "artifacts/corpora/hlx_corpus").rglob("rows.parquet"))
    rows.write_bytes(other.read_bytes())
    run = home.materialize("phase2_checkpoint")
    assert "its rows are not those of version" in run.failures["phase2_checkpoint"]


def test_a_missing_verdict_closes_the_gate(home: Home) -> None:
    (home.latest("phase1_validation_report") / "verdict.json").unlink()
    run = home.materialize("phase2_checkpoint")
    assert "verdict.json is missing" in run.failures["phase2_checkpoint"]


def test_a_refusal_is_on_the_page_of_the_asset_with_what_to_press(home: Home) -> None:
    verdict = next(home.path.glob("artifacts/reports/*/phase1_FINAL_*/verdict.json"))
    verdict.unlink()
    refused = home.materialize("phase2_checkpoint").failures["phase2_checkpoint"]
    assert refused.endswith(
        ": press Materialize on phase1_validation_report to judge again, or on phase1_checkpoint with other settings "
        "to train again"
    )
    assert "hlx " not in refused and "\n" not in refused  # commands are for a terminal
    with home.instance() as instance:
        (record,) = instance.fetch_observations(dg.AssetKey("phase2_checkpoint"), limit=1).records
    observation = record.asset_observation
    assert observation is not None and observation.metadata["refused"].value == refused


def test_a_stopped_training_is_final_until_it_is_retried(home: Home, stopped: Run) -> None:
    again = home.materialize("phase1_checkpoint", phase1_checkpoint=LOST)
    assert again.materialization("phase1_checkpoint").metadata["found"].value is True
    retried = home.materialize("phase1_checkpoint", phase1_checkpoint={**LOST, "retry_stopped": True})
    assert retried.materialization("phase1_checkpoint").metadata["found"].value is False


def test_a_phase_that_was_trained_too_little_fails_and_blocks_the_next(home: Home) -> None:
    short = {"epochs": 1, "lr": 1e-4}
    run = home.materialize(
        "phase1_checkpoint", "phase1_validation_report", "phase2_checkpoint", phase1_checkpoint=short
    )
    assert not run.success and run.materialized == ["phase1_checkpoint", "phase1_validation_report"]
    check = run.check("phase1_validation_report", "perplexity")
    assert not check.passed and "train longer: hlx train --phase 1 --resume-from " in (check.description or "")
    alone = home.materialize("phase2_checkpoint")
    assert "perplexity" in alone.failures["phase2_checkpoint"]


def test_a_checkpoint_is_trained_longer_from_the_launchpad(home: Home) -> None:
    first = home.latest("phase1_checkpoint")
    name = f"{first.parents[1].name}/{first.name}"
    longer = {"continue_from": name, "tokens": 1000, "epochs": None}
    run = home.materialize("phase1_checkpoint", "phase1_validation_report", phase1_checkpoint=longer)
    assert run.success, run.failures
    # 1000 tokens are two epochs of its 511.
    assert home.latest("phase1_checkpoint").name == "phase1_FINAL_epoch42"
    assert read_json(home.latest("phase1_checkpoint") / "manifest.json")["resumed"] == [name]
    wrong = home.materialize("phase2_checkpoint", phase2_checkpoint={"continue_from": name})
    assert f"continue_from is {name}, of phase 1: name a checkpoint of phase 2" in wrong.failures["phase2_checkpoint"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"size": "huge"}, "size is 'huge': choose one of tiny"),
        ({"epochs": 0}, "epochs is 0: it must be at least 1"),
        ({"size": "10m"}, "is of size tiny, not 10m"),
    ],
)
def test_bad_settings_are_one_line_that_says_what_to_do(home: Home, config: dict[str, object], said: str) -> None:
    run = home.materialize("phase2_checkpoint", phase2_checkpoint=config)
    assert said in run.failures["phase2_checkpoint"]
    assert "\n" not in run.failures["phase2_checkpoint"]
