"""A leak hunt: after keys were stored and used, rightly and wrongly, no eight characters of one are found anywhere."""

import io
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hlx_model.providers.client import ProviderClient
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import Ledger
from hlx_model.providers.question import describe
from hlx_model.providers.secret import Secret
from hlx_model.providers.vault import Vault
from tests.support import fake_provider
from tests.support.command import Hlx
from tests.support.fake_provider import FakeProvider, content, does, status, text, usage
from tests.support.providers import MODELS, a_question
from tests.support.vaults import CLAUDE, OPENAI, XAI, leaks_in, leaks_under

BAD = "sk-ant-bad-Hd7Kw2Pz9Tc4Vn6Xm1Rb8-DD"
KEYS = {"claude": CLAUDE, "openai": OPENAI, "xai": XAI}
ALL = [*KEYS.values(), BAD]


@pytest.fixture
def noise(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    """What was shown to somebody: add to it; logs and the outputs of this process are added at the end."""
    for name in ("OPENAI_LOG", "ANTHROPIC_LOG"):
        monkeypatch.setenv(name, "debug")
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    yield shown
    assert shown
    shown += [*capsys.readouterr(), caplog.text, *map(repr, caplog.records)]
    assert not leaks_in("\n".join(shown), ALL)


def test_the_hunt_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"\xff" + CLAUDE[9:17].encode())
    (tmp_path / f"of {OPENAI}").mkdir()
    (tmp_path / "fine.log").write_text(f"{CLAUDE[:7]} {CLAUDE[-4:]}")
    assert [path.name for path, _ in sorted(leaks_under(tmp_path, ALL))] == ["a.log", f"of {OPENAI}"]


def test_the_command_leaves_nothing_of_a_key(
    hlx: Hlx, files: ProviderFiles, fake: FakeProvider, noise: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    # A provider that names the key in its list of models, and repeats one that it refuses.
    monkeypatch.setitem(fake_provider.MODELS, "openai", ["gpt-4o", f"ft:{OPENAI}", OPENAI])

    def keys(*arguments: str, piped: str = "") -> int:
        monkeypatch.setattr(sys, "stdin", io.StringIO(piped))
        ran = hlx("keys", *arguments)
        noise.extend([ran.out, ran.err])
        return ran.code

    for provider, key in KEYS.items():
        assert keys("add", "--provider", provider, "--name", "work", piped=key) == 0
    for piped in (f"{CLAUDE} {CLAUDE}", f"{CLAUDE}\0", f"{CLAUDE[:15]}", CLAUDE * 50, "", f"\n{CLAUDE}"):
        assert keys("add", "--provider", "claude", "--name", "wrong", piped=piped) == 1
    assert keys("add", "--provider", "claude", "--name", f"my {CLAUDE[7:20]}", piped=CLAUDE) == 1
    assert keys("add", "--provider", "claude", "--name", "work", piped=CLAUDE) == 1
    assert keys("add", "--provider", "claude", "--name", "bad", piped=BAD) == 2
    assert keys("check") == 1 and keys("check", "bad") == 1 and keys("check", CLAUDE) == 1
    assert keys("replace", "bad", piped=CLAUDE) == 0 and keys("replace", "bad", piped=BAD) == 2
    assert keys("add", "--provider", "claude", "--name", "argument", CLAUDE) == 1
    assert keys("rename", "bad", "other") == keys("list") == keys("list", "--json") == keys("remove", "other") == 0
    assert leaks_under(tmp_path, ALL) == [] and not leaks_in(repr(Vault(files).entries()), ALL)
    assert any("gpt-4o" in entry.models for entry in Vault(files).entries())
    assert not leaks_in("\n".join(f"{name}={value}" for name, value in os.environ.items()), ALL)


@pytest.mark.parametrize("provider", ["claude", "openai", "xai"])
def test_questions_with_any_answer_leave_nothing_of_a_key(
    files: ProviderFiles, fake: FakeProvider, noise: list[str], tmp_path: Path, provider: str
) -> None:
    key, vault = KEYS[provider], Vault(files)
    vault.add(provider, "work", Secret.of(key))
    client = ProviderClient(files, vault, timeout=5)
    said = f"your key is {key}, and {key[4:20]}"
    behaviours = [
        usage(1, 1), status(401, said), status(404, said), status(429, said), status(500, said), status(504, said),
        text(said), text(f'{{"verdict": "{key}", "step": 1}}'), content({"verdict": "watch", "step": key}),
        content({key: 1}), does("other_model", key), does("other_model", f"{MODELS[provider]}-{key}"), does("cut"),
        does("redirect", f"{fake.url}/{key}"), does("refusal"), does("max_tokens"), usage(10**9, 1),
    ]  # fmt: skip
    for number, behaviour in enumerate(behaviours):
        question = a_question(provider, user=f"question {number}")
        fake.script(behaviour)
        outcome = client.ask(question, keep=True)
        again = client.ask(question, keep=True)
        noise += [repr(outcome), describe(outcome), repr(again)]
    noise += [repr(Ledger(files).spending()), repr(Ledger(files).take_alerts()), repr(vault.entries())]
    assert len(fake.asked) > len(behaviours) - 2 and leaks_under(tmp_path, ALL) == []


def test_an_answer_that_hides_a_key_in_escapes_is_not_kept(
    files: ProviderFiles, fake: FakeProvider, noise: list[str], tmp_path: Path
) -> None:
    vault = Vault(files)
    vault.add("claude", "work", Secret.of(CLAUDE))
    hidden = "".join(f"\\u{ord(character):04x}" for character in CLAUDE)
    schema = {"type": "object", "properties": {"note": {"type": "string"}}, "required": ["note"]}
    question = replace(a_question(), schema=schema)
    fake.script(text(f'{{"note": "{hidden}"}}'))
    outcome = ProviderClient(files, vault).ask(question, keep=True)
    assert "contains the key" in describe(outcome)
    noise.append(repr(outcome))
    assert leaks_under(tmp_path, ALL) == []


def test_a_key_that_does_not_open_is_in_no_error_nor_its_trace(
    files: ProviderFiles, noise: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, secret = Vault(files), Secret.of(CLAUDE)
    entry = vault.add("claude", "work", secret)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    Vault(ProviderFiles.of_home(tmp_path / "new")).add("claude", "work", secret)  # makes another key of a vault
    for use in (lambda: Vault(files).open(entry.id), lambda: Vault(files).add("claude", "two", secret)):
        with pytest.raises(ValueError, match=r"does not open|was not stored") as raised:
            use()
        # With the variables of every frame, as some programs print them.
        noise += traceback.TracebackException.from_exception(raised.value, capture_locals=True).format()
    assert leaks_under(tmp_path, ALL) == []
