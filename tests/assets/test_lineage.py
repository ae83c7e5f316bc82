"""The corpus changes and a phase is trained again: older artifacts still name what they were made from."""

from collections.abc import Mapping

import dagster as dg
import pyarrow.parquet as pq
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from hlx_assets.definitions import defs
from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.files import sha256_of
from hlx_model.layout import Artifacts
from hlx_model.provenance.events import read_events
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.provenance.tree import Node, lineage
from hlx_model.provenance.uses import uses_of_line, uses_of_text
from hlx_model.provenance.verify import verify_lineage
from tests.support.dagster_home import Home

OLD, NEW = "Read the files", "Read through the files"


def stale(home: Home, *assets: str) -> dict[str, bool]:
    """Which of the assets the UI shows as stale."""
    with home.instance() as instance:
        resolver = CachingStaleStatusResolver(
            instance=instance, asset_graph=defs.resolve_asset_graph(), loading_context=LoadingContextForTest(instance)
        )
        return {name: resolver.get_status(dg.AssetKey(name)) == StaleStatus.STALE for name in assets}


def document_of(tree: Node) -> set[str | None]:
    return {node.sha256 for node in tree.walk() if node.kind == "document"}


def test_after_an_edit_each_model_names_the_corpus_it_was_made_from(home: Home) -> None:
    document, training = home.path / "small.md", home.path / "artifacts" / "training"
    assert home.materialize("corpus_document").success  # the same version, now at its place in this home
    before = sha256_of(document)
    old_phase1 = checkpoint_of("phase1_checkpoint", training)
    old_phase3 = lineage("phase3_checkpoint", training)
    assert document_of(old_phase3) == {before}
    line = 1 + document.read_text(encoding="utf-8").splitlines().index(f"English: {OLD}")
    document.write_text(document.read_text(encoding="utf-8").replace(OLD, NEW), encoding="utf-8")

    corpora = ("corpus_document", "corpus_examples", "english_corpus", "hlx_corpus", "paired_corpus")
    run = home.materialize(*corpora, "phase1_checkpoint", "phase1_validation_report")
    assert run.success, run.failures

    assert document_of(lineage(old_phase3.name, training)) == {before}
    assert lineage(old_phase3.name, training) == old_phase3
    assert document_of(lineage("phase1_checkpoint", training)) == {sha256_of(document)}
    assert stale(home, "phase1_checkpoint", "phase2_checkpoint", "phase3_checkpoint") == {
        "phase1_checkpoint": False, "phase2_checkpoint": True, "phase3_checkpoint": True,
    }  # fmt: skip

    new_phase1 = checkpoint_of("phase1_checkpoint", training)
    assert new_phase1 != old_phase1
    assert {use.training_id for use in uses_of_text(NEW, training).found} == {new_phase1.parents[1].name}
    assert old_phase3.name.partition("/")[0] in {use.training_id for use in uses_of_text(OLD, training).found}
    saw = {use.training_id: use.what for use in uses_of_line(document.name, line, training).found}
    assert saw[new_phase1.parents[1].name].startswith(f"{NEW}: ")
    assert saw[old_phase1.parents[1].name].startswith(f"{OLD}: ") and len(saw) == 4
    assert {finding.outcome for finding in verify_lineage(checkpoint_of(old_phase3.name, training))} == {"ok"}


def test_what_dagster_made_is_recorded_beside_the_artifacts(home: Home) -> None:
    root = home.path / "artifacts"
    made = {event.asset: event for event in read_events(root)}
    assert made.keys() >= {"corpus_document", "paired_corpus", "phase3_checkpoint", "phase3_validation_report"}
    manifest = read_manifest(checkpoint_of("phase3_checkpoint", root / "training"))
    assert {event.run_id for event in made.values()} == {manifest.run_id}
    with home.instance() as instance:
        assert instance.get_run_by_id(made["phase3_checkpoint"].run_id) is not None
    nodes = list(lineage("phase3_checkpoint", root / "training").walk())
    assert {node.run_id for node in nodes} == {manifest.run_id} and all(node.made for node in nodes)
    assert manifest.parent is not None and manifest.parent.verdict is not None


def test_each_final_checkpoint_has_a_card_and_each_training_a_row(home: Home) -> None:
    training = home.path / "artifacts" / "training"
    for phase in (1, 2, 3):
        card = Artifacts(training).card(checkpoint_of(f"phase{phase}_checkpoint", training))
        shown, rest = str(latest(home, f"phase{phase}_model_card")["card"].value).split("\n\nThe rest: ")
        assert card.read_text(encoding="utf-8").startswith(shown) and rest.endswith("/README.md`")
    table = pq.read_table(home.path / "artifacts" / "history.parquet")
    assert sorted(table["phase"].to_pylist()) == [1, 2, 3] and latest(home, "training_history")["trainings"].value == 3


def latest(home: Home, asset: str) -> Mapping[str, dg.MetadataValue]:
    """The metadata of an asset's latest materialization."""
    with home.instance() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None and event.asset_materialization is not None
    return event.asset_materialization.metadata


def test_a_model_that_did_not_pass_has_no_card(home: Home) -> None:
    home.materialize("phase1_checkpoint", "phase1_validation_report", phase1_checkpoint={"lr": 10.0})
    run = home.materialize("phase1_model_card")
    assert "the gate of phase1_STOPPED_epoch" in run.failures["phase1_model_card"]


def test_a_document_whose_lines_have_moved_makes_nothing_stale(home: Home) -> None:
    document = home.path / "small.md"
    document.write_text(f"A note of mine.\n\n{document.read_text(encoding='utf-8')}", encoding="utf-8")
    run = home.materialize("corpus_document", "corpus_examples", "english_corpus", "hlx_corpus", "paired_corpus")
    assert run.success, run.failures
    assert stale(home, "phase1_checkpoint", "phase3_checkpoint") == {
        "phase1_checkpoint": False, "phase3_checkpoint": False,
    }  # fmt: skip
