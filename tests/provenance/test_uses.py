"""The models that used a document, an entry or a sentence are found."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from hlx_model.corpus.entries import CorpusError
from hlx_model.files import sha256_of
from hlx_model.provenance.uses import Use, Uses, uses_of_document, uses_of_line, uses_of_text
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, plan_training
from tests.support.curriculum import CPU, QUICK, Curriculum
from tests.support.documents import small_text


def by_phase(uses: Sequence[Use]) -> dict[int, set[str]]:
    """How each phase came by it."""
    found: dict[int, set[str]] = {}
    for use in uses:
        found.setdefault(use.phase, set()).add(use.how)
    return found


INHERITED = "trained on by an ancestor, and replayed"


def test_a_document_is_found_by_path_name_hash_and_version(curriculum: Curriculum) -> None:
    document = curriculum.document
    for name in (str(document), document.name, sha256_of(document)[:10]):
        found = uses_of_document(name, curriculum.training).found
        assert by_phase(found) == {1: {"trained on"}, 2: {"trained on", INHERITED}, 3: {"trained on", INHERITED}}
    version = curriculum.phases[2].plan.corpora["hlx_corpus"].data_version
    assert by_phase(uses_of_document(version, curriculum.training).found) == {2: {"trained on"}, 3: {INHERITED}}
    with pytest.raises(CorpusError, match=r"other.md: not recorded by any training .*: recorded are small.md"):
        uses_of_document("other.md", curriculum.training)


def test_an_entry_is_found_by_its_line_and_shown_as_it_was(curriculum: Curriculum) -> None:
    lines = curriculum.document.read_text(encoding="utf-8").splitlines()
    line = 1 + next(i for i, text in enumerate(lines) if text == "English: Search for documents")
    found = uses_of_line(str(curriculum.document), line + 2, curriculum.training).found  # its LC-R
    assert {use.phase for use in found} == {1, 2, 3}
    (what,) = {use.what for use in found}
    assert what.startswith("Search for documents: {1000:")
    with pytest.raises(CorpusError, match="no entry at line 9999"):
        uses_of_line(str(curriculum.document), 9999, curriculum.training)


def test_a_held_out_sentence_was_not_trained_on(curriculum: Curriculum) -> None:
    held_out = curriculum.phases[1].plan.held_out[0]
    assert by_phase(uses_of_text(held_out, curriculum.training).found) == {
        1: {"held out"},
        2: {"held out"},
        3: {"held out"},
    }
    learned = curriculum.phases[1].plan.train[0]
    assert by_phase(uses_of_text(learned, curriculum.training).found)[1] == {"trained on"}
    assert uses_of_text("nobody ever wrote this", curriculum.training) == Uses((), ())


def test_a_line_of_hlx_is_found(curriculum: Curriculum) -> None:
    text = curriculum.phases[2].plan.train[0]
    found = by_phase(uses_of_text(text, curriculum.training).found)
    assert found.keys() == {2, 3} and "trained on" in found[2]


def test_models_of_an_entry_before_and_after_an_edit_are_told_apart(tmp_path: Path) -> None:
    document, training = tmp_path / "small.md", tmp_path / "artifacts" / "training"
    old, new = "Search for documents", "Search for all documents"
    made = {}
    for sentence in (old, new):
        document.write_text(small_text().replace(f"English: {old}\n", f"English: {sentence}\n"), encoding="utf-8")
        plan = plan_training(
            1, QUICK, Overrides(epochs=1, batch_size=4), corpus=[document], training=training
        )  # fmt: skip
        made[sentence] = train(plan, execution=CPU).checkpoint.parents[1].name
    for sentence, training_id in made.items():
        assert {use.training_id for use in uses_of_text(sentence, training).found} == {training_id}
    found = {use.training_id: use.what for use in uses_of_line(str(document), 1, training).found}
    assert found[made[old]].startswith(f"{old}: ") and found[made[new]].startswith(f"{new}: ")
    what = {use.training_id: use.what for use in uses_of_document(str(document), training).found}
    assert "another version than now" in what[made[old]] and "as it is now" in what[made[new]]


def test_what_cannot_be_checked_is_named(curriculum: Curriculum, tmp_path: Path) -> None:
    root = Path(shutil.copytree(curriculum.root, tmp_path / "artifacts"))
    training = root / "training"
    one = curriculum.phases[1].plan
    (training / one.id / "checkpoints" / "phase1_FINAL_epoch30" / "manifest.json").write_text("{")
    assert {use.phase for use in uses_of_document("small.md", training).found} == {1, 2, 3}
    for manifest in training.glob(f"{one.id}/checkpoints/*/manifest.json"):
        manifest.write_text("{")
    found = uses_of_document("small.md", training)
    assert {use.phase for use in found.found} == {2, 3}
    assert found.unchecked == (f"training {one.id}: no manifest of it can be read",)
    shutil.rmtree(root / "corpora")
    found = uses_of_text("Search for documents", training)
    assert found.found == () and len(found.unchecked) == 4
