"""The graph on a real instance, with real trainings of the tiny model."""

from pathlib import Path

import dagster as dg

from hlx_assets.common import check_result
from hlx_assets.curriculum.run import console
from hlx_assets.curriculum.summary import print_summary
from hlx_assets.definitions import defs
from hlx_assets.io_manager import CHECKPOINTS, REPORTS
from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.corpus.verdict import GATES_OF_CORPUS
from hlx_model.evaluation.rate_gate import rate_gate
from hlx_model.files import read_json
from hlx_model.layout import REPORT
from hlx_model.reporting.conclusion import conclusion
from hlx_model.reporting.models import Report
from hlx_model.verdicts import Limit
from tests.support.dagster_home import Home, Run, revalidated

ASSETS = {
    "corpus_document",
    "corpus_examples",
    "english_corpus",
    "hlx_corpus",
    "paired_corpus",
    *(f"phase{phase}_{kind}" for phase in (1, 2, 3) for kind in ("checkpoint", "validation_report")),
}
DESCRIBED = {*(f"phase{phase}_model_card" for phase in (1, 2, 3)), "training_history"}
"""Assets that no other asset needs."""
EVALUATIONS = {"evaluation_document", "evaluation_examples"}
"""Assets that stop no other asset."""


PHASE_3 = "phase3_validation_report"
UNLOADED = {
    (PHASE_3, "evaluation_examples"),
    *((f"phase{n}_checkpoint", f"phase{n - 1}_{kind}") for n in (2, 3) for kind in ("checkpoint", "validation_report")),
}
"""What no IO manager loads: a report reads the evaluation examples that passed, and a training guards its parent."""
nightly_revalidation = defs.resolve_schedule_def("nightly_revalidation")


def test_definitions_load_with_the_contracts_keys() -> None:
    dg.Definitions.validate_loadable(defs)
    graph = defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == ASSETS | DESCRIBED | EVALUATIONS
    assert {job.name for job in defs.jobs or []} == {"curriculum", "corpus", "revalidation", "supervise"}


def test_every_asset_has_description_owner_kinds_and_code_version() -> None:
    for key in (graph := defs.resolve_asset_graph()).get_all_asset_keys():
        node = graph.get(key)
        assert node.description and node.owners and node.kinds and node.code_version, key


def _is_nothing(taken: dg.In) -> bool:
    return isinstance(taken.dagster_type, dg.DagsterType) and taken.dagster_type.is_nothing


def test_no_asset_consumes_another_but_through_the_guard() -> None:
    graph = defs.resolve_asset_graph()
    blocking = {key.asset_key.to_user_string() for key in graph.asset_check_keys if graph.get(key).blocking}
    assert blocking == {*GATES_OF_CORPUS, *CHECKPOINTS, *REPORTS} - EVALUATIONS == ASSETS - {"corpus_document"}
    for definition in defs.assets or []:
        assert isinstance(definition, dg.AssetsDefinition)
        if definition.key.to_user_string() == "training_history":
            continue  # it lists failed trainings too
        # `deps=[...]` names an upstream that no IO manager loads: its gate would not be required.
        inputs = definition.keys_by_input_name.items()
        asset, ins = definition.key.to_user_string(), definition.op.ins
        unloaded = {(asset, key.to_user_string()) for name, key in inputs if _is_nothing(ins[name])}
        assert unloaded == {pair for pair in UNLOADED if pair[0] == asset}
        for spec in definition.specs:
            assert len(list(spec.deps)) == len(definition.keys_by_input_name) == len(definition.op.ins)


def test_every_check_blocks_except_evaluations_and_what_a_report_repeats() -> None:
    graph = defs.resolve_asset_graph()
    open_ones = {
        key.name
        for key in graph.asset_check_keys
        if not graph.get(key).blocking and key.asset_key.to_user_string() not in EVALUATIONS
    }
    assert open_ones == {"training_completed", "gates_in_training"}


def test_a_milestone_is_a_check_in_the_event_log_while_training_runs(curriculum: tuple[Path, Run], home: Home) -> None:
    run = curriculum[1]
    with home.instance() as instance:
        entries = [entry.dagster_event for entry in instance.all_logs(run.id) if entry.dagster_event]
    mine = [event for event in entries if event.step_key == "phase1_checkpoint"]
    shown = [
        event.asset_check_evaluation_data.check_name
        for event in mine
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    assert shown == ["gates_in_training"] * len((1, 5, 10, 20, 40))
    with home.instance() as instance:
        lines = [entry.user_message for entry in instance.all_logs(run.id)]
    assert "gates at epoch 5: pass" in lines and any(line.startswith("  next_token_loss: pass: ") for line in lines)
    kinds = [event.event_type for event in mine]
    first = kinds.index(dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    assert dg.DagsterEventType.ASSET_OBSERVATION in kinds[first:]
    assert first < kinds.index(dg.DagsterEventType.ASSET_MATERIALIZATION)
    # After training there is one, for the materialization, with the milestones that were reached.
    key = dg.AssetCheckKey(dg.AssetKey("phase1_checkpoint"), "gates_in_training")
    last = [check for check in run.checks if check.asset_check_key == key][-1]
    assert last.passed and last.description == "pass at epochs 1, 5, 10, 20, 40"
    with home.instance() as instance:
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    assert len(history) == 1


def test_the_curriculum_runs_from_document_to_last_report(curriculum: tuple[Path, Run]) -> None:
    run = curriculum[1]
    assert run.success, run.failures
    assert set(run.materialized) == ASSETS | DESCRIBED | EVALUATIONS


def test_the_table_at_the_end_has_a_row_for_the_document(curriculum: tuple[Path, Run], home: Home) -> None:
    with home.instance(), console.capture() as captured:
        print_summary(console, curriculum[1].events, 60.0)
    (row,) = (line for line in captured.get().splitlines() if "small.md" in line)
    assert "test " in row and "% of " in row
    assert "no evaluation document" in captured.get()


def test_each_phase_starts_from_the_one_before(home: Home) -> None:
    manifests = {n: read_manifest(home.latest(f"phase{n}_checkpoint")) for n in (1, 2, 3)}
    assert manifests[1].parent is None
    for n in (2, 3):
        parent = manifests[n].parent
        assert parent is not None
        assert parent.weights_sha256 == manifests[n - 1].weights_sha256
    assert set(manifests[3].corpora) == {"english_corpus", "hlx_corpus", "paired_corpus"}


def test_a_small_document_that_is_learned_by_heart_is_a_warning(curriculum: tuple[Path, Run]) -> None:
    check = curriculum[1].check("phase3_validation_report", "exact_match_to_hlx")
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "learned by heart, not shown to generalize" in (check.description or "")


def test_a_report_begins_its_metadata_with_the_conclusion(curriculum: tuple[Path, Run], home: Home) -> None:
    for phase in (1, 2, 3):
        asset = f"phase{phase}_validation_report"
        metadata = curriculum[1].materialization(asset).metadata
        report = Report.read(home.latest(asset) / REPORT)
        assert next(iter(metadata)) == "conclusion" and metadata["conclusion"].value == conclusion(report)
        assert metadata["grade"].value == report.grade.letter
        assert ("grade_capped" in metadata) == (report.grade.capped is not None)


def test_a_check_that_warns_shows_the_limit_that_was_missed() -> None:
    gates = [rate_gate("words", "words", hits, 100, Limit(required=0.5, good=0.8)) for hits in (90, 60, 40)]
    shown = [check_result(dg.AssetKey("phase1_validation_report"), gate).metadata["threshold"].value for gate in gates]
    assert shown == ["0.5", "0.8", "0.5"]


def test_figures_are_observed_while_training(curriculum: tuple[Path, Run]) -> None:
    events = curriculum[1].events
    observed = [e for e in events if e.event_type == dg.DagsterEventType.ASSET_OBSERVATION]
    losses = [
        float(str(e.asset_observation_data.asset_observation.metadata["training loss (nats per token)"].value))
        for e in observed
        if e.step_key == "phase1_checkpoint"
    ]
    assert len(losses) > 20
    assert losses[-1] < losses[0]


def test_materializing_again_trains_nothing_and_changes_no_data_version(home: Home) -> None:
    with home.instance() as instance:
        before = instance.get_latest_data_version_record(dg.AssetKey("phase1_checkpoint"))
    run = home.materialize("phase1_checkpoint", "phase1_validation_report")
    assert run.success, run.failures
    materialization = run.materialization("phase1_checkpoint")
    assert materialization.metadata["found"].value is True
    with home.instance() as instance:
        after = instance.get_latest_data_version_record(dg.AssetKey("phase1_checkpoint"))
    assert before is not None and after is not None
    tag = "dagster/data_version"
    assert (before.event_log_entry.tags or {}).get(tag) == (after.event_log_entry.tags or {}).get(tag)


def test_revalidation_makes_the_reports_again_and_keeps_their_verdicts(home: Home) -> None:
    before = read_json(home.latest("phase3_validation_report") / "verdict.json")
    with home.instance() as instance:
        result = revalidated(instance)
    made = [event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key]
    assert result.success and len(made) == 5
    assert made.index("evaluation_document") < made.index("evaluation_examples") < made.index(PHASE_3)
    assert read_json(home.latest("phase3_validation_report") / "verdict.json") == before


def test_every_night_the_reports_on_all_checkpoints_are_requested(home: Home) -> None:
    with home.instance() as instance, dg.build_schedule_context(instance) as context:
        requested = nightly_revalidation(context)
        assert isinstance(requested, dg.RunRequest) and requested.asset_selection is not None
        assert {key.to_user_string() for key in requested.asset_selection} == {
            f"phase{phase}_validation_report" for phase in (1, 2, 3)
        } | EVALUATIONS


def test_without_a_checkpoint_the_night_requests_nothing(empty_home: Home) -> None:
    with empty_home.instance() as instance, dg.build_schedule_context(instance) as context:
        assert isinstance(nightly_revalidation(context), dg.SkipReason)


def test_revalidation_runs_beside_a_training(home: Home) -> None:
    job = defs.resolve_job_def("revalidation")
    reports = [node for node in job.nodes if node.name.endswith("_validation_report")]
    assert [node.definition.pools for node in reports] == [{"validation"}] * 3
    assert job.run_config is not None
    assert {str(op["config"]) for op in job.run_config["ops"].values()} == {"{'device': 'cpu', 'nice': 10}"}


def test_the_reports_say_when_they_are_overdue() -> None:
    graph = defs.resolve_asset_graph()
    with_policy = {key.to_user_string() for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy}
    assert with_policy == {f"phase{phase}_validation_report" for phase in (1, 2, 3)}


def test_checkpoint_report_and_corpus_are_linked_both_ways(curriculum: tuple[Path, Run]) -> None:
    def links(asset: str) -> set[str]:
        found = curriculum[1].materialization(asset).metadata.values()
        return {m.asset_key.to_user_string() for m in found if isinstance(m, dg.DagsterAssetMetadataValue)}

    assert links("phase1_checkpoint") == {"english_corpus", "phase1_validation_report", "phase1_model_card"}
    assert links("phase1_model_card") == {"phase1_checkpoint", "phase1_validation_report"}
    assert links("phase1_validation_report") == {"english_corpus", "phase1_checkpoint"}
