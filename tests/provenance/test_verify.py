"""Every kind of tampering is found and named; missing dependencies are unchecked."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hlx_model.corpus import tokens
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.files import read_json
from hlx_model.layout import ROWS
from hlx_model.provenance.links import Link
from hlx_model.provenance.verify import verify_lineage
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, plan_training
from tests.support.copies import ArtifactsCopy
from tests.support.curriculum import QUICK
from tests.support.damage import flip, reseal, seal


def test_all_links_of_a_curriculum_are_ok(copy: ArtifactsCopy) -> None:
    links = list(verify_lineage(copy.final(3)))
    assert {link.outcome for link in links if "no copy of it is kept" not in link.reason} == {"ok"}
    names = {link.link for link in links}
    for phase, corpus in ((3, "paired_corpus"), (2, "hlx_corpus"), (1, "english_corpus")):
        name = copy.final(phase).name
        assert {f"{name}: {part}" for part in ("manifest.json", "model.safetensors", "verdict.json", corpus)} <= names
    assert f"{copy.final(3).name}: parent {copy.final(2).name}" in names
    assert f"{copy.final(3).name}: verdict on {copy.final(2).name}" in names


def test_one_changed_byte_in_any_file_is_found(copy: ArtifactsCopy) -> None:
    for path in sorted(copy.final(3).iterdir()):
        whole = path.read_bytes()
        for place in (0, len(whole) // 3, len(whole) // 2, len(whole) - 1):
            flip(path, place)
            (first, *_) = broken(copy)
            assert path.name in first.reason, (path.name, place)
            path.write_bytes(whole)
    assert broken(copy) == []


def test_one_changed_byte_in_a_manifest_or_a_verdict_is_found(copy: ArtifactsCopy) -> None:
    for path in (copy.final(1) / "manifest.json", copy.report(1) / "verdict.json"):
        whole = path.read_bytes()
        for place in range(0, len(whole), 7):
            flip(path, place)
            assert broken(copy, 1), (path.name, place)
        path.write_bytes(whole + b"\n")
        assert broken(copy, 1)
        path.write_bytes(whole)


def broken(copy: ArtifactsCopy, phase: int = 3) -> list[Link]:
    return [link for link in verify_lineage(copy.final(phase)) if link.outcome == "broken"]


def exchange_corpus(copy: ArtifactsCopy) -> None:
    rows = copy.corpus(3, "paired_corpus") / "rows.parquet"
    pq.write_table(pq.read_table(rows).slice(1), rows)


def swap_parent(copy: ArtifactsCopy) -> None:
    shutil.rmtree(copy.final(2))
    shutil.copytree(copy.final(2).parent / "phase2_epoch1", copy.final(2))


def forge_outcome(copy: ArtifactsCopy) -> None:
    reseal(copy.report(3) / "verdict.json", outcome="pass" if outcome_of(copy) != "pass" else "fail")


def outcome_of(copy: ArtifactsCopy) -> str:
    return str(read_json(copy.report(3) / "verdict.json")["outcome"])


def forge_gates(copy: ArtifactsCopy) -> None:
    path = copy.report(3) / "verdict.json"
    gates = read_json(path)["gates"]
    changed = "fail" if gates[0]["outcome"] == "pass" else "pass"
    worst = "fail" if changed == "fail" or any(g["outcome"] == "fail" for g in gates[1:]) else outcome_of(copy)
    reseal(path, gates=[{**gates[0], "outcome": changed}, *gates[1:]], outcome=worst)


def another_verdict(copy: ArtifactsCopy) -> None:
    shutil.copytree(copy.report(2), copy.report(3), dirs_exist_ok=True)


def edit_report(copy: ArtifactsCopy) -> None:
    path = copy.report(3) / "report.json"
    path.write_text(path.read_text().replace('"exact_match": 0.', '"exact_match": 1.', 1) + " ")


def manifest_made_anew(copy: ArtifactsCopy) -> None:
    path = copy.final(3) / "manifest.json"
    reseal(path, settings={**read_json(path)["settings"], "seed": 77})


def forge_parent_verdict(copy: ArtifactsCopy) -> None:
    path = copy.final(3) / "manifest.json"
    parent = read_json(path)["parent"]
    outcome = "pass" if parent["verdict"]["outcome"] != "pass" else "warn"
    reseal(path, parent={**parent, "verdict": {**parent["verdict"], "outcome": outcome}})


TAMPERINGS: dict[str, tuple[Callable[[ArtifactsCopy], object], str]] = {
    "one bit in the weights": (lambda c: flip(c.final(3) / "model.safetensors", -1), "its SHA-256 is not the one in"),
    "truncated weights": (
        lambda c: (c.final(3) / "model.safetensors").write_bytes(b"short"), "5 bytes",
    ),
    "a deleted file": (lambda c: (c.final(3) / "state.json").unlink(), "state.json: missing"),
    "a deleted manifest": (lambda c: (c.final(3) / "manifest.json").unlink(), "manifest.json is missing"),
    "a foreign file": (lambda c: (c.final(3) / "extra.bin").write_bytes(b"x"), "extra.bin: foreign"),
    "an edited report": (edit_report, "report.json: changed"),
    "a deleted report": (lambda c: (c.report(3) / "report.html").unlink(), "report.html: missing"),
    "a swapped parent": (swap_parent, "swapped: its weights are"),
    "one bit in the parent's weights": (lambda c: flip(c.final(2) / "model.safetensors", -1), "phase2_FINAL"),
    "an exchanged corpus": (exchange_corpus, "changed or exchanged"),
    "a corpus of phase 1": (lambda c: (c.corpus(1, "english_corpus") / ROWS).unlink(), "rows.parquet is missing"),
    "a forged outcome": (forge_outcome, "forged: its outcome is"),
    "a forged gate": (forge_gates, "forged: report.json has other outcomes"),
    "a verdict of another checkpoint": (another_verdict, "verdict.json: on another checkpoint"),
    "a manifest made anew": (manifest_made_anew, "forged manifest.json: its settings"),
    "a milestone made to fail": (
        lambda c: reseal(c.final(3) / "manifest.json", milestones={"1": "fail"}), "forged: state.json has other",
    ),
    "a stop written into a FINAL": (
        lambda c: reseal(c.final(3) / "manifest.json", stopped="gate words"), "forged: FINAL, and stopped",
    ),
    "a verdict that allowed training to start": (forge_parent_verdict, "forged: manifest.json records"),
    "another checkpoint in its place": (
        lambda c: shutil.copytree(c.final(1), c.final(3), dirs_exist_ok=True), "swapped: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_tampering_is_found_and_named(copy: ArtifactsCopy, tampering: str) -> None:
    change, message = TAMPERINGS[tampering]
    change(copy)
    links = broken(copy)
    assert links and any(message in link.reason for link in links), links


def test_the_dependencies_of_a_checkpoint_copied_alone_are_unchecked(copy: ArtifactsCopy, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(copy.final(3), tmp_path / "usb" / "brain"))
    links = list(verify_lineage(alone))
    assert {link.outcome for link in links} == {"ok", "unchecked"}
    unchecked = {link.link.partition(": ")[2] for link in links if link.outcome == "unchecked"}
    assert unchecked == {
        "place", "verdict", "paired_corpus", "hlx_corpus", "english_corpus", "corpus_examples",
        "parent phase2_FINAL_epoch30",
    }  # fmt: skip
    flip(alone / "optimizer.safetensors", 100)
    (found,) = [link for link in verify_lineage(alone) if link.outcome == "broken"]
    assert "optimizer.safetensors" in found.reason


def test_a_parent_may_be_evaluated_again_unless_it_fails(copy: ArtifactsCopy) -> None:
    evaluate(copy.final(2))
    assert broken(copy) == []
    path = copy.report(2) / "verdict.json"
    reseal(path, gates_version="another")
    assert broken(copy) == []
    gates = read_json(path)["gates"]
    reseal(path, gates=[{**gate, "outcome": "fail"} for gate in gates], outcome="fail")
    assert any("fail in its report now" in link.reason for link in broken(copy))


def test_an_older_manifest_with_fewer_fields_is_verified(copy: ArtifactsCopy) -> None:
    path = copy.final(1) / "manifest.json"
    content = json.loads(path.read_text())
    for name in ("started", "resumed", "device", "code", "milestones", "ungated"):
        del content[name]
    for version in content["corpora"].values():
        del version["examples"], version["documents"]
    seal(path, content)
    assert broken(copy, 1) == []
    unchecked = [f.link for f in verify_lineage(copy.final(1)) if f.outcome == "unchecked"]
    assert unchecked == [
        "phase1_FINAL_epoch30: training id", "phase1_FINAL_epoch30: english_corpus → corpus_examples",
    ]  # fmt: skip


def test_the_token_file_that_was_trained_on_is_checked(
    small_document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "LARGE", 1)
    training = tmp_path / "training"
    plan = plan_training(1, QUICK, Overrides(size="tiny", epochs=1), corpus=[small_document], training=training)
    checkpoint = train(plan, execution=ExecutionConfig("cpu")).checkpoint

    def outcome() -> str:
        links = [link for link in verify_lineage(checkpoint) if link.link.endswith("english_corpus tokens")]
        (link,) = links
        return link.outcome

    (path,) = tokens.token_files(tmp_path / plan.corpora["english_corpus"].path)
    assert outcome() == "ok"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert outcome() == "broken"
    path.unlink()
    assert outcome() == "unchecked"
    again = plan_training(1, QUICK, Overrides(size="tiny", epochs=1), corpus=[small_document], training=training)
    assert (outcome(), path.read_bytes() == content, again.id) == ("ok", True, plan.id)
