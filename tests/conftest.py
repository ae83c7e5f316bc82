"""Fixtures of many tests: a document, a curriculum trained on it, and the command."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from hlx_model.cli import app
from tests.support.command import Hlx, runner
from tests.support.curriculum import Curriculum, make_small_curriculum, train_curriculum
from tests.support.documents import small_text
from tests.support.once import made_once

# Tests do not depend on what a developer's environment sets.
for _name in [name for name in os.environ if name.startswith("HLX_")]:
    if _name not in ("HLX_SHARED", "HLX_UPDATE_DOCS", "HLX_UPDATE_GOLDEN"):
        del os.environ[_name]
os.environ.pop("DAGSTER_PIPES_CONTEXT", None)

# A busy machine is slow at times: no example has a deadline.
settings.register_profile("daily", deadline=None)
settings.load_profile("daily")
# `make nightly`.
settings.register_profile("nightly", max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """A tiny model is slower on several threads, and sums in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The key of a vault and the token of a Training Center are made in a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        yield


@pytest.fixture(scope="session")
def small_document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus document of 48 entries."""
    path = tmp_path_factory.mktemp("document") / "small.md"
    path.write_text(small_text(), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def curriculum(tmp_path_factory: pytest.TempPathFactory) -> Curriculum:
    """The three phases of the tiny model on the small document, each evaluated; trained once for all processes."""
    made = made_once(tmp_path_factory, "curriculum", make_small_curriculum)
    own = tmp_path_factory.mktemp("curriculum") / "artifacts"
    shutil.copytree(made / "artifacts", own)  # Tests write beside what they read.
    return train_curriculum(made / "small.md", own)


@pytest.fixture
def hlx(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hlx:
    """The command `hlx`, run in this process: `hlx("convert", "5", "--from", "HLXL", …)`."""
    return runner(app, "hlx", monkeypatch, capsys)
