"""An installed wheel contains what the UI needs: it runs outside of any checkout."""

import subprocess
import sys
from pathlib import Path

import pytest

from hlx_assets.ui import free_port
from tests.support.dagster_home import REPOSITORY
from tests.support.live_dagster import Ui
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel of this checkout, and return the folder that it is installed into."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, REPOSITORY], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


@pytest.mark.system
def test_a_wheel_contains_the_pages_of_the_training_center(installed: Path) -> None:
    def files(root: Path) -> dict[str, bytes]:
        found = (path for path in (root / "hlx_assets" / "center").rglob("*") if path.is_file())
        return {str(path.relative_to(root)): path.read_bytes() for path in found if path.suffix not in (".py", ".pyc")}

    assert files(installed) == files(REPOSITORY)
    assert "hlx_assets/center/static/htmx.min.js" in files(installed)
    assert list(installed.glob("*.dist-info/licenses/**/THIRD_PARTY.md"))


@pytest.mark.system
@pytest.mark.parametrize("module", ["hlx_assets.ui", "hlx_assets.webserver"])
def test_the_ui_runs_from_a_wheel(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(installed))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    where = "import hlx_assets; print(hlx_assets.__file__)"
    found = subprocess.run([sys.executable, "-c", where], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(installed)
    port = free_port(0)
    monkeypatch.setenv("HLX_CENTER_PORT", str(free_port(0)))
    with subprocess.Popen([sys.executable, "-m", module, "-p", str(port)], cwd=tmp_path) as process:
        try:
            ui = Ui(port)
            wait_for(lambda: process.poll() is not None or ui.ready(), f"for {module}")
            assert process.poll() is None
        finally:
            process.terminate()
            process.wait(90)
    shipped = REPOSITORY / "dagster_home" / "dagster.yaml"
    assert (tmp_path / "home" / "dagster.yaml").read_text() == shipped.read_text()
