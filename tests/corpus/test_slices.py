"""A document is read in slices by several processes: the same entries, errors and bytes as by one."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from hlx_model.corpus import Collection, CorpusError, compose_lines, document, read_corpus, slices, store
from hlx_model.corpus.slices import Found, Slice, read_slice
from hlx_model.layout import Artifacts
from hlx_model.parallel import ProcessEndedError, Processes
from tests.support.processes import pool_of

DAMAGED = "English: Wrong {0}\nHLXL: {0}\nLC-T: 8{0}\n\n"
LONG = f'"{"a" * 230}"'
OTHERS = (
    "English: No HLX below {0}\n\n",
    "HLXL: {0}\n\n",
    "English: Never closed {0}\nHLXL: [{0}\n\n",
    "## Section {0}\n\n",
    "English: Its own spelling {0}\nHLXL:  {0}\nLC-B: [0x000000000{0}]\n\n",
    "English: Alone in a fence\n```\n{0}\n```\n\n",
    f"English: Long {{0}}\nHLXL: {LONG}\nLC-R: {LONG}\n\n",
    "Enlgish: Six\n\n",
    "<!-- {0} -->\n",
)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return a composed document with other forms and damage in all of its parts, and one as a table."""
    folder = tmp_path_factory.mktemp("documents")
    found = []
    for number, line in enumerate("".join(compose_lines(6000, seed=0)).split("\n\n")):
        found.append(f"{line}\n\n")
        if number % 40 == 0:
            found.append(DAMAGED.format(number))
        if number % 50 == 0:
            found.append(OTHERS[number // 50 % len(OTHERS)].format(number))
    (folder / "mixed.md").write_text("".join(found), encoding="utf-8")
    rows = ["english,hlxl", *(f"Number {number} it is,{'[' * (number % 100 == 0)}{number}" for number in range(3000))]
    (folder / "rows.csv").write_text("\n".join(rows), encoding="utf-8")
    return [folder / "mixed.md", folder / "rows.csv"]


def read(documents: list[Path], processes: int, monkeypatch: pytest.MonkeyPatch) -> Collection:
    monkeypatch.setattr(document, "Processes", partial(Processes, processes, few=0))
    monkeypatch.setattr(slices, "_ENTRIES", 200)
    return read_corpus(documents)


def test_one_process_and_three_read_the_same(
    documents: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {number: read(documents, number, monkeypatch) for number in (1, 3)}
    assert found[3] == found[1]
    assert len(found[3].quarantined) > 150
    assert len(found[3].readings) >= 6
    kept = {number: store.store_examples(Artifacts.at(tmp_path / str(number)), one) for number, one in found.items()}
    assert kept[3].version == kept[1].version
    for name in ("rows.parquet", "quarantine.parquet"):
        assert (kept[3].directory / name).read_bytes() == (kept[1].directory / name).read_bytes()
    assert not pool_of()


def test_a_document_without_a_usable_entry_has_the_same_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "damaged.md"
    path.write_text("".join(DAMAGED.format(number) for number in range(2000)), encoding="utf-8")
    errors = []
    for number in (1, 3):
        with pytest.raises(CorpusError) as raised:
            read([path], number, monkeypatch)
        errors.append(str(raised.value))
    assert errors[0] == errors[1]
    assert "none of its 2000 entries is usable; mend them, beginning with line 1: LC-T `80` reads as 80" in errors[0]


def _killed(part: Slice) -> Found:
    if part.pieces[-1].section:
        os.kill(os.getpid(), signal.SIGKILL)
    return read_slice(part)


def test_a_killed_process_ends_reading_with_one_error(documents: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "read_slice", _killed)
    with pytest.raises(ProcessEndedError, match="was killed, perhaps because memory ran out"):
        read(documents, 3, monkeypatch)
    assert not pool_of()
