"""Text of data controls no terminal and no page, and is not shown whole if it is long."""

import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from hlx_model.cli.run import run
from hlx_model.cli.show import DataConsole, echo, rows_table
from hlx_model.corpus.documents import keep_documents
from hlx_model.layout import Artifacts
from hlx_model.provenance.events import Event, record_event
from hlx_model.provenance.tree import lineage, mermaid, outline
from hlx_model.reporting.render import markdown_block
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.shown import one_line, shorten, show_lines
from tests.support.command import Hlx

HOSTILE = (
    "\x1b[95;47mpink", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\link", "\x1b[2J", "\x9b31m", "\x85", "\x7f",
    "\u202eoverridden", "\u2066isolated", "\u200bhidden", "\u2028", "[bold]markup[/]", "[link=http://x]",
    "![x](http://x/y.png)", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "```", "&lt;",
    '"]; click n0 href "javascript:alert(1)"',
)  # fmt: skip
"""Texts that control something if they are not shown as text."""
UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
OF_RICH = re.compile(r"\x1b\[((?!95;47)[\d;]*m|\?25[lh]|\d*[AK])|\r")
"""What rich itself writes: colours, and what it needs to write a table again."""


def terminal(*command: object) -> str:
    """Run `hlx` in a terminal and return what it writes there, without what rich controls it with."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        [sys.executable, "-m", "hlx_model", *map(str, command)],
        stdin=slave, stdout=slave, stderr=slave, env=environment,
    ) as process:  # fmt: skip
        os.close(slave)
        found = b""
        while piece := _read(master):
            found += piece
    os.close(master)
    assert process.returncode in (0, 1)
    return OF_RICH.sub("", found.decode().replace("\r\n", "\n"))


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # Linux's answer when the other end is closed
        return b""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of trainings, whose document and reason for a failure are hostile; the document is beside it."""
    root = tmp_path_factory.mktemp("hostile")
    texts = "".join(f"English: Say {text} {number}\nHLXL: {{1: \n\n" for number, text in enumerate(HOSTILE))
    document = root / "\x1b[95;47m\u202e[bold]x](http:y)<img onerror=z>`|.md"
    document.write_text(f"# \x1b[2Jsection <b>\n\nEnglish: One\nHLXL: 1\n\n{texts}", encoding="utf-8")
    artifacts = Artifacts.at(root / "artifacts")
    kept = keep_documents(artifacts, [document])
    record_event(artifacts.root, Event("corpus_document", str(kept.relative_to(artifacts.root)), "run", "2024-01-01"))
    directory = artifacts.training / ("0" * 16)
    directory.mkdir(parents=True)
    Heartbeat("0" * 16, 1, "tiny\x1b[31m", 10, status="failed", reason="".join(HOSTILE)).write(directory)
    return artifacts.training


def test_text_of_data_does_not_control_a_terminal(hostile: Path) -> None:
    document = next(hostile.parents[1].glob("*.md"))
    within = ("--checkpoint-dir", hostile)
    commands = [
        ("corpus", "check", document), ("corpus", "statistics", document), ("corpus", "statistics", document, "--json"),
        ("status", *within), ("status", "--json", *within), ("watchdog", "--once", *within), ("history", *within),
        ("lineage", "show", "corpus_document", *within), ("lineage", "show", "corpus_document", "--mermaid", *within),
        ("lineage", "uses", "".join(HOSTILE), *within), ("lineage", "uses", "--text", HOSTILE[0], *within),
        ("translate", HOSTILE[1]), ("convert", HOSTILE[2], "--from", "HLXL", "--to", "LC-R"), ("train", HOSTILE[3]),
        ("corpus", "check", hostile / HOSTILE[0]), ("export", HOSTILE[4], HOSTILE[5]),
    ]  # fmt: skip
    for command in commands:
        found = UNSEEN.findall(terminal(*command))
        assert found == [], command


def test_a_pipe_gets_data_exactly(hlx: Hlx) -> None:
    value = '"\u202e\u200f"'
    assert hlx("convert", value, "--from", "HLXL", "--to", "HLXL").out == f"{value}\n"


def test_text_of_data_is_no_markup_of_rich() -> None:
    console = DataConsole(file=io.StringIO(), markup=False, force_terminal=True, width=200)
    for text in HOSTILE:
        console.print(rows_table([{"text": text}]))
    assert isinstance(console.file, io.StringIO)
    written = OF_RICH.sub("", console.file.getvalue())
    assert UNSEEN.findall(written) == [] and "[bold]markup[/]" in written and "[link=http://x]" in written


def test_names_of_documents_are_no_markup_in_a_diagram_or_a_list(hostile: Path) -> None:
    node = lineage("corpus_document", hostile)
    assert any("onerror" in one.name for one in node.walk())
    for line in mermaid(node).splitlines()[1:]:
        label = re.fullmatch(r'  n\d+\W+"(.*)"\W+|  n\d+ --> n\d+', line)
        assert label and not re.search(r'[<>"`\[\](){}|&]', (label[1] or "").replace("<br/>", "")), line
    listed = outline(node)
    assert UNSEEN.findall(listed) == [] and r"\<img" in listed and r"\[bold]" in listed


@pytest.mark.parametrize("text", ["```\n![x](http://x)\n```", "`" * 9, "\x1b[2J", "a\nb"])
def test_a_block_of_code_ends_where_its_lines_end(text: str) -> None:
    first, *lines, last = markdown_block(text).split("\n")
    assert first == last and set(first) == {"`"} and len(lines) == text.count("\n") + 1
    assert all(first not in line for line in lines) and UNSEEN.findall("".join(lines)) == []


def test_what_has_no_end_is_cut(hlx: Hlx, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shorten("x" * 500) == "x" * 500 and shorten("x" * 5_000_000).endswith("x… (5,000,000 characters)")
    assert len(one_line("x\n" * 5_000_000)) < 1100
    assert show_lines("a\tb\nc\x1b") == "a\tb\nc␛"
    echo("a\x1b\nb")
    assert capsys.readouterr().out == "a␛\nb\n"
    long = "word " * 1_000_000
    document = tmp_path / "long.md"
    document.write_text(
        f"English: One\nHLXL: 1\n\nEnglish: {long}\nHLXL: 2\n\nEnglish: Two\nHLXL: {{1: {long}\n\n"
        f'English: Three\nHLXL: "{long}"\nLC-R: 5\n\n{long}: four\n\n# {long}\n\nEnglish: Six\nHLXL: 6\n'
    )
    convert = ("convert", "{1: " + long[:100_000], "--from", "HLXL", "--to", "LC-R")
    for command in (("corpus", "check", document), convert):
        ran = hlx(*command)
        assert ran.code == 1 and len(ran.out) + len(ran.err) < 20_000
        assert max(map(len, [*ran.out.splitlines(), *ran.err.splitlines()])) < 3_000
    assert "characters)" in hlx("corpus", "check", document).out


def test_a_log_and_an_error_are_shown_as_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    application = typer.Typer()

    @application.command()
    def command() -> None:
        logging.getLogger("hlx_model").warning("log \x1b[31m")
        raise ValueError("error \u202e\nand more")

    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(sys, "argv", ["hlx"])
    with pytest.raises(SystemExit, match="error: error ⟨U\\+202E⟩ and more"):
        run(application)
    assert capsys.readouterr().err == "log ␛[31m\n"


def test_a_name_that_is_not_utf_8_is_refused_in_a_line(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.md"
    Path(os.fsdecode(path)).write_bytes(b"English: One\nHLXL: 1\n")
    ran = subprocess.run([sys.executable, "-m", "hlx_model", "corpus", "check", path], capture_output=True, check=False)
    (line,) = ran.stderr.decode().splitlines()
    assert ran.returncode == 1 and "is not UTF-8: give it in UTF-8, or rename the file" in line and "⟨U+DCE9⟩" in line
    environment = {**os.environ, "HLX_CORPUS": os.fsdecode(path), "DAGSTER_HOME": str(tmp_path)}
    train = [sys.executable, "-m", "hlx_model", "train", "--phase", "1"]
    ran = subprocess.run(train, capture_output=True, check=False, env=environment)
    assert ran.returncode == 1 and b"its name is not UTF-8: rename it" in ran.stderr.splitlines()[-1]


def test_json_keeps_what_it_says(hostile: Path, hlx: Hlx) -> None:
    (training,) = json.loads(hlx("status", "--json", "--checkpoint-dir", hostile).out)["trainings"]
    assert training["reason"] == "".join(HOSTILE)
