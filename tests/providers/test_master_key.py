"""The key of the vault: where it is looked for, and which places are refused."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hlx_model.providers.master_key import SALT_SIZE, derived, master_key, state_folder, write_private

HEX = "ab" * 32


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home; state of the user is in a folder of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def key_file(path: Path, mode: int = 0o600, text: str = HEX) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def wide_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_at_first_use_a_key_is_made_that_its_owner_alone_can_read(home: Path, wide_umask: None) -> None:
    made = master_key(home, None)
    path = state_folder() / "center.key"
    assert len(made) == 32 and master_key(home, None) == made
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert [found.name for found in path.parent.iterdir()] == ["center.key"]
    path.unlink()
    assert master_key(home, None) != made


def test_processes_that_make_it_at_the_same_moment_have_the_same_key(home: Path) -> None:
    path = state_folder() / "center.key"
    write_private(path, "first")
    write_private(path, "second")
    assert path.read_text() == "first\n" and len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("named", ["", "relative/state"])
def test_without_a_folder_of_state_it_is_in_the_users_home(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", named)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert state_folder() == Path("/home/somebody/.local/state/hlx-brain")


def test_the_first_that_is_there_is_taken(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    salt = b"s" * SALT_SIZE
    assert master_key(home, salt, lambda: "a long passphrase") == derived("a long passphrase", salt)
    monkeypatch.setenv("HLX_CENTER_KEY_FILE", str(key_file(tmp_path / "own.key")))
    assert master_key(home, None) == master_key(home, salt) == bytes.fromhex(HEX)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert master_key(home, None) == bytes.fromhex(HEX)  # systemd gave none of ours
    key_file(tmp_path / "credentials/hlx-center", 0o440, "cd" * 32)
    assert master_key(home, None) == bytes.fromhex("cd" * 32)
    assert not state_folder().exists()


def test_a_passphrase_is_never_read_from_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HLX_CENTER_PASSPHRASE", "HLX_PASSPHRASE"):
        monkeypatch.setenv(name, "a long passphrase")
    with pytest.raises(ValueError, match=r"sealed with a passphrase.*terminal.*remove all keys.*add them again"):
        master_key(home, b"s" * SALT_SIZE)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_a_file_that_is_open_to_others_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    path = key_file(tmp_path / "own.key", mode)
    monkeypatch.setenv("HLX_CENTER_KEY_FILE", str(path))
    with pytest.raises(ValueError, match=rf"HLX_CENTER_KEY_FILE: .*mode {mode:04o}.*chmod 600 {path}"):
        master_key(home, None)


def test_the_file_made_at_first_use_is_refused_too_if_it_was_opened_to_others(home: Path) -> None:
    master_key(home, None)
    (state_folder() / "center.key").chmod(0o644)
    with pytest.raises(ValueError, match="mode 0644"):
        master_key(home, None)


def test_a_file_of_another_user_is_refused(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLX_CENTER_KEY_FILE", str(key_file(tmp_path / "own.key")))
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(ValueError, match="belongs to another user"):
        master_key(home, None)


def test_a_file_in_the_home_is_refused_and_a_link_that_leads_there(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = key_file(home / "deep/own.key")
    (tmp_path / "link.key").symlink_to(inside)
    (tmp_path / "linked").symlink_to(home / "deep")
    for path in (inside, tmp_path / "link.key", tmp_path / "linked/own.key", home / "../home/deep/own.key"):
        monkeypatch.setenv("HLX_CENTER_KEY_FILE", str(path))
        with pytest.raises(ValueError, match=r"lies in the home .*HLX_CENTER_KEY_FILE"):
            master_key(home, None)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(home / "deep"))  # nor as a credential
    inside.rename(home / "deep/hlx-center")
    with pytest.raises(ValueError, match="lies in the home"):
        master_key(home, None)
    linked_home = tmp_path / "home-link"
    linked_home.symlink_to(home)
    with pytest.raises(ValueError, match="lies in the home"):
        master_key(linked_home, None)


@pytest.mark.parametrize("worktree", [False, True])
def test_a_file_in_a_work_tree_of_git_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worktree: bool
) -> None:
    tree = tmp_path / "tree"
    if worktree:  # of another repository: its `.git` is a file
        tree.mkdir()
        (tree / ".git").write_text("gitdir: /elsewhere\n")
    else:
        subprocess.run(["git", "init", "-q", tree], check=True)
    (tmp_path / "link.key").symlink_to(key_file(tree / "a/own.key"))
    for path in (tree / "a/own.key", tmp_path / "link.key"):
        monkeypatch.setenv("HLX_CENTER_KEY_FILE", str(path))
        with pytest.raises(ValueError, match=r"a work tree of git.*HLX_CENTER_KEY_FILE"):
            master_key(home, None)


def test_no_key_is_made_in_the_home_or_a_work_tree(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    with pytest.raises(ValueError, match="lies in the home"):
        master_key(home, None)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("text", ["", "not hexadecimal", HEX[:-2], HEX + "00", "é" * 64, HEX * 100])
def test_a_file_without_a_key_is_named_and_not_repeated(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = key_file(tmp_path / "own.key", text=text)
    monkeypatch.setenv("HLX_CENTER_KEY_FILE", str(path))
    with pytest.raises(ValueError, match=rf"{path} does not contain 64 hexadecimal digits: .*openssl") as raised:
        master_key(home, None)
    assert "hexadecimal" in str(raised.value) and HEX[:8] not in str(raised.value)


def test_what_is_no_file_is_one_line(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    wrong = {"relative.key": "whole path", f"{tmp_path}/missing": "No such file", f"{tmp_path}/pipe": "is no file"}
    for named, said in {**wrong, f"{tmp_path}": "is no file", "/dev/null": "is no file"}.items():
        monkeypatch.setenv("HLX_CENTER_KEY_FILE", named)
        with pytest.raises(ValueError, match=f"HLX_CENTER_KEY_FILE.*{said}"):
            master_key(home, None)
