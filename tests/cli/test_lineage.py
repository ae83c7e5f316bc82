"""`hlx lineage show | verify | uses`, as a user types them."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.support.command import Hlx
from tests.support.curriculum import Curriculum, trained
from tests.support.documents import small_text


def test_show_prints_what_a_checkpoint_was_made_from(hlx: Hlx, curriculum: Curriculum) -> None:
    checkpoint = curriculum.phases[3].checkpoint
    shown = hlx("lineage", "show", checkpoint)
    assert shown.code == 0
    for text in ("phase3_FINAL_epoch8", "phase2_FINAL_epoch30", "phase1_FINAL_epoch30", "paired_corpus", "small.md"):
        assert text in shown.out
    content = json.loads(hlx("lineage", "show", checkpoint, "--json").out)
    assert content["name"] == f"{curriculum.phases[3].plan.id}/phase3_FINAL_epoch8"
    assert content["settings"]["seed"] == 0 and content["made_from"][1]["made_from"][0]["name"] == "hlx_corpus"
    assert hlx("lineage", "show", checkpoint, "--mermaid").out.startswith("flowchart TD")


def test_verify_exits_with_0_or_1_and_names_the_first_broken_link(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(curriculum.root, tmp_path / "artifacts"))
    name = f"{curriculum.phases[3].plan.id}/phase3_FINAL_epoch8"
    arguments = ("lineage", "verify", name, "--checkpoint-dir", root / "training")
    assert hlx(*arguments).code == 0
    (root / "training" / name.replace("/", "/checkpoints/") / "state.json").unlink()
    ran = hlx(*arguments)
    assert ran.code == 1 and "broken first: phase3_FINAL_epoch8: state.json" in ran.out
    content = json.loads(hlx(*arguments, "--json").out)
    assert content["broken"] and {link["outcome"] for link in content["links"]} == {"ok", "broken"}


def test_a_checkpoint_that_was_copied_near_the_root_is_shown_and_verified(hlx: Hlx, curriculum: Curriculum) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        shutil.copytree(curriculum.phases[2].checkpoint, folder, dirs_exist_ok=True)
        assert hlx("lineage", "show", folder).code == 0
        ran = hlx("lineage", "verify", folder)
        assert ran.code == 0 and "unchecked" in ran.out
        ran = hlx("validate", "--checkpoint", folder)
        assert ran.code == 1 and "no corpus is kept here" in ran.error


def test_uses_prints_who_learned_from_a_document_or_an_entry(hlx: Hlx, curriculum: Curriculum) -> None:
    there = ("--checkpoint-dir", curriculum.training)
    document = hlx("lineage", "uses", curriculum.document, *there)
    assert document.code == 0 and "trainings that learned from it: 3" in document.out
    assert "Search for documents" in hlx("lineage", "uses", curriculum.document, "--line", 1, *there).out
    ran = hlx("lineage", "uses", "--text", "Search for documents", "--json", *there)
    assert {use["phase"] for use in json.loads(ran.out)["uses"]} == {1, 3, 2}
    assert hlx("lineage", "uses", "--text", "never written", *there).out == "no model saw it\n"


def test_uses_says_that_an_entry_was_set_aside_and_exits_with_0(hlx: Hlx, tmp_path: Path) -> None:
    document, reason = tmp_path / "mixed.md", "LC-T `3` reads as 3 where HLXL says 2"
    document.write_text(f"English: Two boats\nHLXL: 2\nLC-T: 3\n\n{small_text()}", encoding="utf-8")
    training = trained(document, tmp_path / "artifacts").parents[2]
    uses = ("lineage", "uses", "--checkpoint-dir", training)
    expected = f"mixed.md line 1: it was set aside (in quarantine: {reason}): no model saw it\n"
    for asked in ((document, "--line", 1), ("mixed.md", "--line", 3), ("--text", "Two boats")):
        ran = hlx(*uses, *asked)
        assert (ran.code, ran.out) == (0, expected)
        content = json.loads(hlx(*uses, *asked, "--json").out)
        entry = {"document": "mixed.md", "line": 1, "english": "Two boats", "reason": reason}
        assert content == {"uses": [], "quarantined": [entry], "unchecked": [], "written": []}
    shutil.rmtree(training.parent / "corpora" / "english_corpus")
    ran = hlx(*uses, "mixed.md", "--line", 1)
    assert ran.code == 1 and ran.out.endswith("): no model is known to have seen it\n")
    assert "unchecked: english_corpus" in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "nothing"), "nothing: no such checkpoint, asset, or training"),
        (("verify", "/no/where"), "no such checkpoint"),
        (("uses",), "name a document"),
        (("uses", "small.md", "--text", "x"), "name a document"),
        (("uses", "--text", "x", "--line", "3"), "--line needs a document"),
        (("uses", "absent.md"), "no document is recorded"),
    ],
)
def test_bad_input_is_one_line(hlx: Hlx, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    ran = hlx("lineage", *arguments, "--checkpoint-dir", tmp_path)
    assert ran.code == 1 and message in ran.error and ran.out == ""
