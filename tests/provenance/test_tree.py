"""The tree shows what a checkpoint was made from, as recorded; names lead to checkpoints."""

import shutil
from pathlib import Path

import pytest

from hlx_model.checkpoints.manifest import CheckpointError, read_manifest
from hlx_model.corpus.entries import CorpusError
from hlx_model.files import sha256_of
from hlx_model.layout import EVENTS, MANIFEST
from hlx_model.provenance.events import Event, read_events, record_event
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.provenance.tree import CheckpointNode, Node, lineage, mermaid, outline
from tests.support.curriculum import Curriculum


@pytest.fixture
def root(curriculum: Curriculum, tmp_path: Path) -> Path:
    """A copy of the curriculum's artifacts."""
    return Path(shutil.copytree(curriculum.root, tmp_path / "artifacts"))


def tree_of(checkpoint: Path, training: Path) -> CheckpointNode:
    tree = lineage(str(checkpoint), training)
    assert isinstance(tree, CheckpointNode)
    return tree


def parent_of(tree: Node) -> CheckpointNode:
    """The one checkpoint that it was made from."""
    (parent,) = [node for node in tree.made_from if isinstance(node, CheckpointNode)]
    return parent


def test_the_tree_leads_from_phase_3_to_the_document(curriculum: Curriculum) -> None:
    tree = tree_of(curriculum.phases[3].checkpoint, curriculum.training)
    names = [(node.kind, node.name.rpartition("/")[2]) for node in tree.walk()]
    examples = [("corpus", "corpus_examples"), ("document", "small.md")]
    assert names == [
        ("checkpoint", "phase3_FINAL_epoch8"), ("corpus", "paired_corpus"), *examples,
        ("checkpoint", "phase2_FINAL_epoch30"), ("corpus", "hlx_corpus"), *examples,
        ("checkpoint", "phase1_FINAL_epoch30"), ("corpus", "english_corpus"), *examples,
    ]  # fmt: skip
    document = next(node for node in tree.walk() if node.kind == "document")
    assert document.sha256 == sha256_of(curriculum.document)
    verdict = curriculum.phases[3].evaluation.verdict
    assert (tree.verdict, tree.run_id) == (verdict, "the run")
    assert tree.started_by == f"verdict {curriculum.phases[2].evaluation.verdict.outcome}"


def test_a_missing_ancestor_is_described_by_what_its_child_records(root: Path) -> None:
    three = next(root.glob("training/*/checkpoints/phase3_FINAL*"))
    two = read_manifest(three).parent
    assert two is not None
    shutil.rmtree(root / "training" / two.training_id)
    tree = tree_of(three, root / "training")
    assert (parent_of(tree).sha256, parent_of(tree).available) == (two.weights_sha256, False)
    content = parent_of(tree).to_json()
    assert content["at_hand"] is False and "size" not in content and "damaged" not in content
    # The child records the corpora of its ancestors too.
    assert {node.name for node in tree.made_from if node.kind == "corpus"} == {
        "paired_corpus", "hlx_corpus", "english_corpus",
    }  # fmt: skip


def test_another_checkpoint_in_the_place_of_an_ancestor_is_shown(root: Path) -> None:
    three = next(root.glob("training/*/checkpoints/phase3_FINAL*"))
    two = next(root.glob("training/*/checkpoints/phase2_FINAL*"))
    shutil.rmtree(two)
    shutil.copytree(two.parent / "phase2_epoch1", two)
    ancestor = parent_of(tree_of(three, root / "training"))
    assert ancestor.swapped and not ancestor.available and ancestor.to_json()["swapped"] is True


def test_a_damaged_ancestor_is_shown_with_what_is_wrong(root: Path) -> None:
    three = next(root.glob("training/*/checkpoints/phase3_FINAL*"))
    (next(root.glob("training/*/checkpoints/phase2_FINAL*")) / MANIFEST).write_text("{")
    ancestor = parent_of(tree_of(three, root / "training"))
    assert not ancestor.available and MANIFEST in str(ancestor.to_json()["damaged"])


def test_a_checkpoint_is_found_by_each_of_its_names(root: Path) -> None:
    training = root / "training"
    final = next(root.glob("training/*/checkpoints/phase1_FINAL*"))
    identity = final.parents[1].name
    record_event(root, Event("phase1_checkpoint", str(final.relative_to(root)), "the run", "2026-11-22T00:00:00+00:00"))
    for name in (str(final), f"{identity}/{final.name}", identity, identity[:6], "phase1_checkpoint",
                 "phase1_validation_report"):  # fmt: skip
        assert checkpoint_of(name, training) == final
    assert checkpoint_of(f"{identity}/phase1_epoch10", training).name == "phase1_epoch10"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "no such checkpoint, asset, or training"),
        ("phase2_checkpoint", "was never materialized"),
        ("/no/such/path", "no such checkpoint"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(root: Path, name: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        checkpoint_of(name, root / "training")


def test_the_latest_materialization_of_a_corpus_has_a_tree(root: Path) -> None:
    version = next(iter((root / "corpora" / "paired_corpus").iterdir()))
    with pytest.raises(CorpusError, match="paired_corpus was never materialized"):
        lineage("paired_corpus", root / "training")
    record_event(
        root, Event("paired_corpus", f"corpora/paired_corpus/{version.name}", "r", "2026-11-22T00:00:00+00:00")
    )
    tree = lineage("paired_corpus", root / "training")
    assert [node.name for node in tree.walk()] == ["paired_corpus", "corpus_examples", "small.md"]
    assert (tree.sha256, tree.run_id) == (version.name, "r")


def test_a_shortened_line_of_the_events_is_skipped(tmp_path: Path) -> None:
    event = Event("hlx_corpus", "corpora/hlx_corpus/1", "r", "2026-11-22T00:00:00+00:00")
    record_event(tmp_path, event)
    with (tmp_path / EVENTS).open("a") as file:
        file.write('{"asset": "hlx_c\n')
    record_event(tmp_path, event)
    assert read_events(tmp_path) == [event, event]


def test_the_outline_nests_what_each_node_was_made_from(curriculum: Curriculum) -> None:
    lines = outline(lineage(str(curriculum.phases[3].checkpoint), curriculum.training)).splitlines()
    assert [len(line) - len(line.lstrip()) for line in lines] == [0, 2, 4, 6, 2, 4, 6, 8, 4, 6, 8, 10]
    assert lines[0].startswith(f"- **{curriculum.phases[3].plan.id}/phase3_FINAL_epoch8** `")
    assert lines[3].lstrip().startswith("- **small.md** `")


def test_the_diagram_contains_shared_nodes_once(curriculum: Curriculum) -> None:
    diagram = mermaid(lineage(str(curriculum.phases[3].checkpoint), curriculum.training))
    assert diagram.startswith("flowchart TD\n")
    assert (diagram.count('"small.md'), diagram.count('"corpus_examples'), diagram.count(" --> ")) == (1, 1, 9)
