"""The Center, a trainer and everything are killed: every state is right again, and what was cut resumes."""

import random
from pathlib import Path

import pytest

from tests.support.center_kills import trial
from tests.support.dagster_home import Home


@pytest.mark.slow
def test_after_each_kill_every_state_is_right_and_the_bytes_are_the_same(empty_home: Home, tmp_path: Path) -> None:
    assert empty_home.materialize("corpus_document", "corpus_examples", "english_corpus").success
    result = trial(empty_home, tmp_path / "whole", [1, 2, 3], random.Random(0))
    assert [kill.kind for kill in result.kills] == ["center", "trainer", "everything"]
    assert [problem for kill in result.kills for problem in kill.wrong] == []
    assert result.resumed >= 1, "a training was cut"
    assert (result.equal, result.wrong) == (2, [])
