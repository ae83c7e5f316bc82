"""What a training starts from: the profile, what overrides it, its corpora and its parent."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.composer.sampling import compose
from hlx_model.corpus import CorpusError, prompt, tokens
from hlx_model.corpus.build import read_documents
from hlx_model.corpus.documents import keep_documents
from hlx_model.corpus.store import store_derived
from hlx_model.layout import Artifacts
from hlx_model.training.plan import Overrides, TrainingPlan, plan_training, sample
from hlx_model.verdicts import GateClosed
from tests.support.curriculum import QUICK, SCHEDULES, Curriculum
from tests.support.documents import NOUNS, VERBS

NONE = Overrides()


def prepared(
    phase: int, corpus: Path, training: Path, overrides: Overrides = NONE, parent: Path | None = None
) -> TrainingPlan:
    return plan_training(
        phase, QUICK, overrides,
        corpus=[corpus], training=training, parent=verify_checkpoint(parent) if parent else None,
    )  # fmt: skip


def test_the_profile_sets_what_is_not_overridden(small_document: Path, tmp_path: Path) -> None:
    plan = prepared(1, small_document, tmp_path / "training", Overrides(learning_rate=0.5, seed=7))
    s = plan.settings
    assert (s.learning_rate, s.seed) == (0.5, 7)
    assert (s.size, s.batch_size, s.seq_length) == (QUICK.size, QUICK.batch_size, QUICK.seq_length)
    assert (s.prompt_weight, s.english_weight) == (QUICK.prompt_weight, QUICK.english_weight) != (1, 1)
    tokens = sum(len(text) + 1 for text in plan.train)
    assert s.epochs == QUICK.schedules[1].epochs_for(tokens)
    assert plan.directory == tmp_path / "training" / plan.id
    assert (plan.first_epoch, plan.parent, plan.replay) == (1, None, [])


def test_every_sentence_is_learned_from_or_held_out(small_document: Path, tmp_path: Path) -> None:
    plan = prepared(1, small_document, tmp_path / "training")
    sentences = {f"{words} {noun}" for words in VERBS.values() for noun in NOUNS}
    assert plan.held_out and set(plan.train) | set(plan.held_out) < sentences  # the rest is the test split
    assert not set(plan.train) & set(plan.held_out)
    assert list(plan.corpora) == ["english_corpus"]


def test_the_same_inputs_give_the_same_id_and_others_another(small_document: Path, tmp_path: Path) -> None:
    moved = shutil.copy(small_document, tmp_path / "moved.md")
    other = tmp_path / "other.md"
    other.write_text(small_document.read_text().replace("Search for documents", "Search all documents"))
    ids = [prepared(1, Path(path), tmp_path / "training").id for path in (small_document, moved, other)]
    assert ids[0] == ids[1] != ids[2]
    assert prepared(1, small_document, tmp_path / "training", Overrides(seed=1)).id not in ids


def test_a_stored_corpus_gives_the_same_plan_as_its_document(curriculum: Curriculum, tmp_path: Path) -> None:
    first = curriculum.phases[1].plan
    kept = curriculum.root / first.corpora["english_corpus"].path
    plan = prepared(1, kept, tmp_path / "training", SCHEDULES[1])
    assert (plan.id, plan.train) == (first.id, first.train)
    with pytest.raises(CorpusError, match="phase 2 is trained on hlx_corpus, not on english_corpus"):
        prepared(2, kept, tmp_path / "training", NONE, curriculum.phases[1].checkpoint)


def test_phase_2_starts_from_phase_1_and_replays_its_corpus(curriculum: Curriculum) -> None:
    one, two = curriculum.phases[1], curriculum.phases[2]
    assert two.plan.first_epoch == 1
    assert two.plan.settings.size == one.plan.settings.size
    assert set(two.plan.corpora) == {"english_corpus", "hlx_corpus"}
    assert two.plan.corpora["english_corpus"] == one.plan.corpora["english_corpus"]
    assert two.plan.replay == [one.plan.train]


def test_phase_3_replays_both_phases_before(curriculum: Curriculum) -> None:
    one, two, three = (curriculum.phases[phase].plan for phase in (1, 2, 3))
    assert set(three.corpora) == {"english_corpus", "hlx_corpus", "paired_corpus"}
    assert sorted(map(len, three.replay)) == sorted([len(one.train), len(two.train)])
    assert any(text.startswith(prompt("LC-R", "Sort all users")) for text in (*three.train, *three.held_out))


def test_without_replay_the_corpora_are_named_all_the_same(curriculum: Curriculum) -> None:
    plan = prepared(2, curriculum.document, curriculum.training, Overrides(replay=0.0), curriculum.phases[1].checkpoint)
    assert plan.replay == [] and "english_corpus" in plan.corpora


def test_the_same_phase_resumes_after_its_parent_under_another_id(curriculum: Curriculum) -> None:
    one = curriculum.phases[1]
    tenth = one.checkpoint.parent / "phase1_epoch10"
    plan = prepared(1, curriculum.document, curriculum.training, SCHEDULES[1], tenth)
    assert plan.first_epoch == 11
    assert plan.id != one.plan.id
    with pytest.raises(ValueError, match=r"epochs is 10: .*phase1_epoch10 has already ended epoch 10 of this phase"):
        prepared(1, curriculum.document, curriculum.training, Overrides(epochs=10), tenth)


def test_a_parent_of_another_phase_or_size_is_refused(curriculum: Curriculum) -> None:
    one, two = curriculum.phases[1].checkpoint, curriculum.phases[2].checkpoint

    def refused(phase: int, parent: Path | None, overrides: Overrides = NONE) -> str:
        with pytest.raises(CheckpointError) as error:
            prepared(phase, curriculum.document, curriculum.training, overrides, parent)
        return str(error.value)

    assert refused(2, None) == "phase 2 starts from a checkpoint of phase 1: name it with --resume-from"
    assert refused(3, one) == f"{one} is of phase 1: phase 3 starts from one of phase 2 or 3"
    assert refused(1, two) == f"{two} is of phase 2: phase 1 starts from one of phase 1"
    assert refused(2, one, Overrides(size="10m")) == f"{one} is of size tiny, not 10m: use --size tiny"


@pytest.mark.parametrize("phase", [0, 4])
def test_there_are_three_phases(small_document: Path, tmp_path: Path, phase: int) -> None:
    with pytest.raises(ValueError, match=f"phase is {phase}: it must be 1, 2 or 3"):
        prepared(phase, small_document, tmp_path / "training")
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_with_nothing_held_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "few.md").write_text(compose(24, seed=0))
    said = r"^few\.md: the gate of corpus_examples is closed: coverage: .*0 rows in validation, .*more entries"
    with pytest.raises(GateClosed, match=said):
        prepared(1, tmp_path / "few.md", tmp_path / "training")


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    texts = [str(i) for i in range(100)]
    assert sample(texts, 10, seed=1) == sample(texts, 10, seed=1) != sample(texts, 10, seed=2)
    assert sorted(sample(texts, 1000, seed=1)) == sorted(texts)


def test_a_document_with_too_much_in_quarantine_is_not_trained_on(
    small_document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "bad.md"
    bad.write_text(small_document.read_text().replace("LC-B: [1000", "LC-B: [1001", 3))
    said = r"^bad\.md: the gate of corpus_examples is closed: quarantine: 3 of 48 entries .*6\.2%; required ≤ 5%"
    with pytest.raises(GateClosed, match=said):
        prepared(1, bad, tmp_path / "training")
    monkeypatch.setenv("HLX_MOST_QUARANTINED", "0.07")
    assert len(prepared(1, bad, tmp_path / "training").train) < 45


def mixed(small_document: Path, root: Path) -> Path:
    """The kept English corpus of a user's document with composed entries beside it."""
    artifacts = Artifacts(root / "training")
    document = keep_documents(artifacts, [small_document], composed=400)
    examples, _ = read_documents(artifacts, document, seq_length=256)
    return store_derived(artifacts, "english_corpus", examples).directory


@pytest.mark.parametrize("weight", [0.0, 0.2, 0.6])
def test_a_users_document_is_repeated_beside_composed_entries(
    weight: float, small_document: Path, tmp_path: Path
) -> None:
    """So often that its share of the tokens is the weight, whatever is composed beside it."""
    corpus = mixed(small_document, tmp_path)
    plan = prepared(1, corpus, tmp_path / "training", Overrides(document_weight=weight))
    own = {f"{words} {noun}" for words in VERBS.values() for noun in NOUNS}
    counts = Counter(plan.train)
    times = max(counts.values())
    assert (times > 1) is bool(weight) and {counts[sentence] for sentence in own} <= {0, times}
    assert {count for sentence, count in counts.items() if sentence not in own} == {1}
    share = sum(len(text) for text in plan.train if text in own) / sum(map(len, plan.train))
    assert share == pytest.approx(max(weight, 0.03), abs=0.02)


def test_the_document_weight_is_part_of_the_training_id(small_document: Path, tmp_path: Path) -> None:
    corpus = mixed(small_document, tmp_path)
    plans = [prepared(1, corpus, tmp_path / "training", Overrides(document_weight=weight)) for weight in (0.1, 0.2)]
    assert plans[0].id != plans[1].id
    assert plans[0].corpora["english_corpus"].data_version == plans[1].corpora["english_corpus"].data_version


def test_documents_alone_are_not_repeated(small_document: Path, tmp_path: Path) -> None:
    plan = prepared(1, small_document, tmp_path / "training", Overrides(document_weight=0.9))
    assert len(plan.train) == len(set(plan.train))


def test_a_document_of_few_entries_is_repeated_a_hundred_times_at_most(tmp_path: Path) -> None:
    few = tmp_path / "few.md"
    few.write_text("English: Bake the cake\nHLXL: [1]\n\nEnglish: Eat the cake\nHLXL: [2]\n")
    corpus = mixed(few, tmp_path)
    plan = prepared(1, corpus, tmp_path / "training", Overrides(document_weight=0.9))
    assert max(Counter(plan.train).values()) == 100


def test_a_token_file_changes_no_text_and_no_id(
    small_document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = prepared(1, small_document, tmp_path / "training")
    monkeypatch.setattr(tokens, "LARGE", 1)
    large = prepared(1, small_document, tmp_path / "training")
    assert (large.id, large.train, large.held_out) == (small.id, small.train, small.held_out)
    (path,) = tokens.token_files(Artifacts(tmp_path / "training").root / large.corpora["english_corpus"].path)
    assert path.name == f"tokens-{large.corpora['english_corpus'].tokens}.bin"
    assert small.corpora["english_corpus"].tokens is None and "tokens" not in small.corpora["english_corpus"].to_json()
