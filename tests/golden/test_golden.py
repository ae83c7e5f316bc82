"""A small curriculum gives the identifiers, names, documents and weights that are written down beside this file.

`make golden` writes them anew; the commit that does so says why. Identifiers, file names and fields of documents are
the same on every machine. Figures and hashes of weights are compared on a machine with the fingerprint of the recorded
ones. (That two trainings on any machine give the same bytes is shown in `tests/training`.)
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


@pytest.fixture
def made(hlx: Hlx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The record of a curriculum, which is made once; written down instead of compared by `make golden`."""
    if not MADE:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("DAGSTER_HOME", raising=False)
        MADE.append(record(hlx, tmp_path))
        if os.environ.get("HLX_UPDATE_GOLDEN") == "1":
            write_json(EVERYWHERE, everywhere(MADE[0]))
            write_json(FIGURES, {"fingerprint": fingerprint(), **MADE[0]})
    return MADE[0]


def test_identifiers_file_names_and_fields_are_those_written_down(made: dict[str, Any]) -> None:
    found, expected = everywhere(made), read_json(EVERYWHERE)
    for part in (*expected, *found):
        assert found.get(part) == expected.get(part), part


def test_figures_and_weights_are_those_written_down(made: dict[str, Any]) -> None:
    expected = read_json(FIGURES)
    if expected.pop("fingerprint") != fingerprint():
        pytest.skip("the figures written down are of another kind of machine")
    for part in (*expected, *made):
        assert made.get(part) == expected.get(part), part
