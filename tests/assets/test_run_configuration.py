"""No run configuration leaves out a gate: a run with any configuration is refused, or its gates stay closed."""

from typing import Any

import dagster as dg
import pytest

from hlx_assets.definitions import defs
from tests.support.dagster_home import Home
from tests.support.documents import contradicting_text

SHOWN = {
    "corpus_document": {"corpus", "profile", "entries", "seed"},
    "corpus_examples": {"seq_length"},
    "evaluation_document": {"eval"},
    **{
        f"phase{phase}_checkpoint": {
            "profile", "size", "epochs", "lr", "batch_size", "seq_length", "seed", "replay", "gradient_checkpointing",
            "accumulation", "memory_limit", "retry_stopped", "tokens", "continue_from", "gate_every", "document_weight",
            "pass_on", "trainer", *(["parent"] if phase > 1 else []),
        }
        for phase in (1, 2, 3)
    },
    **{f"phase{phase}_validation_report": {"device", "nice", "profile", "require"} for phase in (1, 2, 3)},
    "ask_supervisor": {"training", "trigger"},
}  # fmt: skip
"""What can be configured, by step: the documents, how a training and its validation run, and which rates are required.
A rate below the profile's is recorded and warns for good. No gate can be left out."""
GATES: dict[str, Any] = {"gates": {}, "judged": {}}
HOSTILE: dict[str, dict[str, Any]] = {
    "no gates": {"resources": {"io_manager": {"config": GATES}}},
    "no gates of the corpus": {"resources": {"io_manager": {"config": {"gates": {"corpus_examples": []}}}}},
    "nothing judged": {"resources": {"io_manager": {"config": {"judged": {}}}}},
    "another trainer": {"resources": {"trainer": {"config": {"launcher": ["true"]}}}},
    "steps that wait for nobody": {
        "execution": {"config": {"step_dependency_config": {"require_upstream_step_success": False}}}
    },
    "retries": {"execution": {"config": {"retries": {"enabled": {}}}}},
    "several processes": {"execution": {"config": {"multiprocess": {"max_concurrent": 4}}}},
    "an input from the launchpad": {"ops": {"phase1_checkpoint": {"inputs": {"corpus": "/tmp/corpus"}}}},
    "an input of another kind": {"ops": {"phase2_checkpoint": {"inputs": {"parent": {"value": "/tmp/checkpoint"}}}}},
    "an unknown setting": {"ops": {"phase1_checkpoint": {"config": {"ungated": True}}}},
}
ACCEPTED: dict[str, Any] = {
    "resources": {"io_manager": {"config": {}}},
    "execution": {"config": {}},
    "loggers": {"console": {"config": {"log_level": "DEBUG"}}},
    "ops": {
        "corpus_examples_quarantine": {"config": {"most": 1.0}},
        "corpus_examples_schema": {"config": GATES},
        "english_corpus": {"config": GATES},
    },
}
"""Configuration that Dagster accepts and ignores."""
JOBS = [
    *(defs.resolve_job_def(job.name) for job in defs.jobs or []),
    defs.resolve_implicit_global_asset_job_def(),  # behind *Materialize*
]
EVERY_JOB = pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)


def configurable(job: dg.JobDefinition) -> dict[str, set[str]]:
    """The settings of each step that its launchpad knows."""
    steps = job.run_config_schema.config_type.fields["ops"].config_type.fields  # type: ignore[attr-defined]
    found = {}
    for name, field in steps.items():
        config = field.config_type.fields.get("config")
        if config is not None and hasattr(config.config_type, "fields"):
            found[name] = set(config.config_type.fields)
    return found


@EVERY_JOB
def test_a_launchpad_shows_settings_and_no_gates(job: dg.JobDefinition) -> None:
    found = {step: settings for step, settings in configurable(job).items() if settings}
    assert found and found == {step: settings for step, settings in SHOWN.items() if step in found}


@EVERY_JOB
@pytest.mark.parametrize("config", HOSTILE.values(), ids=HOSTILE)
def test_hostile_configuration_is_refused(job: dg.JobDefinition, config: dict[str, Any]) -> None:
    # A run of one asset ignores the configuration of another one.
    steps = {dg.AssetKey(name) for name in config.get("ops", {})}
    if "trainer" in config.get("resources", {}):
        steps = {dg.AssetKey("phase1_checkpoint")}
    keys = set(job.asset_layer.executable_asset_keys)
    whole = [job] if steps <= keys else []
    for launched in whole + [job.get_subset(asset_selection={key}) for key in (steps or keys) & keys]:
        with pytest.raises(dg.DagsterInvalidConfigError):
            dg.validate_run_config(launched, config)


def test_accepted_configuration_leaves_a_closed_gate_closed(empty_home: Home) -> None:
    home = empty_home
    assert home.materialize("corpus_document", "corpus_examples").success
    home.write(contradicting_text(4))
    document = {"corpus_document": {"config": {"corpus": str(home.path / "small.md")}}}
    config = {**ACCEPTED, "ops": {**ACCEPTED["ops"], **document}}
    with home.instance() as instance:
        for name in ("corpus", "curriculum"):
            run = defs.resolve_job_def(name).execute_in_process(
                instance=instance, run_config=config, raise_on_error=False
            )
            made = {event.asset_key for event in run.get_asset_materialization_events()}
            assert not run.success
            assert {key.to_user_string() for key in made if key} - {"evaluation_document", "evaluation_examples"} == {
                "corpus_document", "corpus_examples",
            }  # fmt: skip
        for asset in ("english_corpus", "hlx_corpus", "paired_corpus"):
            run = JOBS[-1].execute_in_process(
                instance=instance, run_config=config, asset_selection=[dg.AssetKey(asset)], raise_on_error=False
            )
            assert not run.success and not run.get_asset_materialization_events()
