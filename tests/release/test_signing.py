"""A signature covers every file but itself: one changed byte is found and named, and another key is refused."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.layout import SIGNATURE
from hlx_model.release.export import export
from hlx_model.release.signing import sign, verify_signature
from tests.support.command import Hlx
from tests.support.curriculum import Curriculum, copied
from tests.support.damage import flip
from tests.support.keys import key_pair, write_keys


def refusal(directory: Path, key: Path) -> str:
    """The one line that refuses a folder."""
    with pytest.raises(ValueError) as refused:
        verify_signature(directory, key)
    message = str(refused.value)
    assert message.startswith(f"{directory}: ") and "\n" not in message
    return message.removeprefix(f"{directory}: ")


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """Where model-signing is installed: a private and a public key."""
    pytest.importorskip("model_signing.signing", exc_type=ImportError)
    return key_pair(tmp_path)


@pytest.fixture
def signed(curriculum: Curriculum, tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    """A folder that was exported and signed with `keys`."""
    export(curriculum.phases[3].checkpoint, tmp_path / "folder", key=keys[0])
    return tmp_path / "folder"


def test_one_changed_byte_in_any_file_is_found_and_named(signed: Path, keys: tuple[Path, Path]) -> None:
    verify_signature(signed, keys[1])
    for path in sorted(signed.iterdir()):
        content = path.read_bytes()
        for place in (0, len(content) // 2, len(content) - 1):
            flip(path, place)
            message = refusal(signed, keys[1])
            assert message.startswith("model.sig") if path.name == SIGNATURE else message == f"changed: {path.name}"
            path.write_bytes(content)
    verify_signature(signed, keys[1])


def test_added_and_removed_files_are_named(signed: Path, keys: tuple[Path, Path]) -> None:
    (signed / ".gitignore").write_text("*\n", encoding="utf-8")
    (signed / "more").mkdir()
    (signed / "more" / "code.py").write_text("", encoding="utf-8")
    assert refusal(signed, keys[1]) == "not signed: .gitignore, more/code.py"
    shutil.rmtree(signed / "more")
    (signed / ".gitignore").unlink()
    (signed / "config.json").unlink()
    flip(signed / "README.md", 5)
    assert refusal(signed, keys[1]) == "changed: README.md; missing: config.json"


def test_another_key_is_refused_even_if_the_signature_names_it(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    _, other = key_pair(tmp_path, "other")
    assert refusal(signed, other) == f"signed with another key than {other}"
    elsewhere = Path(shutil.copytree(signed, tmp_path / "elsewhere"))
    sign(elsewhere, tmp_path / "other.pem")

    def hint(directory: Path) -> str:
        return (directory / SIGNATURE).read_text(encoding="utf-8").partition('"hint"')[2][:80].split('"')[1]

    forged = (signed / SIGNATURE).read_text(encoding="utf-8").replace(hint(signed), hint(elsewhere))
    (signed / SIGNATURE).write_text(forged, encoding="utf-8")
    assert refusal(signed, other) == f"model.sig was changed, or is not by {other}"


def test_a_signature_that_leaves_a_file_out_is_refused(signed: Path, keys: tuple[Path, Path]) -> None:
    library: Any = pytest.importorskip("model_signing", exc_type=ImportError)
    hashing = library.hashing.Config().set_ignored_paths(paths=[SIGNATURE, "README.md"], ignore_git_paths=False)
    config = library.signing.Config().use_elliptic_key_signer(private_key=keys[0]).set_hashing_config(hashing)
    config.sign(signed, signed / SIGNATURE)
    flip(signed / "README.md", 5)
    assert refusal(signed, keys[1]) == "its signature leaves out README.md: sign it again"


def test_the_directory_of_a_checkpoint_can_be_signed_twice(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 3)
    assert sign(checkpoint, keys[0]) == checkpoint / SIGNATURE
    sign(checkpoint, keys[0])
    verify_signature(checkpoint, keys[1])
    assert verify_checkpoint(checkpoint).manifest.phase == 3
    assert hlx("export", checkpoint, tmp_path / "folder").code == 0
    flip(checkpoint / "state.json", 50)
    assert refusal(checkpoint, keys[1]) == "changed: state.json"


def test_signing_does_not_use_the_network(
    signed: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    sign(signed, keys[0])
    verify_signature(signed, keys[1])
    assert capfd.readouterr() == ("", "")


def test_the_tool_of_model_signing_reads_the_signature(signed: Path, keys: tuple[Path, Path]) -> None:
    library: Any = pytest.importorskip("model_signing", exc_type=ImportError)
    verifier = library.verifying.Config().use_elliptic_key_verifier(public_key=keys[1])
    verifier.verify(signed, signed / SIGNATURE)
    flip(signed / "model.safetensors", 1000)
    # The message shows bytes of the digest: if they contain a quotation mark, its own marks are escaped.
    with pytest.raises(ValueError, match=r"Hash mismatch for \\*'model\.safetensors"):
        verifier.verify(signed, signed / SIGNATURE)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_the_documented_openssl_commands_make_a_key_that_signs(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    private, public = tmp_path / "made.pem", tmp_path / "made.pub"
    for command in (
        f"openssl ecparam -name prime256v1 -genkey -noout -out {private}",
        f"openssl ec -in {private} -pubout -out {public}",
    ):
        subprocess.run(command.split(), check=True, capture_output=True)
    ran = hlx("export", curriculum.phases[1].checkpoint, tmp_path / "folder", "--key", private)
    assert ran.code == 0 and "warning" not in ran.err
    verify_signature(tmp_path / "folder", public)


def test_an_unusable_key_is_one_line_and_nothing_is_written(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    (tmp_path / "text.pem").write_text("no key\n", encoding="utf-8")
    with_password, _ = write_keys(tmp_path, "password", ec.generate_private_key(ec.SECP256R1()), b"secret")
    of_rsa, _ = write_keys(tmp_path, "rsa", rsa.generate_private_key(65537, 2048))
    of_bitcoin, _ = write_keys(tmp_path, "bitcoin", ec.generate_private_key(ec.SECP256K1()))
    for key, message in (
        (tmp_path / "text.pem", "make one with `openssl ecparam"),
        (keys[1], "not a private key"),
        (with_password, "has a password"),
        (of_rsa, "not a private key (PEM) of an elliptic curve"),
        (of_bitcoin, "not a private key (PEM) of an elliptic curve"),
        (tmp_path / "none.pem", "no such file"),
    ):
        ran = hlx("export", curriculum.phases[1].checkpoint, tmp_path / "folder", "--key", key)
        assert ran.code == 1 and ran.err == f"{ran.error}\n" and key.name in ran.error and message in ran.error
        assert not (tmp_path / "folder").exists()


def test_a_folder_that_cannot_be_verified_is_one_line(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the public key"):
        verify_signature(signed, keys[0])
    for content in (b"", b"{}", b"[]", b"\xff", b'{"verificationMaterial": {}}'):
        (signed / SIGNATURE).write_bytes(content)
        assert "model.sig is not a signature, or was changed" in refusal(signed, keys[1])
    (signed / SIGNATURE).unlink()
    assert refusal(signed, keys[1]) == "not signed: model.sig is missing"
    assert refusal(tmp_path / "none", keys[1]) == "no such directory"
    (signed / "link").symlink_to(tmp_path)
    for act, key in ((sign, keys[0]), (verify_signature, keys[1])):
        with pytest.raises(ValueError, match="link: a link: only a folder of plain files can be signed"):
            act(signed, key)


def test_without_the_package_one_line_names_the_installation(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("model_signing", "model_signing.signing", "model_signing.verifying", "model_signing.hashing"):
        monkeypatch.setitem(sys.modules, name, None)
    ran = hlx("export", curriculum.phases[1].checkpoint, tmp_path / "folder", "--key", tmp_path / "key.pem")
    assert ran.code == 1 and "pip install -c constraints.txt -e '.[signing]'" in ran.error
    assert list(tmp_path.iterdir()) == []
    assert hlx("export", curriculum.phases[1].checkpoint, tmp_path / "folder").code == 0
