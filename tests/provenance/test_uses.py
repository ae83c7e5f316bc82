"""The models that used a document, an entry or a sentence are found."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from hlx_model.corpus.build import read_documents
from hlx_model.corpus.documents import keep_documents, read_corpus
from hlx_model.corpus.entries import CorpusError
from hlx_model.files import sha256_of
from hlx_model.layout import TAUGHT, Artifacts
from hlx_model.provenance.uses import QuarantinedEntry, Use, Uses, uses_of_document, uses_of_line, uses_of_text
from hlx_model.teaching.written import AskedQuestion, write_document
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, plan_training
from tests.support.curriculum import CPU, QUICK, Curriculum, trained
from tests.support.documents import NOUNS, small_text


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
        1: {"in validation"},
        2: {"in validation"},
        3: {"in validation"},
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


SET_ASIDE = """
English: Two boats
HLXL: 2
```lc-t
3
```

Prose.

## Lists

English: A list that never ends
HLXL:
[1,
2

English: Search for documents
HLXL: {1000: {@0: "search", @1: &h_documents}}

More prose.
"""
"""What is written below a good document: two entries with a defect, and one whose sentence is above already."""


@pytest.fixture(scope="module")
def with_quarantine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A document with three entries in quarantine, and the folder of a training on it."""
    root = tmp_path_factory.mktemp("quarantine")
    document = root / "mixed.md"
    document.write_text(small_text(nouns=(*NOUNS, "keys", "maps")) + SET_ASIDE, encoding="utf-8")
    return document, trained(document, root / "artifacts").parents[2]


def line_of(document: Path, text: str, last: bool = False) -> int:
    """The number of the line with this text, the first or the last one."""
    found = [i for i, line in enumerate(document.read_text(encoding="utf-8").split("\n"), 1) if line == text]
    return found[-1 if last else 0]


def test_every_line_of_a_quarantined_entry_is_known(with_quarantine: tuple[Path, Path]) -> None:
    document, training = with_quarantine
    two, never = line_of(document, "English: Two boats"), line_of(document, "English: A list that never ends")
    for begin, lines, reason in (
        (two, 5, "LC-T `3` reads as 3 where HLXL says 2"), (never, 4, "HLXL `[1, 2` cannot be read")
    ):  # fmt: skip
        for line in range(begin, begin + lines):
            found = uses_of_line("mixed.md", line, training)
            (entry,) = found.quarantined
            assert found.found == () and found.unchecked == ()
            assert (entry.document, entry.line) == ("mixed.md", begin) and entry.reason.startswith(reason), line
    for line in (two - 1, two + 6, never - 2, never + 4, 9999):  # empty lines, prose, a heading
        with pytest.raises(CorpusError, match=f"no entry at line {line}"):
            uses_of_line("mixed.md", line, training)


def test_a_version_that_was_read_and_never_trained_is_known_too(
    with_quarantine: tuple[Path, Path], tmp_path: Path
) -> None:
    """As after an edit that the sensor has read: the gate may be closed, and nothing is trained on it."""
    shutil.copytree(with_quarantine[1].parent, tmp_path / "artifacts")
    artifacts, edited = Artifacts.at(tmp_path / "artifacts"), tmp_path / "mixed.md"
    text = with_quarantine[0].read_text(encoding="utf-8")
    edited.write_text(f"{text}\n\nEnglish: New and broken\nHLXL: {{1000: {{@0:\n\nEnglish: New and good\nHLXL: 77\n")
    read_documents(artifacts, keep_documents(artifacts, [edited]), seq_length=256)
    found = uses_of_line("mixed.md", line_of(edited, "English: New and broken"), artifacts.training)
    assert found.found == () and [entry.english for entry in found.quarantined] == ["New and broken"]
    assert [entry.english for entry in uses_of_text("New and broken", artifacts.training).quarantined] == [
        "New and broken"
    ]
    assert uses_of_line("mixed.md", line_of(edited, "English: New and good"), artifacts.training) == Uses((), (), ())


def test_a_repeated_entry_is_quarantined_and_its_sentence_was_used(with_quarantine: tuple[Path, Path]) -> None:
    document, training = with_quarantine
    again, first = (line_of(document, "English: Search for documents", last=last) for last in (True, False))
    for line in (again, again + 1):
        found = uses_of_line(str(document), line, training)
        assert found.quarantined == (
            QuarantinedEntry(
                "mixed.md", again, "Search for documents", f"the sentence was seen before, in line {first}"
            ),
        )
        assert by_phase(found.found) == {1: {"trained on"}}
    assert uses_of_line(str(document), first, training).quarantined == ()


def test_a_quarantined_text_is_known_with_its_place(with_quarantine: tuple[Path, Path]) -> None:
    document, training = with_quarantine
    for text, line in (("Two boats", "English: Two boats"), ("[1,\n2", "English: A list that never ends")):
        found = uses_of_text(text, training)
        (entry,) = found.quarantined
        assert found.found == () and (entry.document, entry.line) == ("mixed.md", line_of(document, line))
    assert uses_of_text("Two boats or three", training) == Uses((), ())


def test_without_the_kept_document_the_first_line_is_known(with_quarantine: tuple[Path, Path], tmp_path: Path) -> None:
    document, training = with_quarantine
    artifacts = Artifacts.at(Path(shutil.copytree(training.parent, tmp_path / "artifacts")))
    shutil.rmtree(artifacts.root / "corpora" / "corpus_document")
    line = line_of(document, "English: Two boats")
    assert len(uses_of_line("mixed.md", line, artifacts.training).quarantined) == 1
    with pytest.raises(CorpusError, match="no entry at line"):
        uses_of_line("mixed.md", line + 1, artifacts.training)


def test_an_entry_that_was_mended_is_told_apart(with_quarantine: tuple[Path, Path], tmp_path: Path) -> None:
    document, training = with_quarantine
    root, line = Path(shutil.copytree(training.parent, tmp_path / "artifacts")), line_of(document, "English: Two boats")
    mended = tmp_path / "mixed.md"
    mended.write_text(document.read_text(encoding="utf-8").replace("HLXL: 2\n", "HLXL: 3\n"), encoding="utf-8")
    made = trained(mended, root).parents[1].name
    found = uses_of_line("mixed.md", line, root / "training")
    assert [entry.line for entry in found.quarantined] == [line]
    assert {use.training_id for use in found.found} == {made}


def test_what_a_teacher_wrote_is_found_with_who_wrote_it(curriculum: Curriculum, tmp_path: Path) -> None:
    artifacts = Artifacts.at(Path(shutil.copytree(curriculum.root, tmp_path / "artifacts")))
    (entry, *_) = read_corpus([curriculum.document]).entries
    asked = AskedQuestion(provider="qwen", model="q", system="Write", user="a search", cost_nanodollars=5, entries=20)
    row = {"english": entry.english, "HLXL": entry.texts[0], "question": "f" * 64}
    directory = write_document(artifacts, [row], [], {"f" * 64: asked}, None)
    shutil.copy(curriculum.document, directory / TAUGHT)
    assert entry.english is not None
    for uses in (
        uses_of_document(curriculum.document.name, artifacts.training),
        uses_of_document(sha256_of(curriculum.document)[:8], artifacts.training),
        uses_of_text(entry.english, artifacts.training),
        uses_of_line(curriculum.document.name, entry.line, artifacts.training),
    ):
        (source,) = uses.written
        assert uses.found and (source.provider, source.prompt, source.cost_nanodollars) == (
            "qwen",
            "Write\n\na search",
            5,
        )
    assert not uses_of_text("Search for nothing", artifacts.training).written
