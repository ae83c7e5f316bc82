"""The files of a new home."""

from pathlib import Path

import pytest

from hlx_model.providers.files import ProviderFiles


@pytest.fixture
def files(tmp_path: Path) -> ProviderFiles:
    """The files of providers in a new home."""
    return ProviderFiles.of_home(tmp_path / "home")
