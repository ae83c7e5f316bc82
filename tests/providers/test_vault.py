"""The vault: a key that was stored comes back whole, for its own address alone, and a copied home opens nothing."""

import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hlx_model.providers.client import ProviderClient
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.master_key import state_folder, write_private
from hlx_model.providers.question import Answer
from hlx_model.providers.secret import Secret
from hlx_model.providers.vault import MODELS_KEPT, KeyEntry, Vault
from tests.support.fake_provider import FakeProvider
from tests.support.providers import a_question
from tests.support.vaults import CLAUDE, OPENAI, XAI, cheap_passphrases


@pytest.fixture
def vault(files: ProviderFiles) -> Vault:
    """A new vault."""
    return Vault(files)


def added(vault: Vault, provider: str = "claude", name: str = "work", key: str = CLAUDE) -> KeyEntry:
    return vault.add(provider, name, Secret.of(key))


def changed(files: ProviderFiles, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the rows of the file, as somebody with an editor does."""
    content = json.loads(files.keys.read_text())
    change(content["entries"])
    files.keys.write_text(json.dumps(content))


def test_a_stored_key_comes_back_whole_in_another_process(files: ProviderFiles, vault: Vault) -> None:
    assert vault.entries() == [] and not vault.has_paid_key() and not files.root.exists()
    entry = added(vault)
    key = Vault(files).open(entry.id)
    assert key.secret.reveal() == CLAUDE and key.entry.id == entry.id
    assert (entry.provider, entry.host, entry.name, entry.last4) == (
        "claude", "https://api.anthropic.com", "work", "3-AA",
    )  # fmt: skip
    assert entry.last_used is None and Vault(files).entries()[0].last_used is not None
    assert vault.has_paid_key() and "sealed" not in repr(key) and CLAUDE[:8] not in repr(key)
    assert files.keys.stat().st_mode & 0o777 == 0o600 and files.root.stat().st_mode & 0o777 == 0o700


def test_the_list_needs_no_key_of_the_vault_and_has_the_newest_first(files: ProviderFiles, vault: Vault) -> None:
    for name in ("one", "two", "three"):
        added(vault, name=name)
    shutil.rmtree(state_folder())
    assert [entry.name for entry in Vault(files).entries()] == ["three", "two", "one"]
    assert Vault(files).has_paid_key() and not state_folder().exists()


def test_the_same_key_is_sealed_differently_each_time(vault: Vault) -> None:
    assert added(vault, name="one").sealed != added(vault, name="two").sealed


def test_a_copied_home_opens_nothing_and_takes_no_second_key(
    files: ProviderFiles, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = added(vault)
    shutil.copytree(files.root.parent, tmp_path / "copy")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "of-another-machine"))
    before = (tmp_path / "copy/providers/keys.json").read_bytes()
    missing, other = (
        "the key of the vault is missing: put .*center.key back as it was",
        r"remove all keys \(`hlx keys remove`\) and add them again",
    )
    for said in (missing, f"another key of the vault sealed the stored keys, .* back as it was; .* lost, {other}"):
        copy = Vault(ProviderFiles.of_home(tmp_path / "copy"))
        for use in (
            partial(copy.open, entry.id),
            partial(added, copy, "openai", "second", OPENAI),
            partial(copy.replace, entry.id, Secret.of(XAI)),
            partial(copy.seal_with_passphrase, "a long passphrase"),
        ):
            with pytest.raises(ValueError, match=said):
                use()
        assert (tmp_path / "of-another-machine").exists() == (said != missing)
        # With its first key, another home makes the key of its vault.
        added(Vault(ProviderFiles.of_home(tmp_path / "new")), name=f"{len(said)}")
    assert (tmp_path / "copy/providers/keys.json").read_bytes() == before
    copy.remove(entry.id)
    assert copy.open(added(copy, "openai", "second", OPENAI).id).secret.reveal() == OPENAI


@pytest.mark.parametrize("fields", [["sealed"], ["id"], ["provider", "host"]])
def test_a_row_swapped_with_another_does_not_open(files: ProviderFiles, vault: Vault, fields: list[str]) -> None:
    one, two = added(vault), added(vault, "openai", "other", OPENAI)

    def swap(rows: list[dict[str, Any]]) -> None:
        for field in fields:
            rows[0][field], rows[1][field] = rows[1][field], rows[0][field]

    changed(files, swap)
    for entry in (one, two):
        with pytest.raises(ValueError, match="does not open"):
            vault.open(entry.id)
    changed(files, swap)
    assert vault.open(one.id).secret.reveal() == CLAUDE


def test_a_row_that_was_changed_does_not_open(files: ProviderFiles, vault: Vault) -> None:
    entry = added(vault)
    for sealed in (entry.sealed[:-8] + "AAAAAAA=", entry.sealed[:40], "", "no base64", "é"):
        changed(files, lambda rows, sealed=sealed: rows[0].update(sealed=sealed))  # type: ignore[misc]
        with pytest.raises(ValueError, match="does not open"):
            vault.open(entry.id)


def test_a_key_goes_to_no_address_but_that_it_was_stored_for(
    files: ProviderFiles, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = added(vault)
    with FakeProvider() as other:
        monkeypatch.setenv("HLX_PROVIDER_HOSTS", other.hosts)
        with pytest.raises(ValueError, match=rf"stored for https://api.anthropic.com.*`hlx keys replace {entry.id}`"):
            vault.open(entry.id)
        # Nor if its row is given the other address: it is sealed together with the first.
        changed(files, lambda rows: rows[0].update(host=f"{other.url}/claude"))
        with pytest.raises(ValueError, match="does not open"):
            vault.open(entry.id)
        assert ProviderClient(files, vault).check("claude").valid is None and other.requests == []


def test_replace_stores_it_for_the_address_of_now(
    files: ProviderFiles, vault: Vault, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HLX_PROVIDER_HOSTS")
    entry = added(vault)
    vault.mark(entry.id, True, None, ("a-model",))
    monkeypatch.setenv("HLX_PROVIDER_HOSTS", fake.hosts)
    replaced = vault.replace(entry.id, Secret.of(OPENAI))
    assert (replaced.id, replaced.name, replaced.last4) == (entry.id, "work", "3-BB")
    assert replaced.host == f"{fake.url}/claude" and replaced.validated is None and replaced.models == ()
    assert vault.open(entry.id).secret.reveal() == OPENAI
    assert ProviderClient(files, vault).check("claude").valid and vault.entries()[0].validated
    assert fake.requests[0].headers["x-api-key"] == OPENAI


def test_a_question_is_asked_with_the_key_of_the_vault(files: ProviderFiles, fake: FakeProvider) -> None:
    entry = added(Vault(files))
    assert isinstance(ProviderClient(files).ask(a_question()), Answer)
    assert fake.asked[0].headers["x-api-key"] == CLAUDE and Vault(files).find("claude").id == entry.id


def test_names_are_one_of_a_kind_for_a_provider_and_show_nothing_of_a_key(vault: Vault) -> None:
    entry = added(vault, name="  my   work ")
    assert entry.name == "my work" and added(vault, "openai", "my work", OPENAI).name == "my work"
    second = added(vault, name="second", key=XAI)
    wrong = {"my work": "has a key my work", "": "1 to 60", "x" * 61: "1 to 60", "a\x1b[2J": "1 to 60"}
    for name, said in {**wrong, CLAUDE: "looks like a key", f"of {CLAUDE[9:17]}": "part of the key"}.items():
        with pytest.raises(ValueError, match=said):
            added(vault, name=name)
        if "part" not in said:
            with pytest.raises(ValueError, match=said):
                vault.rename(second.id, name)
    vault.rename(second.id, f"of {CLAUDE[9:17]}")  # of another key, which nobody can know without opening it
    with pytest.raises(ValueError, match="part of the key"):
        vault.replace(second.id, Secret.of(CLAUDE))
    assert vault.rename(second.id, "third").name == "third" and len(vault.entries()) == 3
    assert vault.rename(entry.id, "my work").name == "my work"
    assert vault.rename(entry.id, "xai-work").name == "xai-work"  # too short for a key


def test_a_key_is_named_by_its_id_or_by_a_name_that_no_other_has(vault: Vault) -> None:
    for provider, name, key in (("claude", "work", CLAUDE), ("openai", "work", OPENAI), ("xai", "own", XAI)):
        added(vault, provider, name, key)
    assert vault.open("own").secret.reveal() == XAI
    with pytest.raises(ValueError, match="several keys have that name: use the id"):
        vault.remove("work")
    for use in (vault.open, vault.remove, lambda id: vault.rename(id, "x"), lambda id: vault.mark(id, True, None)):
        with pytest.raises(ValueError, match="there is no such key") as raised:
            use(CLAUDE)
        assert "sk-ant" not in str(raised.value)


def test_of_several_keys_the_newest_that_its_provider_accepted_is_used(vault: Vault) -> None:
    with pytest.raises(ValueError, match="no key of claude: `hlx keys add --provider claude"):
        vault.find("claude")
    one, two, three = (added(vault, name=name) for name in ("one", "two", "three"))
    assert vault.find("Anthropic").id == three.id
    vault.mark(three.id, False, "401:\x1b[2J no\nsuch key")
    assert vault.find("claude").id == two.id
    vault.mark(one.id, True, None, ["m"] * (MODELS_KEPT + 1))
    assert vault.find("claude").id == one.id
    assert vault.find("claude", "two").id == two.id == vault.find("claude", two.id).id
    for name in (CLAUDE, "four"):
        with pytest.raises(ValueError, match="no key of claude of that name or id") as raised:
            vault.find("claude", name)
        assert name not in str(raised.value)
    newest, _, oldest = vault.entries()
    assert newest.problem and "\n" not in newest.problem and "\x1b" not in newest.problem
    assert len(oldest.models) == MODELS_KEPT and oldest.validated and oldest.problem is None
    vault.mark(one.id, False, None)
    assert vault.entries()[2].problem == "refused" and vault.entries()[2].models == oldest.models


def test_a_local_model_has_no_key_and_a_provider_that_is_gone_counts_as_paid(
    files: ProviderFiles, vault: Vault
) -> None:
    with pytest.raises(ValueError, match="qwen runs on this machine and needs no key"):
        added(vault, "qwen")
    entry = added(vault)
    changed(files, lambda rows: rows[0].update(provider="of-yesterday"))
    assert vault.has_paid_key()
    with pytest.raises(ValueError, match="of-yesterday"):
        vault.open(entry.id)
    vault.remove(entry.id)
    assert vault.entries() == [] and not vault.has_paid_key()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"entries": [{"id": 1}]}', '{"entries": 7}'])
def test_a_damaged_file_is_one_line_that_names_it_and_stays(files: ProviderFiles, vault: Vault, content: str) -> None:
    added(vault)
    files.keys.write_text(content)
    for use in (vault.entries, vault.has_paid_key, lambda: added(vault, name="two"), lambda: vault.find("claude")):
        with pytest.raises(ValueError, match=r"keys\.json") as raised:
            use()
        assert "\n" not in str(raised.value)
    assert files.keys.read_text() == content


def test_a_passphrase_seals_every_key_and_is_asked_for_once(
    files: ProviderFiles, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    cheap_passphrases(monkeypatch)
    with pytest.raises(ValueError, match="no key is stored"):
        vault.seal_with_passphrase("a long passphrase")
    one, two = added(vault), added(vault, "openai", "other", OPENAI)
    assert vault.seal_with_passphrase("a long passphrase") == 2
    shutil.rmtree(state_folder())  # no longer needed
    asked: list[str] = []

    def passphrase() -> str:
        asked.append("")
        return "a long passphrase"

    sealed = Vault(files, passphrase)
    assert (sealed.open(one.id).secret.reveal(), sealed.open(two.id).secret.reveal()) == (CLAUDE, OPENAI)
    assert sealed.open(added(sealed, "xai", "third", XAI).id).secret.reveal() == XAI and len(asked) == 1
    with pytest.raises(ValueError, match="passphrase is wrong: try again"):
        Vault(files, lambda: "another passphrase").open(one.id)
    with pytest.raises(ValueError, match="only a command at a terminal"):
        Vault(files).open(one.id)
    assert len(Vault(files).entries()) == 3 and not state_folder().exists()
    for entry in sealed.entries():
        sealed.remove(entry.id)
    assert Vault(files).open(added(Vault(files)).id).secret.reveal() == CLAUDE  # a new vault: no passphrase


@pytest.mark.parametrize("passphrase", [False, True])
def test_under_another_key_of_the_vault_the_error_is_of_the_named_key_and_its_way_works(
    files: ProviderFiles, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passphrase: bool
) -> None:
    cheap_passphrases(monkeypatch)
    added(vault)
    second = added(vault, "openai", "second", OPENAI)
    if passphrase:
        vault.seal_with_passphrase("a long passphrase")
    write_private(tmp_path / "other/center.key", "ab" * 32)
    monkeypatch.setenv("HLX_CENTER_KEY_FILE", str(tmp_path / "other/center.key"))
    other = Vault(files)
    why = "HLX_CENTER_KEY_FILE comes before it: unset it" if passphrase else "another key of the vault sealed"
    for use, name in (
        (partial(other.replace, second.id, Secret.of(XAI)), "second of openai was not stored"),
        (partial(added, other, "xai", "third", XAI), "third of xai was not stored"),
        (partial(other.open, second.id), "second of openai does not open"),
    ):
        with pytest.raises(ValueError, match=rf"^the key {name}: .*{why}.* remove all keys \(`hlx keys remove`\)"):
            use()
    assert why in str(other.fault())
    for entry in other.entries():
        other.remove(entry.id)
    assert other.fault() is None
    assert other.open(added(other, "openai", "second", OPENAI).id).secret.reveal() == OPENAI
    assert Vault(files).fault() is None  # and no passphrase is asked for


def test_a_damaged_row_is_no_fault_of_the_vault(files: ProviderFiles, vault: Vault) -> None:
    one = added(vault)
    changed(files, lambda rows: rows[0].update(sealed="AAAA"))
    assert vault.fault() is not None
    with pytest.raises(ValueError, match="their rows were changed"):
        added(vault, "openai", "second", OPENAI)
    changed(files, lambda rows: rows[0].update(sealed=one.sealed))
    two = added(vault, "openai", "second", OPENAI)
    changed(files, lambda rows: rows[0].update(sealed="AAAA"))
    assert vault.fault() is None and vault.open(two.id).secret.reveal() == OPENAI
    with pytest.raises(ValueError, match=f"its row was changed: `hlx keys remove {one.id}`, and add it again"):
        vault.open(one.id)
    assert vault.open(vault.replace(one.id, Secret.of(CLAUDE)).id).secret.reveal() == CLAUDE


def test_a_key_of_another_provider_is_named_with_its_provider(vault: Vault) -> None:
    key = added(vault, "openai", "second", OPENAI)
    for named in (key.id, "second"):
        with pytest.raises(ValueError, match="the key second is one of openai, not of claude"):
            vault.find("claude", named)


def test_no_passphrase_is_taken_where_a_file_would_come_first(
    files: ProviderFiles, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = added(vault)
    monkeypatch.setenv("HLX_CENTER_KEY_FILE", str(state_folder() / "center.key"))
    with pytest.raises(ValueError, match="HLX_CENTER_KEY_FILE names the key of the vault"):
        vault.seal_with_passphrase("a long passphrase")
    assert Vault(files).open(entry.id).secret.reveal() == CLAUDE


def _add(home: Path, number: int) -> None:
    vault = Vault(ProviderFiles.of_home(home))
    for count in range(5):
        entry = vault.add("claude", f"{number}-{count}", Secret.of(f"{CLAUDE}{number}{count}"))
        vault.mark(entry.id, True, None)
        vault.open(entry.id)


def test_processes_that_use_it_at_once_lose_nothing(files: ProviderFiles) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add, args=(files.root.parent, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    vault = Vault(files)
    assert [worker.exitcode for worker in workers] == [0, 0, 0] and len(vault.entries()) == 15
    for entry in vault.entries():
        assert entry.validated and entry.last_used
        assert vault.open(entry.id).secret.reveal() == f"{CLAUDE}{entry.name.replace('-', '')}"
    assert [path.name for path in files.root.iterdir()] == ["keys.json"]


def test_a_full_disk_loses_no_key(files: ProviderFiles, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = added(vault)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            added(vault, name="two")
    assert [found.id for found in vault.entries()] == [entry.id] and vault.open(entry.id).secret.reveal() == CLAUDE
    assert [path.name for path in files.root.iterdir()] == ["keys.json"]


def test_without_its_package_keys_are_listed_and_whatever_opens_one_says_what_to_install(
    files: ProviderFiles, vault: Vault, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = added(vault)
    for name in [name for name in sys.modules if name.partition(".")[0] == "nacl"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nacl", None)
    assert Vault(files).entries()[0].id == entry.id
    for use in (lambda: Vault(files).open(entry.id), lambda: added(Vault(files), name="two")):
        with pytest.raises(ValueError, match=r"pynacl is missing.*hlx-brain\[center\]"):
            use()
    assert "pynacl is missing" in ProviderClient(files).check("claude").reason and fake.requests == []
