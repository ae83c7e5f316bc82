"""docs/serving.md: each example in curl and Python runs against a live server and gives what is shown there."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hlx_model.corpus.prompts import ENGLISH, prompt
from hlx_model.evaluation.translation import MAX_ANSWER
from hlx_model.model.generation import MAX_PROMPT
from hlx_model.model.tokenizer import CHARACTERS
from hlx_model.serving.app import PATHS
from hlx_model.serving.openai_api import _IGNORED, _NEUTRAL, NAME
from hlx_model.serving.server import HEAD_BYTES
from hlx_model.serving.service import WATCH_SECONDS, Limits
from tests.support.curriculum import Curriculum
from tests.support.live_serve import Served, hlx_serve
from tests.support.programs import program

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
"""Language and text of each fenced block, in their order."""
CURL = [index for index, (kind, text) in enumerate(BLOCKS) if kind == "sh" and text.startswith("curl ")]
ADDRESS = "localhost:5001"
CHECKPOINT = re.compile(r"[0-9a-f]{16}/phase3_\w+")
HTTP_ERROR = 22
"""The exit code of curl for a status of 400 and above."""


@pytest.fixture(scope="module")
def server(curriculum: Curriculum, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with hlx_serve(tmp_path_factory.mktemp("serve"), "--checkpoint-dir", curriculum.training) as running:
        yield running


def shown(index: int) -> tuple[str, str]:
    """Language and text of what a block shows as the output of the one before; "" for none."""
    following = BLOCKS[index + 1] if index + 1 < len(BLOCKS) else ("", "")
    return following if following[0] in ("json", "text") else ("", "")


def differ(expected: Any, found: Any) -> bool:
    """Whether an answer is not as shown. `…` stands for any value, and as a key for any other fields."""
    if expected == "…":
        return False
    if isinstance(expected, dict) and isinstance(found, dict):
        open_ended = "…" in expected
        fields = {name: value for name, value in expected.items() if name not in ("…", "created")}
        missing = not open_ended and expected.keys() != found.keys()
        return missing or any(name not in found or differ(value, found[name]) for name, value in fields.items())
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) != len(found) or any(map(differ, expected, found))
    return bool(expected != found)


@pytest.mark.parametrize("index", CURL, ids=lambda index: BLOCKS[index][1][:60])
def test_each_curl_gets_the_answer_that_is_shown(server: Served, tmp_path: Path, index: int) -> None:
    program("curl")
    (tmp_path / ".curlrc").write_text("fail-with-body\n", encoding="utf-8")
    script = BLOCKS[index][1].replace(ADDRESS, f"localhost:{server.port}")
    environment = {**os.environ, "CURL_HOME": str(tmp_path), "HLX_API_TOKEN": "secret"}
    ran = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True)
    kind, text = shown(index)
    expected = json.loads(CHECKPOINT.sub("NAME", text)) if kind == "json" else "…"
    is_error = isinstance(expected, dict) and not {"detail", "error"}.isdisjoint(expected)
    assert ran.returncode == (HTTP_ERROR if is_error else 0), ran.stdout + ran.stderr
    found = CHECKPOINT.sub("NAME", ran.stdout)
    assert found and not (kind and differ(expected, json.loads(found))), found


def test_the_blocks_in_python_print_what_is_shown(server: Served) -> None:
    found = [index for index, (kind, _) in enumerate(BLOCKS) if kind == "python"]
    script = "\n".join(BLOCKS[index][1] for index in found).replace(ADDRESS, f"localhost:{server.port}")
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ, "PYTHONUTF8": "1"}
    )
    assert ran.returncode == 0 and len(found) == 2, ran.stderr
    assert ran.stdout == "".join(shown(index)[1] for index in found)


def test_every_example_that_calls_the_server_is_one_of_these() -> None:
    calling = {index for index, (kind, text) in enumerate(BLOCKS) if ADDRESS in text and kind != "ts"}
    announcement = {index for index, (kind, _) in enumerate(BLOCKS) if not kind}
    python = {index for index, (kind, _) in enumerate(BLOCKS) if kind == "python"}
    assert calling - announcement == {*CURL} | python and len(CURL) > 8


def test_the_server_says_at_its_start_what_is_shown(server: Served) -> None:
    (expected,) = [text for kind, text in BLOCKS if not kind]
    found = "".join(server.log.splitlines(keepends=True)[:3])
    said, on_page = (re.sub(r"\d+", "0", CHECKPOINT.sub("NAME", text)) for text in (found, expected))
    assert said == on_page


def test_no_text_of_a_request_is_logged(server: Served) -> None:
    for body, kind in (('{"text": "Sort all users"}', "application/json"), ("Count the songs", "text/plain")):
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.port}/translate", body.encode(), {"content-type": kind}
        )
        try:
            urllib.request.urlopen(request, timeout=60).read()
        except OSError:
            assert kind != "application/json"
    log = server.log
    assert "refused a request for '/translate'" in log and not re.search("Sort|Count the|sort|songs", log)


def test_the_metrics_of_the_page_are_those_of_the_server(server: Served) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=60) as answer:
        names = set(re.findall(r"^# TYPE (\w+) (?!gauge\n.*_created)", answer.read().decode(), re.MULTILINE))
    section = PAGE.split("## Metrics")[1].split("\n## ")[0]
    on_page = set(re.findall(r"`(hlx_\w+)`", section))
    assert on_page == {name for name in names if not name.endswith("_created")}


def test_the_tables_name_all_routes_and_all_parameters() -> None:
    routes = PAGE.split("## Routes")[1].split("\n## ")[0]
    assert set(re.findall(r"(?<=[ `])(/[\w/]+)(?=`)", routes)) - {"/openapi.json"} == {*PATHS}
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", PAGE, re.MULTILINE)
    (neutral,) = [names for names, said in rows if said.startswith("only with the value that changes nothing")]
    (ignored,) = [names for names, said in rows if said == "ignored"]
    assert set(re.findall(r"`(\w+)`", neutral)) == {*_NEUTRAL}
    assert set(re.findall(r"`(\w+)`", ignored)) == {*_IGNORED}


def test_the_limits_are_those_of_the_server() -> None:
    limits, text = Limits(), " ".join(PAGE.split())
    for said in (
        f"longer than {limits.body_bytes:,} bytes", f"took longer than {limits.body_seconds:g} seconds",
        f"| {MAX_PROMPT - len(prompt('HLXL', ''))} characters", f"{MAX_PROMPT - len(prompt(ENGLISH, ''))} into Eng",
        f"of the {len(CHARACTERS)} that", f"| {MAX_ANSWER} characters,",
        f"| {limits.slots} | `--slots`", f"| {limits.waiting} | `--waiting`", f"{limits.seconds:g} seconds | `--sec",
        f"{HEAD_BYTES:,} bytes, {limits.body_seconds:g} seconds", f"every {WATCH_SECONDS:g} seconds",
        f"among {limits.slots - 1} others", f"at most {MAX_PROMPT + 1} characters together", f"`model` is `{NAME}`",
    ):  # fmt: skip
        assert said in text, said
