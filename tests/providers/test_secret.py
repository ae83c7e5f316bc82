"""A key in memory shows its last four characters, and there is no other way to write it by accident."""

import copy
import json
import logging
import pickle

import pytest

from hlx_model.providers.secret import LONGEST, SHORTEST, Secret
from tests.support.vaults import CLAUDE, leaks_in


def test_whoever_prints_it_gets_its_last_four_characters(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret.of(f"  {CLAUDE}\n")
    logging.getLogger("x").warning("%s %r %s", secret, secret, {"key": secret})
    shown = f"{secret} {secret!r} {secret:>20} {[secret]} {caplog.text}"
    assert shown.count("…3-AA") == 7 and not leaks_in(shown, [CLAUDE])
    assert secret.reveal() == CLAUDE and secret.last4 == "3-AA"


def test_it_is_not_copied_pickled_or_written_as_json() -> None:
    secret = Secret.of(CLAUDE)
    for write in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars):
        with pytest.raises(TypeError) as raised:
            write(secret)
        assert not leaks_in(str(raised.value), [CLAUDE])


def test_it_is_not_compared_with_another() -> None:
    assert Secret.of(CLAUDE) != Secret.of(CLAUDE) and Secret.of(CLAUDE) != CLAUDE


@pytest.mark.parametrize(
    "text",
    [
        "", "  \n", CLAUDE[: SHORTEST - 1], CLAUDE * LONGEST, f"{CLAUDE[:15]} {CLAUDE[15:]}", f"{CLAUDE}\n{CLAUDE}",
        f"{CLAUDE}\0", f"{CLAUDE}\x1b[2J", f"{CLAUDE}é", f"{CLAUDE[:9]}\u200b{CLAUDE[9:]}", f"{CLAUDE}\x7f",
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused_in_one_line_that_does_not_repeat_it(text: str) -> None:
    with pytest.raises(ValueError, match="the key") as raised:
        Secret.of(text)
    assert "\n" not in str(raised.value) and not leaks_in(str(raised.value), [CLAUDE])
