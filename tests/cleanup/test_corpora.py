"""A version of a corpus is kept for what was made from it, as the newest, or because an asset names it."""

from pathlib import Path

from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.cleanup import carry_out, disk, plan_cleanup
from hlx_model.corpus import store
from hlx_model.corpus.build import build
from hlx_model.evaluation.documents import named_for
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.files import write_json
from hlx_model.layout import EVALUATION, Artifacts
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, plan_training
from tests.support.copies import ArtifactsCopy, age, as_parent, forge, intact, materialize, new_corpus
from tests.support.curriculum import CPU, QUICK


def test_a_corpus_stays_if_and_only_if_a_training_used_it(home: ArtifactsCopy) -> None:
    used, unused = new_corpus(home, 40), new_corpus(home, 36)
    plan = plan_training(
        1, QUICK, Overrides(epochs=1, batch_size=4),
        corpus=[used["english_corpus"]], training=home.training,
    )  # fmt: skip
    train(plan, execution=CPU)
    for directory in (*used.values(), *unused.values()):
        age(directory)
    going = {home.root / path for path in home.going("corpus")}
    assert going == {*unused.values(), used["hlx_corpus"], used["paired_corpus"]} - {newest_document(home)}
    carry_out(plan_cleanup(home.training))
    assert used["english_corpus"].is_dir() and used["corpus_examples"].is_dir() and used["corpus_document"].is_dir()
    store.load(used["english_corpus"])
    intact(home)


def newest_document(home: ArtifactsCopy) -> Path:
    return max((home.root / "corpora" / "corpus_document").iterdir(), key=disk.last_written)


def test_what_an_asset_was_last_materialized_to_stays(home: ArtifactsCopy) -> None:
    older, later = new_corpus(home, 40), new_corpus(home, 36)
    epoch = home.of(1) / "checkpoints" / "phase1_epoch10"
    for made in (older, later):
        for asset, directory in made.items():
            materialize(home, asset, directory)
    materialize(home, "phase1_checkpoint", epoch)
    going = {home.root / path for path in home.going()}
    assert not going & {*later.values(), epoch}
    assert {older[asset] for asset in ("english_corpus", "hlx_corpus", "paired_corpus", "corpus_examples")} <= going


def test_the_newest_corpus_stays_before_any_training(tmp_path: Path, small_document: Path) -> None:
    home = ArtifactsCopy(tmp_path / "artifacts", None)  # type: ignore[arg-type]
    older = new_corpus(home, 40)
    newest = build([small_document], Artifacts(home.training), seq_length=256)
    assert {home.root / path for path in home.going()} == set(older.values())
    carry_out(plan_cleanup(home.training))
    for directory in newest.directories.values():
        store.load(directory)
    assert (newest.document / "document.md").is_file()


def test_trainings_in_a_folder_beside_keep_what_they_need(home: ArtifactsCopy) -> None:
    old = new_corpus(home)
    beside = home.root / "experiments"
    plan = plan_training(1, QUICK, Overrides(epochs=1), corpus=[old["english_corpus"]], training=beside)
    ended = train(plan, execution=CPU).checkpoint
    epoch = home.of(1) / "checkpoints" / "phase1_epoch10"
    forge(beside, read_manifest(ended).replace(training_id="2" * 16, parent=as_parent(epoch)))
    age(old["english_corpus"])
    carry_out(plan_cleanup(home.training))
    assert epoch.is_dir() and old["english_corpus"].is_dir() and old["corpus_examples"].is_dir()
    assert not old["hlx_corpus"].exists()
    assert not [path for path in plan_cleanup(beside).goes if path.path.is_relative_to(home.training)]


def test_the_verdict_on_a_corpus_is_kept_and_removed_with_it(home: ArtifactsCopy) -> None:
    artifacts, old = Artifacts(home.training), new_corpus(home)["hlx_corpus"]
    kept = home.root / read_manifest(home.final(2)).corpora["hlx_corpus"].path
    verdicts = [artifacts.corpus_report("hlx_corpus", name) for name in (old.name, kept.name, "0" * 64)]
    verdicts.append(artifacts.corpus_report("other_corpus", "0" * 64))  # hlx knows no such asset
    for directory in verdicts:
        write_json(directory / "verdict.json", {})
    assert home.going("report") == {str(verdicts[n].relative_to(home.root)) for n in (0, 2)}
    carry_out(plan_cleanup(home.training))
    assert not old.exists() and [path.exists() for path in verdicts] == [False, True, False, True]


def test_the_evaluation_examples_of_a_report_stay_and_those_of_an_older_one_go(
    home: ArtifactsCopy, tmp_path: Path
) -> None:
    artifacts, kept = Artifacts(home.training), list[Path]()
    exams = [tmp_path / f"{name}.md" for name in ("kites", "boats", "stars")]
    for exam in exams:
        thing = exam.stem
        exam.write_text(f'English: Search for {thing}\nHLXL: {{1000: {{@0: "search", @1: &h_{thing}}}}}\n', "utf-8")
    for exam in exams[:2]:
        version = evaluate(home.final(3), documents=[exam]).verdict.evaluation
        assert version is not None
        kept.append(artifacts.corpus(EVALUATION, version))
        age(kept[-1])
    named_for(exams[2:], (), artifacts)  # the newest version stays without a report
    before, latest = kept
    going = {home.root / path for path in home.going()}
    assert before in going and latest not in going
    carry_out(plan_cleanup(home.training))
    assert not before.exists()
    assert store.load(latest)["english"].to_pylist() == ["Search for boats"]
