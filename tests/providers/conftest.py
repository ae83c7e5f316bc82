"""A fake of all providers, and the files of a new home."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hlx_model.providers.files import ProviderFiles
from tests.support.fake_provider import FakeProvider


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProviderFiles:
    """The files of a new home, which is also $DAGSTER_HOME; the key of its vault is in a new folder of state."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return ProviderFiles.of_home()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    """All providers, on loopback."""
    with FakeProvider(answer=lambda system, user, schema: {"verdict": "watch", "step": 7}) as server:
        monkeypatch.setenv("HLX_PROVIDER_HOSTS", server.hosts)
        yield server
