"""An exported folder is verified by itself, wherever it is."""

import shutil
from pathlib import Path

import pytest

from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.files import json_text, sha256_of, write_json
from hlx_model.release.export import export
from hlx_model.release.statement import statement
from hlx_model.release.verify import verify
from tests.support.curriculum import Curriculum
from tests.support.damage import reseal
from tests.support.keys import key_pair


@pytest.fixture
def folder(curriculum: Curriculum, tmp_path: Path) -> Path:
    export(curriculum.phases[3].checkpoint, tmp_path / "brain")
    return tmp_path / "brain"


def broken(folder: Path, key: Path | None = None) -> list[str]:
    return [link.reason for link in verify(folder, key) if link.outcome == "broken"]


def test_all_links_of_an_exported_folder_are_ok(folder: Path) -> None:
    links = list(verify(folder))
    assert {link.outcome for link in links} == {"ok", "unchecked"}
    assert len([link for link in links if link.outcome == "ok"]) == len(list(folder.iterdir())) + 1


def test_one_changed_byte_in_any_file_is_found(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for place in {0, len(whole) // 2, len(whole) - 1}:
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            assert any(path.name in reason for reason in broken(folder)), (path.name, place)
        path.unlink()
        assert any(path.name in reason for reason in broken(folder)), path.name
        path.write_bytes(whole)
    (folder / "extra.txt").write_text("x")
    assert any("extra.txt: foreign" in reason for reason in broken(folder))


def forge(folder: Path) -> None:
    """Replace the manifest and all that names it, so that nothing in the folder contradicts it."""
    reseal(folder / "manifest.json", ungated=[], run_id="another run")
    files = {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.name != "provenance.json"}
    files.pop("model.sig", None)
    write_json(folder / "provenance.json", statement(read_manifest(folder), files))


def test_a_replaced_manifest_is_found_by_the_signature(curriculum: Curriculum, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("model_signing")
    key, public = key_pair(tmp_path)
    assert broken(folder, public) == [f"{folder}: not signed: model.sig is missing"]
    signed = tmp_path / "signed"
    export(curriculum.phases[3].checkpoint, signed, key=key)
    assert broken(signed, public) == []
    moved = Path(shutil.move(signed, tmp_path / "elsewhere"))
    assert broken(moved, public) == []
    forge(moved)
    assert broken(moved) == []  # without the key nobody can tell
    assert any("changed: manifest.json, provenance.json" in reason for reason in broken(moved, public))


def test_an_unsigned_folder_needs_neither_key_nor_library_to_be_found_unsigned(folder: Path) -> None:
    assert broken(folder, folder / "no.pub") == [f"{folder}: not signed: model.sig is missing"]


def test_a_statement_names_the_attempt_from_the_second_on(curriculum: Curriculum) -> None:
    manifest = read_manifest(curriculum.phases[1].checkpoint)
    first, second = (statement(manifest.replace(attempt=attempt), {}) for attempt in (1, 2))
    assert '"attempt"' not in json_text(first) and '"attempt": 2' in json_text(second)
