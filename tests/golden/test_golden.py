"""A small curriculum gives the identifiers, names, documents and weights that are written down beside this file.

`make golden` writes them anew; the commit that does so says why. Identifiers, file names and fields of documents are
the same on every machine. Figures and hashes of weights are compared on a machine with the fingerprint of the recorded
ones; on another one two runs are compared with each other.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from hlx_model.files import read_json, write_json
from tests.golden.record import everywhere, fingerprint, record
from tests.support.command import Hlx

EVERYWHERE, FIGURES = (Path(__file__).parent / name for name in ("everywhere.json", "figures.json"))
MADE: list[dict[str, Any]] = []


def make(hlx: Hlx, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return record(hlx, folder)


@pytest.fixture
def made(hlx: Hlx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The record of a curriculum, which is made once; written down instead of compared by `make golden`."""
    if not MADE:
        MADE.append(make(hlx, tmp_path, monkeypatch))
        if os.environ.get("HLX_UPDATE_GOLDEN") == "1":
            write_json(EVERYWHERE, everywhere(MADE[0]))
            write_json(FIGURES, {"fingerprint": fingerprint(), **MADE[0]})
    return MADE[0]


def test_identifiers_file_names_and_fields_are_those_written_down(made: dict[str, Any]) -> None:
    found, expected = everywhere(made), read_json(EVERYWHERE)
    for part in (*expected, *found):
        assert found.get(part) == expected.get(part), part


def test_figures_and_weights_are_those_written_down(
    made: dict[str, Any], hlx: Hlx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_json(FIGURES)
    if expected.pop("fingerprint") == fingerprint():
        for part in (*expected, *made):
            assert made.get(part) == expected.get(part), part
        return
    assert make(hlx, tmp_path / "again", monkeypatch) == made
    pytest.skip("the figures written down are of another kind of machine: two runs here were compared, and are equal")
