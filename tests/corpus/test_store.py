"""What is kept under the name of its content: documents are read once, and nothing is changed afterwards."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hlx_model.cleanup.disk import is_leftover
from hlx_model.corpus import CorpusError, store
from hlx_model.corpus.build import BuiltCorpora, build
from hlx_model.corpus.documents import keep_documents, kept_documents, read_kept
from hlx_model.corpus.records import records
from hlx_model.corpus.verdict import recorded_verdict, require_built_passed, require_corpus_passed
from hlx_model.files import read_json, sha256_of, write_json
from hlx_model.layout import DERIVED_FROM, DOCUMENTS, EXAMPLES, ROWS, SOURCE, Artifacts
from tests.support.documents import small_text


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def contents(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): sha256_of(path) for path in root.rglob("*") if path.is_file()}


def built(document: Path, root: Path) -> BuiltCorpora:
    return build([document], Artifacts.at(root), seq_length=256)


def test_a_corpus_does_not_depend_on_how_the_path_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "inner" / "a.md", small_text())
    typed = (Path("inner/a.md"), Path("./inner/../inner/a.md"), tmp_path / "inner" / "a.md")
    found = [built(path, tmp_path / str(number)) for number, path in enumerate(typed)]
    assert len({str([one.document.name, one.examples.version]) for one in found}) == 1
    assert set(store.load(found[0].examples)["document"].to_pylist()) == {"a.md"}


def test_documents_of_the_same_name_are_told_apart_by_their_content(tmp_path: Path) -> None:
    one = write(tmp_path / "one" / "a.md", "English: One\nHLXL: 1\n")
    two = write(tmp_path / "two" / "a.md", "English: Two\nHLXL: 2\n")
    directory = keep_documents(Artifacts.at(tmp_path), [one, two])
    names = [document.name for document in kept_documents(directory)]
    assert names == [f"a-{sha256_of(path)[:8]}.md" for path in (one, two)]
    assert [entry.document for entry in read_kept(directory).entries] == names
    with pytest.raises(CorpusError, match=r"the same as .*one/a.md: name each document once"):
        keep_documents(Artifacts.at(tmp_path), [one, write(tmp_path / "three" / "a.md", one.read_text())])


def test_a_document_is_kept_as_it_was_read(tmp_path: Path) -> None:
    document = write(tmp_path / "a.md", small_text())
    found = built(document, tmp_path / "root")
    assert (found.document / "document.md").read_bytes() == document.read_bytes()
    (kept,) = kept_documents(found.document)
    assert found.documents == (kept.to_ref(),) == store.sources_of(found.examples.directory)
    assert (kept.name, kept.source, kept.sha256) == ("a.md", str(document), sha256_of(document))


def test_a_document_can_be_read_from_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    script = f"open({str(pipe)!r}, 'w').write('English: One\\nHLXL: 1\\n')"
    with subprocess.Popen([sys.executable, "-c", script]) as writer:
        directory = keep_documents(Artifacts.at(tmp_path), [pipe])
        assert writer.wait() == 0
    assert [entry.english for entry in read_kept(directory).entries] == ["One"]


def test_the_same_rows_from_another_document_change_no_file(tmp_path: Path) -> None:
    root = tmp_path / "root"
    first = built(write(tmp_path / "one.md", small_text()), root)
    before = contents(root / "corpora")
    second = built(write(tmp_path / "two.md", "A note of mine.\n\n" + small_text()), root)
    after = contents(root / "corpora")
    assert {name: after[name] for name in before} == before
    for asset, corpus in second.derived.items():
        assert corpus.directory == first.derived[asset].directory
        assert store.all_examples_of(corpus.directory).keys() == {first.examples.version, second.examples.version}


def test_rows_have_the_places_of_the_given_examples(tmp_path: Path) -> None:
    one, two = (
        write(tmp_path / "one.md", small_text()),
        write(tmp_path / "two.md", "A note of mine.\n\n" + small_text()),
    )
    for document in (one, two, one):
        made = built(document, tmp_path / "root")
        lines = {row["english"]: row["line"] for row in store.load(made.examples).to_pylist()}
        directory = made.derived["english_corpus"].directory
        rows = store.with_places(store.batches(directory), directory, made.examples.directory)
        for row in (row for batch in rows for row in batch.to_pylist()):
            assert (row["document"], row["line"]) == (document.name, lines[row["english"]])
        assert store.examples_of(directory) == made.examples.directory, "the newest are those that were made last"
        assert store.made_from(directory) == (made.examples.version, made.documents)


def test_the_same_examples_from_a_moved_document_get_another_record(tmp_path: Path) -> None:
    one = write(tmp_path / "one" / "a.md", small_text())
    first = built(one, tmp_path / "root")
    before = contents(tmp_path / "root")
    one.rename(write(tmp_path / "two" / "a.md", ""))
    second = built(tmp_path / "two" / "a.md", tmp_path / "root")
    assert second.document == first.document and second.examples.directory == first.examples.directory
    (kept,) = kept_documents(second.document)
    assert kept.source == str(tmp_path / "two" / "a.md")
    assert store.sources_of(second.examples.directory) == second.documents != first.documents
    assert len(records(second.document, SOURCE)) == len(records(second.examples.directory, DOCUMENTS)) == 2
    assert {name: contents(tmp_path / "root")[name] for name in before} == before


def test_a_damaged_version_is_replaced_when_it_is_made_again(tmp_path: Path) -> None:
    document = write(tmp_path / "a.md", small_text())
    made = built(document, tmp_path / "root")
    places = (made.document / "document.md", *(path / ROWS for path in made.directories.values()))
    whole = [sha256_of(path) for path in places]
    for path in places:
        path.write_bytes(path.read_bytes()[:-1])
    assert built(document, tmp_path / "root").directories == made.directories
    assert [sha256_of(path) for path in places] == whole


def test_a_corpus_of_version_0_1_0_is_read_and_gets_places_beside_it(tmp_path: Path) -> None:
    """Version 0.1.0 named documents as their paths were typed, kept no document, and judged no corpus in a file."""
    document = write(tmp_path / "a.md", small_text())
    made = built(document, tmp_path / "root")
    shutil.rmtree(made.document)
    directory = made.derived["paired_corpus"].directory
    rows = pq.read_table(directory / ROWS)
    typed = rows.set_column(rows.schema.get_field_index("document"), "document", [[str(document)] * rows.num_rows])
    pq.write_table(typed.cast(rows.schema), directory / ROWS)
    older = made.examples.directory.parent / ("0" * 64)
    write_json(directory / DERIVED_FROM, {EXAMPLES: older.name})
    before = contents(directory)

    assert store.verify(directory).rows == rows.num_rows
    assert store.examples_of(directory) == older
    assert require_corpus_passed(directory).gate("schema").outcome == "warn", "its examples are missing"
    again = built(document, tmp_path / "root")
    assert store.examples_of(directory) == again.examples.directory
    assert {name: contents(directory)[name] for name in before} == before
    require_built_passed(again, "paired_corpus")
    verdict = recorded_verdict(directory)
    assert verdict is not None and verdict.gate("schema").outcome == "pass"


BUILD = """
import sys
from pathlib import Path
from hlx_model.corpus.build import build
from hlx_model.corpus.verdict import require_built_passed
from hlx_model.layout import Artifacts
print("ready", flush=True)
sys.stdin.readline()
built = build([Path(sys.argv[1])], Artifacts.at(Path(sys.argv[2])), seq_length=256)
for asset in built.derived:
    require_built_passed(built, asset)
"""


def start(document: Path, root: Path) -> "subprocess.Popen[str]":
    """Start a process that builds every corpus as soon as a line is written to it."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(document), str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def go(*processes: "subprocess.Popen[str]") -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.close()


def test_six_processes_build_the_same_corpus_at_once_and_one_is_killed(tmp_path: Path) -> None:
    documents = [write(tmp_path / f"{n}.md", "A note.\n\n" * n + small_text()) for n in range(2)]
    root = tmp_path / "root"
    killed, *others = [start(documents[n % 2], root) for n in range(6)]
    go(killed, *others)
    while not list(root.glob("corpora/*_corpus/*")):
        assert killed.poll() is None, "the first one ended before it could be killed"
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    assert [process.wait(timeout=120) for process in others] == [0] * 5
    assert killed.wait() == -signal.SIGKILL
    for process in (killed, *others):
        assert process.stdout is not None
        process.stdout.close()

    versions = [path for path in root.glob("corpora/*/*") if not path.name.startswith(".")]
    assert sorted(path.parent.name for path in versions) == sorted(
        ["corpus_document", EXAMPLES] * 2 + ["english_corpus", "hlx_corpus", "paired_corpus"]
    )
    assert all(is_leftover(path) for path in root.rglob(".*")), "what a kill leaves is known by its name"
    for path in versions:
        if path.parent.name != "corpus_document":
            store.verify(path)
            assert require_corpus_passed(path).outcome != "fail"
    for document in documents:
        before = contents(root)
        made = built(document, root)
        assert contents(root) == before, "nothing is left to write"
        for corpus in made.derived.values():
            assert store.all_examples_of(corpus.directory).keys() >= {made.examples.version}


def test_a_reader_never_sees_a_version_change_while_it_is_built_again(tmp_path: Path) -> None:
    document = write(tmp_path / "a.md", small_text())
    directory = built(document, tmp_path / "root").derived["hlx_corpus"].directory
    process = start(document, tmp_path / "root")
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in directory.iterdir()}
    go(process)
    while process.poll() is None:
        assert {path: (path.stat().st_ino, path.read_bytes()) for path in directory.iterdir()} == before
    assert process.returncode == 0 and process.stdout is not None
    process.stdout.close()


def test_a_copy_under_another_root_has_the_verdict_of_its_source(tmp_path: Path) -> None:
    made = built(write(tmp_path / "a.md", small_text()), tmp_path / "there")
    require_built_passed(made, "hlx_corpus")
    copy = store.keep(Artifacts.at(tmp_path / "here"), store.verify(made.derived["hlx_corpus"].directory))
    assert copy.directory.is_relative_to(tmp_path / "here")
    assert recorded_verdict(copy.directory) == recorded_verdict(made.derived["hlx_corpus"].directory) is not None
    assert not (tmp_path / "here" / "corpora" / EXAMPLES).exists()
    assert require_corpus_passed(copy.directory).gate("schema").outcome == "pass"


def test_a_corpus_is_copied_without_its_modes_and_with_its_files_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems refuse modes (exFAT, shares of other machines)."""
    made = built(write(tmp_path / "a.md", small_text()), tmp_path / "there")
    source = made.derived["hlx_corpus"].directory
    (source / "notes").mkdir()
    (source / "gone").symlink_to("nowhere")
    (source / "passwords").symlink_to("/etc/hostname")
    (source / "notes.txt").write_text("mine")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("shutil.copymode", refuse)
    monkeypatch.setattr("shutil.copystat", refuse)
    copy = store.keep(Artifacts.at(tmp_path / "here"), store.verify(source))
    assert (copy.directory / ROWS).stat().st_mtime_ns == (source / ROWS).stat().st_mtime_ns
    assert {path.name for path in copy.directory.iterdir()} == {ROWS, DERIVED_FROM}


@pytest.mark.parametrize("name", [ROWS, DERIVED_FROM, "places-x.parquet", "documents-x.json"])
def test_a_link_in_a_kept_corpus_is_not_followed(tmp_path: Path, name: str) -> None:
    made = built(write(tmp_path / "a.md", small_text()), tmp_path / "there")
    source = made.derived["hlx_corpus"].directory
    elsewhere = tmp_path / "elsewhere"
    if (source / name).exists():
        (source / name).rename(elsewhere)
    else:
        elsewhere.write_text("a secret")
    (source / name).symlink_to(elsewhere)
    with pytest.raises(CorpusError, match=f"{name}: a link"):
        store.keep(Artifacts.at(tmp_path / "here"), store.verify(source))
    assert not list((tmp_path / "here").rglob(name))


def test_a_damaged_record_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    made = built(write(tmp_path / "a.md", small_text()), tmp_path / "root")
    write_json(made.document / SOURCE, [{**read_json(made.document / SOURCE)[0], "sha256": None}])
    with pytest.raises(CorpusError, match=r"source\.json: cannot be read \(sha256: .*make the corpus again"):
        kept_documents(made.document)
