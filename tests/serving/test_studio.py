"""TypeScript against a live `hlx serve`: the studio's calls as its client makes them, and the example of the page."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.curriculum import Curriculum
from tests.support.live_serve import Served, hlx_serve
from tests.support.programs import program

pytestmark = pytest.mark.system

CLIENT = Path(__file__).with_name("studio.ts")
PAGE = Path(__file__).parents[2] / "docs" / "serving.md"
TOKEN = "correct-horse"
FIND = '{1000: {@0: "search", @1: &h_documents}}'


@pytest.fixture(scope="module")
def server(curriculum: Curriculum, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    for needed in ("tsc", "node"):  # before a model is trained
        program(needed)
    folder = tmp_path_factory.mktemp("serve")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HLX_API_TOKEN", TOKEN)
        with hlx_serve(folder, "--checkpoint-dir", curriculum.training) as running:
            yield running


def compiled(source: Path, folder: Path) -> Path:
    """Compile a file strictly, without types of Node or packages, and return the JavaScript."""
    ran = subprocess.run(
        [program("tsc"), "--strict", "--noUnusedLocals", "--target", "es2020", "--module", "commonjs",
         "--lib", "es2020,dom", "--typeRoots", str(folder), "--outDir", str(folder), str(source)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder / f"{source.stem}.js"


def run(script: Path, *arguments: str, token: str = TOKEN) -> "subprocess.CompletedProcess[str]":
    """Run JavaScript with node."""
    return subprocess.run(
        [program("node"), str(script), *arguments], capture_output=True, text=True, env={"HLX_API_TOKEN": token}
    )


def test_each_call_of_the_studio_gets_a_right_answer(server: Served, curriculum: Curriculum, tmp_path: Path) -> None:
    script = compiled(CLIENT, tmp_path)
    ran = run(script, f"http://127.0.0.1:{server.port}")
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    name = f"{curriculum.phases[3].plan.id}/{curriculum.phases[3].checkpoint.name}"
    by = {"checkpoint": name, "verdict": "warn"}
    models = dict.fromkeys(("coordinator", "ascii", "runic"), name)
    assert found["health"] == {
        "status": "ready", "models": models, "greeting": f"HLX Brain: {name}, verdict warn", **by,
    }  # fmt: skip
    status = found["status"]
    assert status["ready"] is True and status["models"] == models and by.items() <= status.items()
    assert status["languages"] == ["HLXL", "LC-R", "LC-T", "LC-B", "English"] and status["waiting"] == 0
    assert (status["coordinator"], status["ascii_specialist"], status["runic_specialist"]) == (name,) * 3
    answered = {"text": FIND, "to": "HLXL", "parses": True, "complete": True, **by}
    assert found["query"] == {
        "success": True, "response": FIND, "specialist": "ascii", "explanation": "English to HLXL",
        "format_hints": [], **answered,
    }  # fmt: skip
    assert found["reload"] == {
        "success": True,
        "message": f"still serving {name}: there is no newer one to serve",
        **by,
    }
    runic = '🜊1000🜁0 "search"🜁1 ⟁documents🜂'
    assert found["one"] == {"text": runic, "to": "LC-R", "parses": True, "complete": True, **by}
    assert [one["text"] for one in found["several"]] == ['{1000: {@0: "sort", @1: &h_users}}', "Sort all users"]
    assert found["refused"] == {"status": 422, "detail": "text is empty: give a sentence, or a line of HLX"}


def test_without_the_token_the_client_learns_why(server: Served, tmp_path: Path) -> None:
    ran = run(compiled(CLIENT, tmp_path), f"http://127.0.0.1:{server.port}", token="")
    assert ran.returncode == 1 and "403" in ran.stderr and "this server needs its token" in ran.stderr


def test_the_example_of_the_page_prints_what_is_shown(server: Served, tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    ((example, shown),) = re.findall(r"```ts\n(.*?)```\n```text\n(.*?)```", text, re.DOTALL)
    header = '"Content-Type": "application/json"'
    example = example.replace("localhost:5001", f"localhost:{server.port}")
    source = tmp_path / "example.ts"
    source.write_text(example.replace(header, f'{header}, "Authorization": "Bearer {TOKEN}"'), encoding="utf-8")
    ran = run(compiled(source, tmp_path))
    assert (ran.returncode, ran.stdout) == (0, shown), ran.stderr
