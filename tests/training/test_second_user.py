"""A second user of the same group resumes, validates and cleans a training that the first has started."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hlx_model.checkpoints.seal import verify_checkpoint
from tests.support.documents import small_text
from tests.support.second_user import FIRST, GROUP, SECOND

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become two other users: run it as root")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the group, with the setgid bit; pytest's own are for one user alone."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        (path / "document.md").write_text(small_text(), encoding="utf-8")
        os.chown(path, 0, GROUP)
        path.chmod(0o2775)
        (path / "document.md").chmod(0o644)
        yield path


def test_a_second_user_resumes_validates_and_cleans(folder: Path) -> None:
    command = [sys.executable, "-m", "tests.support.second_user", str(folder)]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)

    assert said["resumed"] == said["interrupted"] + 1
    assert any("_LAST_" in name for name in said["left"]) and "phase1_epoch1" in said["left"]
    checkpoint, directory, report = Path(said["checkpoint"]), Path(said["directory"]), Path(said["report"])
    assert verify_checkpoint(checkpoint).manifest.kind == "FINAL"
    assert not list((directory / "checkpoints").glob("*_LAST_*"))
    assert (said["removed"], said["failed"]) == (["phase1_epoch1"], [])

    owners = {path: path.stat().st_uid for path in (directory / "lock", checkpoint, report, report / "report.json")}
    assert list(owners.values()) == [FIRST, SECOND, SECOND, SECOND]
    for path in (folder / "artifacts").rglob("*"):
        status = path.stat()
        assert status.st_gid == GROUP, path
        assert stat.S_IMODE(status.st_mode) == (0o2775 if path.is_dir() else 0o664), path
