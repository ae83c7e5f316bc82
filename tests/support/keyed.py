"""A Training Center whose providers are all one fake server, and a state folder of its own for the key of its vault."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.support.fake_provider import FakeProvider
from tests.support.vaults import CLAUDE, OPENAI, XAI

KEYS = {"claude": CLAUDE, "openai": OPENAI, "xai": XAI}
BAD = "sk-bad-Vn5Xc8Zl2Qw6Er9Ty3Ui7Op-DD"
"""The fake provider refuses it, and repeats it."""


@contextmanager
def fake_providers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    """Run the fake provider, in the place of all providers."""
    with FakeProvider() as fake:
        monkeypatch.setenv("HLX_PROVIDER_HOSTS", fake.hosts)
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        yield fake


def add_key(client: TestClient, provider: str = "claude", key: str | None = None, name: str = "work") -> Any:
    """Store a key; the content of the answer."""
    sent = {"provider": provider, "name": name, "key": key or KEYS[provider]}
    answer = client.post("/api/keys/add", json=sent)
    assert answer.status_code == 201, answer.text
    return answer.json()
