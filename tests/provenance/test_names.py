"""No name in a file leads a command to another folder: it is invalid, and nothing there is opened."""

import builtins
import io
import json
import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from hlx_model.files import read_json, write_json
from hlx_model.layout import EVENTS
from hlx_model.provenance.events import read_events
from hlx_model.provenance.verify import verify_lineage
from hlx_model.release.export import export
from hlx_model.release.verify import verify
from tests.support.command import Hlx
from tests.support.copies import ArtifactsCopy
from tests.support.curriculum import Curriculum
from tests.support.damage import reseal, seal

OUTSIDE = ("../../../secret", "/etc/hostname", "..", "a/../../b", "", "a\0b")
SEAL = {"sha256": "0" * 64, "bytes": 1}
CHANGES: dict[str, Callable[[dict[str, Any], str], object]] = {
    "files": lambda m, name: m["files"].update({name: SEAL}),
    "parent": lambda m, name: m["parent"].update(name=name),
    "training of the parent": lambda m, name: m["parent"].update(training_id=name),
    "training": lambda m, name: m.update(training_id=name),
    "asset": lambda m, name: m["corpora"].update({name: m["corpora"]["hlx_corpus"]}),
    "version": lambda m, name: m["corpora"]["hlx_corpus"].update(data_version=name),
    "examples": lambda m, name: m["corpora"]["hlx_corpus"].update(examples=name),
    "path": lambda m, name: m["corpora"]["hlx_corpus"].update(path=name),
    "ungated": lambda m, name: m.update(ungated=[name]),
}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths that are opened."""
    paths: list[str] = []
    before = io.open

    def noting(file: Any, *rest: Any, **options: Any) -> Any:
        paths.append(os.fspath(file) if not isinstance(file, int) else "")
        return before(file, *rest, **options)

    monkeypatch.setattr(io, "open", noting)
    monkeypatch.setattr(builtins, "open", noting)
    yield paths


def test_of_a_manifest(copy: ArtifactsCopy, hlx: Hlx, opened: list[str]) -> None:
    path = copy.final(3) / "manifest.json"
    before = read_json(path)
    for where, name in product(CHANGES, OUTSIDE):
        content = deepcopy(before)
        CHANGES[where](content, name)
        seal(path, content)
        opened.clear()
        (link,) = verify_lineage(copy.final(3))
        assert link.outcome == "broken" and "leads outside" in link.reason and "manifest.json" in link.reason
        assert all(Path(one).is_relative_to(copy.final(3)) for one in opened), (where, name)
    ran = hlx("lineage", "verify", copy.final(3))
    assert ran.code == 1 and "leads outside" in ran.out


def test_of_a_verdict(copy: ArtifactsCopy, opened: list[str]) -> None:
    for name in OUTSIDE:
        reseal(copy.report(3) / "verdict.json", files={name: "0" * 64})
        opened.clear()
        found = [link for link in verify_lineage(copy.final(3)) if "leads outside" in link.reason]
        assert [link.outcome for link in found] == ["broken"] and "verdict.json" in found[0].reason
        assert all(Path(one).is_relative_to(copy.root) for one in opened if one), name


def test_of_a_statement(curriculum: Curriculum, tmp_path: Path, opened: list[str]) -> None:
    export(curriculum.phases[3].checkpoint, tmp_path / "folder")
    path = tmp_path / "folder" / "provenance.json"
    before = read_json(path)
    for name in OUTSIDE:
        subject = [*before["subject"], {"name": name, "digest": {"sha256": "0" * 64}}]
        write_json(path, {**before, "subject": subject})
        opened.clear()
        found = [link for link in verify(tmp_path / "folder") if "leads outside" in link.reason]
        assert [link.outcome for link in found] == ["broken"]
        assert all(Path(one).is_relative_to(tmp_path) for one in opened if one), name


@pytest.mark.parametrize("name", OUTSIDE)
def test_of_a_record(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    good = {"asset": "hlx_corpus", "artifact": "corpora/hlx_corpus/1f", "run_id": "r", "time": "t"}
    lines = [good, {**good, "artifact": name}, {**good, "asset": name}]
    (tmp_path / EVENTS).write_text("\n".join(map(json.dumps, lines)))
    assert [vars(event) for event in read_events(tmp_path)] == [good]
    assert "line 2 and 1 more" in caplog.text
