"""What is no document, or is one only in part, is named with its cause; a name or a link of a file is no cause."""

import bz2
import gzip
import lzma
import shutil
from pathlib import Path

import pytest

from hlx_model.corpus import CorpusError, parse_document, read_document, store
from hlx_model.corpus.build import read_documents
from hlx_model.corpus.documents import keep_documents
from hlx_model.corpus.verdict import judged_today
from hlx_model.layout import Artifacts

TEXT = "English: Number five\nHLXL: 5\n"
OTHER_CONTENTS: dict[str, tuple[bytes, str]] = {
    "utf-16 with a mark": (TEXT.encode("utf-16"), "is UTF-16; save it as UTF-8"),
    "utf-16-le": (TEXT.encode("utf-16-le"), "is UTF-16; save it as UTF-8"),
    "utf-16-be": (TEXT.encode("utf-16-be"), "is UTF-16; save it as UTF-8"),
    "utf-32 with a mark": (TEXT.encode("utf-32"), "is UTF-32; save it as UTF-8"),
    "utf-32-be": (TEXT.encode("utf-32-be"), "is UTF-32; save it as UTF-8"),
    "gzip": (gzip.compress(TEXT.encode()), "is compressed (gzip); unpack it"),
    "bzip2": (bz2.compress(TEXT.encode()), "is compressed (bzip2); unpack it"),
    "xz": (lzma.compress(TEXT.encode()), "is compressed (xz); unpack it"),
    "zip": (b"PK\x03\x04" + bytes(30), "is a ZIP archive, or a document of an office program"),
    "pdf": (b"%PDF-1.7\n" + TEXT.encode(), "is a PDF"),
    "not written to its end": (TEXT.encode() + bytes(5000), "a zero byte at byte offset 29"),
    "a zero byte far behind": (TEXT.encode() * 1000 + b"English: \0\n", "a zero byte at byte offset 29009"),
    "zero bytes": (bytes(100), "a zero byte at byte offset 0"),
}


@pytest.mark.parametrize("kind", OTHER_CONTENTS)
@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.jsonl"])
def test_a_file_that_is_no_utf_8_text_is_named_with_its_cause(tmp_path: Path, kind: str, name: str) -> None:
    content, cause = OTHER_CONTENTS[kind]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CorpusError) as error:
        read_document(path)
    assert f"{path}: {cause}" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["résumé.md", "корпус.md", "名前 🜃.md", "a\u200d.md", "a\x1b[2J.md"])
def test_a_document_may_have_any_name(tmp_path: Path, small_document: Path, name: str) -> None:
    path, artifacts = Path(shutil.copyfile(small_document, tmp_path / name)), Artifacts.at(tmp_path)
    examples, _ = read_documents(artifacts, keep_documents(artifacts, [path]), seq_length=256)
    assert judged_today(examples.directory).outcome != "fail"


@pytest.mark.parametrize("linked", ["rows.parquet", ""])
def test_a_link_in_a_kept_corpus_is_not_followed(tmp_path: Path, small_document: Path, linked: str) -> None:
    artifacts = Artifacts.at(tmp_path)
    examples, _ = read_documents(artifacts, keep_documents(artifacts, [small_document]), seq_length=256)
    place = examples.directory / linked
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CorpusError, match="a link leads elsewhere and is not followed"):
        store.verify(examples.directory)


def test_a_comment_that_is_never_closed_is_quarantined() -> None:
    text = "English: the first\nHLXL: 99\n\n<!-- todo\nEnglish: b\nHLXL: 1\n\nEnglish: c\nHLXL: 2"
    document = parse_document(text, "corpus.md")
    (row,) = document.quarantined
    assert (row.line, row.reason) == (4, "an HTML comment is never closed: nothing below it is read")
    assert parse_document(f"{text}\n-->", "corpus.md").quarantined == ()
