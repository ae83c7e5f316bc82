"""`hlx keys`: a key is typed or piped in, checked, and shown by its last four characters."""

import getpass
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hlx_model.providers.agreed import has_agreed
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.master_key import write_private
from hlx_model.providers.vault import Vault
from tests.support.command import Hlx, Ran
from tests.support.fake_provider import FakeProvider
from tests.support.vaults import CLAUDE, OPENAI, XAI, cheap_passphrases, files, leaks_in

__all__ = ["files"]

BAD = "sk-ant-bad-Hd7Kw2Pz9Tc4Vn6Xm1Rb8-DD"


class Terminal(io.StringIO):
    """A terminal, at which a person types these lines."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    """All providers, on loopback."""
    with FakeProvider() as server:
        monkeypatch.setenv("HLX_PROVIDER_HOSTS", server.hosts)
        yield server


Keys = Callable[..., Ran]


@pytest.fixture
def keys(hlx: Hlx, files: ProviderFiles, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """`hlx keys`, with what is piped in, typed without echo (`typed`; `ends`: Ctrl-D), or with it (`said`)."""
    monkeypatch.setenv("COLUMNS", "200")  # no cell is folded, whatever another test leaves behind

    def run(
        *arguments: str, piped: str = "", typed: tuple[str, ...] = (), said: str = "", ends: bool = False
    ) -> Ran:  # fmt: skip
        answers = iter(typed)

        def getpass_(prompt: str = "") -> str:
            if ends:
                raise EOFError
            return next(answers)

        monkeypatch.setattr(sys, "stdin", Terminal(said) if typed or said or ends else io.StringIO(piped))
        monkeypatch.setattr(getpass, "getpass", getpass_)
        ran = hlx("keys", *arguments)
        assert not leaks_in(ran.out + ran.err, [CLAUDE, OPENAI, XAI, BAD])
        return ran

    return run


def stored() -> list[str]:
    """The keys of the home, whole."""
    vault = Vault(ProviderFiles.of_home())
    return [vault.open(entry.id).secret.reveal() for entry in vault.entries()]


def test_a_key_is_piped_or_typed_in_and_checked(keys: Keys, fake: FakeProvider) -> None:
    ran = keys("add", "--provider", "Anthropic", "--name", "work", piped=f"{CLAUDE}\nmore\n")
    assert ran.code == 0 and "claude work, id " in ran.out and "ends with 3-AA" in ran.out
    assert ran.out.splitlines()[-1] == "claude work: accepted, 3 models"
    assert keys("add", "--provider", "openai", "--name", "work", typed=(f" {OPENAI} ",)).code == 0
    assert stored() == [OPENAI, CLAUDE]
    assert [request.headers.get("x-api-key") for request in fake.requests] == [CLAUDE, None]


def test_the_list_shows_who_and_when_and_no_more(keys: Keys, fake: FakeProvider) -> None:
    assert "no key is stored: `hlx keys add" in keys("list").out and json.loads(keys("list", "--json").out) == []
    keys("add", "--provider", "claude", "--name", "work", piped=CLAUDE)
    assert keys("add", "--provider", "claude", "--name", "bad", piped=BAD).code == 2
    listed = keys("list").out  # a narrow terminal folds its cells
    bad, work = (line.split() for line in listed.splitlines() if "…3-AA" in line or "…8-DD" in line)
    assert work[1:4] == ["claude", "work", "…3-AA"] and bad[1:4] == ["claude", "bad", "…8-DD"]
    assert "accepted" in listed and "401" in listed
    shown = json.loads(keys("list", "--json").out)
    assert shown[1]["last4"] == "3-AA" and len(shown[1]["models"]) == 3 and shown[0]["problem"]
    sealed = json.loads(ProviderFiles.of_home().keys.read_text())["entries"][0]["sealed"]
    assert sealed not in keys("list", "--json").out


def test_a_key_that_its_provider_refuses_is_stored_and_said(keys: Keys, fake: FakeProvider) -> None:
    ran = keys("add", "--provider", "claude", "--name", "bad", piped=BAD)
    assert ran.code == 2 and "claude bad: refused: claude answers 401: Incorrect API key provided: …" in ran.out
    assert keys("check").code == 1 and stored() == [BAD]
    assert keys("replace", "bad", piped=CLAUDE).code == 0 and keys("check", "bad").code == 0 and stored() == [CLAUDE]


def test_a_provider_that_is_away_says_nothing_about_a_key(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeProvider() as gone:
        pass
    monkeypatch.setenv("HLX_PROVIDER_HOSTS", gone.hosts)
    ran = keys("add", "--provider", "xai", "--name", "work", piped=XAI)
    assert ran.code == 2 and "cannot be reached" in ran.out and keys("check", "work").code == 2
    assert "not checked" in keys("list").out and stored() == [XAI]


def test_nothing_is_stored_or_asked_for_before_somebody_agrees(
    keys: Keys, files: ProviderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing leaves this machine
    add = ("add", "--provider", "claude", "--name", "work")
    ran = keys(*add, piped=CLAUDE)
    assert ran.code == 1 and "repeat with --yes" in ran.error and "https://api.anthropic.com" in ran.err
    assert "It never gets: weights" in ran.err and not files.root.exists()
    assert "nobody agreed" in keys(*add, said="no\n").error and not files.root.exists()
    assert keys(*add, said="y\n", typed=(CLAUDE,)).code == 2 and has_agreed(files, "claude")
    assert "It never gets" not in keys("replace", "work", piped=CLAUDE).err  # asked once
    assert "nothing was changed: nobody agreed" in keys("agree", "openai", said="no\n").error
    assert "nothing was changed: repeat with --yes" in keys("agree", "openai").error
    assert keys("agree", "openai", "--yes").out == "agreed: openai\n" and has_agreed(files, "openai")
    assert keys("add", "--provider", "xai", "--name", "own", "--yes", piped=XAI).code == 2 and has_agreed(files, "xai")


def shapes(key: str) -> list[tuple[str, ...]]:
    """Return the ways in which a person could give a key as an argument."""
    add, price = ("add", "--provider", "openai"), ("price", "openai")
    return [
        (key,), ("--key", key), ("--secret", key), (f"--key={key}",), (f"--{key}",), (f"openai={key}",),
        *((command, key) for command in ("add", "check", "remove", "replace", "agree", "passphrase", "list", "price")),
        ("rename", "work", key), ("rename", key, "x"), ("replace", "work", key), ("replace", "work", "--yes", key),
        (*add, "--name", "x", key), (*add, "--name", key), (*add, f"--name={key}"), ("add", key, "--name", "x"),
        (*add, "--name", "x", "--key", key), (*add, "--name", "x", f"--secret={key}"), (*add, "--name", "x", "-k", key),
        ("add", "--name", "x", "--provider", key), (*price, key, "--input", "1", "--output", "1"),
        (*price, "gpt-4o", "--input", key, "--output", "1"), ("check", "-h", f"'{key}'"), ("check", f"openai:{key}"),
    ]  # fmt: skip


@pytest.mark.parametrize("shape", range(len(shapes(OPENAI))))
def test_a_key_is_never_an_argument_and_what_was_one_is_not_repeated(
    keys: Keys, fake: FakeProvider, files: ProviderFiles, shape: int
) -> None:
    for key in (OPENAI, XAI):
        ran = keys(*shapes(key)[shape], piped=CLAUDE)
        assert ran.code == 1 and "a key is never an argument" in ran.error and "revoked" in ran.error and not ran.out
    assert not files.root.exists() and not fake.requests


def test_a_key_that_looks_like_none_is_not_repeated_either(keys: Keys, fake: FakeProvider) -> None:
    unknown = "Zq4Wd7Rb2Xc9Vm6Kp1Ld8Ns3"
    for command in ((unknown,), ("add", "--provider", "claude", "--name", "x", unknown), ("check", "--token", unknown)):
        ran = keys(*command, piped=CLAUDE)
        assert "a key is never an argument" in ran.error and unknown[:8] not in ran.err
    for name in ("check", "remove", "agree"):
        ran = keys(name, unknown)
        assert ran.code == 1 and unknown[:8] not in ran.err


def test_ids_models_names_and_addresses_are_no_keys(keys: Keys, fake: FakeProvider) -> None:
    keys("add", "--provider", "claude", "--name", "task-force of the night", piped=CLAUDE)
    (id,) = (row["id"] for row in json.loads(keys("list", "--json").out))
    assert keys("check", id).code == 0 and keys("check", "task-force of the night").code == 0
    for model in ("ft:gpt-4o-2024-08-06:my-org::AbCdEf12", "grok-4-1-fast-reasoning", "risk-assessment-model-of-2026"):
        assert keys("price", "openai", model, "--input", "1", "--output", "1").code == 0
    assert "no such key" in keys("check", "https://xai-proxy.example.org/v1").error


@pytest.mark.parametrize("text", ["", "\n", "short", f"{CLAUDE} {CLAUDE}", "\0" * 30])
def test_what_is_no_key_is_one_line_and_stored_nowhere(keys: Keys, fake: FakeProvider, text: str) -> None:
    ran = keys("add", "--provider", "claude", "--name", "work", piped=text)
    assert ran.code == 1 and ran.error.startswith("error: the key ") and stored() == [] and fake.requests == []


def test_an_end_of_input_instead_of_a_key_is_one_line(keys: Keys) -> None:
    for command in (("add", "--provider", "claude", "--name", "work", "--yes"), ("passphrase",)):
        ran = keys(*command, ends=True)
        assert ran.code == 1 and ran.error == "error: nothing was typed, and nothing was changed" and stored() == []


def test_a_key_is_renamed_and_removed_by_name_or_id(keys: Keys, fake: FakeProvider) -> None:
    for provider, key in (("claude", CLAUDE), ("openai", OPENAI)):
        keys("add", "--provider", provider, "--name", "work", piped=key)
    assert "use the id" in keys("rename", "work", "own").error
    (id,) = (row["id"] for row in json.loads(keys("list", "--json").out) if row["provider"] == "claude")
    assert keys("rename", id, "my own").out == f"renamed: claude my own, id {id}\n"
    assert "removed: openai work" in keys("remove", "work").out and stored() == [CLAUDE]
    assert "revoke it at claude" in keys("remove", "my own").out and stored() == []
    assert "no key is stored: `hlx keys add --provider claude --name work`" in keys("check").error


def test_an_address_of_this_machine_needs_no_agreement(keys: Keys, fake: FakeProvider, files: ProviderFiles) -> None:
    for provider in ("qwen", "claude"):
        ran = keys("agree", provider)
        assert ran.code == 0 and f"{provider} is at {fake.url}/{provider}, this machine: nothing needs" in ran.out
    assert not files.root.exists()


def test_a_key_that_was_stored_for_another_address_is_replaced_not_agreed_to(
    keys: Keys, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys("add", "--provider", "claude", "--name", "work", piped=CLAUDE)
    (id,) = (row["id"] for row in json.loads(keys("list", "--json").out))
    monkeypatch.setenv("HLX_PROVIDER_HOSTS", "claude=https://proxy.example.invalid")
    ran = keys("check")
    assert ran.code == 2 and f"`hlx keys replace {id}` stores it for that" in ran.out and "agree" not in ran.out


def test_a_provider_is_no_name_of_a_key(keys: Keys, fake: FakeProvider) -> None:
    keys("add", "--provider", "claude", "--name", "work", piped=CLAUDE)
    assert "by its id or its name, not by its provider (`hlx keys list`)" in keys("check", "claude").error


def test_one_fault_of_the_vault_is_said_once(
    keys: Keys, fake: FakeProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for provider, key in (("claude", CLAUDE), ("openai", OPENAI), ("xai", XAI)):
        keys("add", "--provider", provider, "--name", "work", piped=key)
    fake.requests.clear()
    file = tmp_path / "center.key"
    monkeypatch.setenv("HLX_CENTER_KEY_FILE", str(file))
    missing = keys("check")
    assert "put it back as it was" in missing.out and "openssl rand -hex 32" in missing.out
    write_private(file, "ab" * 32)
    for ran in (missing, keys("check")):
        assert ran.code == 2 and len(ran.out.splitlines()) == 1 and ran.out.startswith("no key was checked: ")
    assert not fake.requests


def test_in_a_narrow_terminal_an_id_stays_on_its_line(
    keys: Keys, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys("add", "--provider", "openai", "--name", "a long name of a key for the nights", piped=OPENAI)
    (id,) = (row["id"] for row in json.loads(keys("list", "--json").out))
    for width in ("80", "60"):
        monkeypatch.setenv("COLUMNS", width)
        lines = keys("list").out.splitlines()
        assert any(id in line and "…3-BB" in line for line in lines) and max(map(len, lines)) <= int(width)


def test_a_price_is_stated_and_shown(keys: Keys) -> None:
    way = "`hlx keys price openai of-tomorrow --input DOLLARS --output DOLLARS`"
    assert f"is not known: {way} states it" in keys("price", "openai", "of-tomorrow").error
    assert "belong together" in keys("price", "openai", "of-tomorrow", "--input", "2").error
    stated = keys("price", "openai", "of-tomorrow", "--input", "2", "--output", "8.50")
    assert stated.code == 0 and "openai/of-tomorrow: $2 and $8.5" in stated.out
    assert keys("price", "openai", "of-tomorrow").out == stated.out
    assert "$3 and $15" in keys("price", "claude", "Claude Sonnet 4.5").out
    assert keys("price", "openai", "x", "--input", "-1", "--output", "much").code == 1


def test_a_passphrase_is_typed_twice_and_then_asked_for(
    keys: Keys, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    cheap_passphrases(monkeypatch)
    keys("add", "--provider", "claude", "--name", "work", piped=CLAUDE)
    assert "at a terminal only" in keys("passphrase", piped="a long passphrase\n").error
    assert "fewer than 12" in keys("passphrase", typed=("short", "short")).error
    assert "not the same" in keys("passphrase", typed=("a long passphrase", "another passphrase")).error
    assert stored() == [CLAUDE]
    ran = keys("passphrase", typed=("a long passphrase", "a long passphrase"))
    assert ran.out == "sealed with the passphrase: 1 keys\n"
    assert keys("check", typed=("a long passphrase",)).code == 0
    wrong = keys("check", typed=("another passphrase",))
    assert wrong.code == 2 and wrong.out.startswith("no key was checked: the passphrase is wrong: try again.")
    assert "sealed with a passphrase" in keys("check").out and keys("list").code == 0


def test_without_its_package_the_command_is_one_line(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "nacl"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nacl", None)
    for command in (("list",), ("add", "--provider", "claude", "--name", "work"), ("check",), ("remove", "x")):
        assert "pynacl is missing" in keys(*command, piped=CLAUDE).error
