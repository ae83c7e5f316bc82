"""What the pages show is real: HLX that parses and renders as written, commands that exist and print what is shown."""

import os
import re
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from hlx_model.cli import COMMANDS, application
from hlx_model.cli.run import UsageError
from hlx_model.composer.loader import Operation, Phrases, operations
from hlx_model.language import GRAMMARS, Contract, Format, Handle, HLXSyntaxError, Value, parse, render, same
from hlx_model.phases import PHASES
from hlx_model.profiles import PROFILES
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.memory import GIB, estimate_disk, estimate_memory
from hlx_model.training.plan import Overrides, settings_of

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PRODUCTION = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
LANGUAGE = (ROOT / "docs" / "hlx.md").read_text(encoding="utf-8")


def table(*headings: str) -> list[list[str]]:
    """Return the rows of the table of docs/hlx.md with these headings; of cells that are code, the code."""
    head = "| " + " | ".join(headings) + " |\n"
    assert LANGUAGE.count(head) == 1, head
    lines = LANGUAGE.split(head)[1].split("\n\n")[0].splitlines()[1:]
    return [[_code(cell.strip()) for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def _code(cell: str) -> str:
    return cell[1:-1].replace(r"\|", "|") if re.fullmatch("`[^`]*`", cell) else cell


def nested(value: Value) -> Iterator[Value]:
    """Yield a value and all that it contains."""
    yield value
    inner: list[Value] = []
    if isinstance(value, Contract):
        inner = [item for _, item in value.fields]
    elif isinstance(value, list | dict):
        inner = list(value.values() if isinstance(value, dict) else value)
    for item in inner:
        yield from nested(item)


@pytest.mark.parametrize("row", table("value", *Format), ids=lambda row: row[0])
def test_a_value_is_written_in_each_format_as_shown(row: list[str]) -> None:
    texts = dict(zip(Format, row[1:], strict=True))
    value = parse(texts[Format.HLXL], Format.HLXL)
    for format, text in texts.items():
        assert same(parse(text, format), value) and render(value, format) == text, format


def test_each_kind_of_value_is_shown() -> None:
    shown = {type(parse(row[1], Format.HLXL)) for row in table("value", *Format)}
    assert shown == {type(None), bool, int, float, str, bytes, Handle, Contract, list, dict}


def test_the_first_example_has_one_value_in_four_formats() -> None:
    rows = table("format", "it is", "*Search for documents*")
    assert [Format(format) for format, _, _ in rows] == list(Format)
    values = [parse(text, Format(format)) for format, _, text in rows]
    assert [render(values[0], Format(format)) for format, _, _ in rows] == [text for _, _, text in rows]
    assert all(same(value, values[0]) for value in values)


@pytest.mark.parametrize("row", table("read", "as", "is written"), ids=lambda row: row[0])
def test_another_spelling_is_read_as_shown(row: list[str]) -> None:
    text, format, written = row
    assert text != written and render(parse(text, Format(format)), Format(format)) == written


@pytest.mark.parametrize("row", table("text", "as", "error"), ids=lambda row: row[0])
def test_a_text_is_refused_with_the_error_shown(row: list[str]) -> None:
    text, format, error = row
    with pytest.raises(HLXSyntaxError) as refused:
        parse(text, Format(format))
    assert str(refused.value) == f"{format} {error}"


def test_each_glyph_is_shown_with_its_code_point_and_name() -> None:
    rows = table("glyph", "code point", "Unicode calls it", "means")
    for glyph, code, name, _ in rows:
        assert (f"U+{ord(glyph):04X}", unicodedata.name(glyph)) == (code, name)
    marks = {mark for grammar in GRAMMARS.values() for mark in grammar.marks if not mark.isascii()}
    assert {glyph for glyph, *_ in rows} == marks and len(rows) == len(marks)


def grammar_values() -> Iterator[Value]:
    """Yield the values of all operations of the composer, and all that they contain."""
    waiting: list[Operation] = list(operations())
    seen: set[str] = set()
    while waiting:
        operation = waiting.pop()
        if operation.name not in seen:
            seen.add(operation.name)
            yield from nested(operation.template)
            waiting += [
                each for slot in operation.slots.values() if isinstance(slot, Phrases) for each in slot.operations
            ]


def test_the_contracts_of_the_composer_are_shown_with_their_fields() -> None:
    shown = {
        int(id): {int(number) for number in re.findall(r"`@(\d+)`", fields)}
        for ids, _, fields in table("contract", "is", "fields")
        for id in re.findall(r"\d+", ids)
    }
    found: dict[int, set[int]] = {}
    for value in grammar_values():
        if isinstance(value, Contract):
            found.setdefault(value.id, set()).update(number for number, _ in value.fields)
    assert shown.keys() == found.keys()
    assert {id: fields for id, fields in shown.items() if id != 1000} == {
        id: fields for id, fields in found.items() if id != 1000
    }


def test_the_operations_of_the_composer_are_shown() -> None:
    kinds = {ids: set(re.findall("`([a-z_]+)`", text)) for ids, text, _ in table("contract", "is", "fields")}
    (paragraph,) = re.findall(r"The operations of `1000`:\n\n(.*?)\n\n", LANGUAGE, re.DOTALL)
    kinds["1000"] = set(re.findall("`([a-z_]+)`", paragraph))
    found: dict[str, set[str]] = {}
    for value in grammar_values():
        if isinstance(value, Contract) and str(value.id) in ("101", "902", "1000"):
            found.setdefault(str(value.id), set()).add(str(value.fields[0][1]))
    assert found == {id: kinds[id] for id in found}


def test_commands_print_what_is_shown() -> None:
    (block,) = re.findall(r"```console\n(.*?)```", LANGUAGE, re.DOTALL)
    shown = re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.MULTILINE)
    assert len(shown) == block.count("$ ")
    for command, output in shown:
        script = f'hlx() {{ "{sys.executable}" -m hlx_model "$@"; }}; {command}'
        ran = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONUTF8": "1"}
        )
        assert (ran.stdout + ran.stderr).strip() == output.strip(), command


def test_memory_and_disk_of_production_are_estimated_as_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    profile, gpu = PROFILES["production"], ExecutionConfig("cuda")
    rows = re.findall(r"^\| (\w+)" + r" \| (\d+\.\d)" * 4 + r" \|$", PRODUCTION, re.MULTILINE)
    assert [size for size, *_ in rows] == ["100m", "250m", "500m", "1b"]
    for size, *shown in rows:
        plans = [settings_of(1, profile, Overrides(size=size, batch_size=batch)) for batch in (4, 16, 64, 128)]
        assert [f"{estimate_memory(plan, gpu).total / GIB:.1f}" for plan in plans] == shown
    disk = [estimate_disk(settings_of(phase, profile)) for phase in PHASES]
    assert "checkpoints take at most {:.1f}, {:.1f} and {:.1f} GiB".format(*(size / GIB for size in disk)) in PRODUCTION
    assert f"up to {sum(disk) / GIB:.0f} GiB of disk" in " ".join(PAGES[0].read_text(encoding="utf-8").split())


def called() -> Iterator[tuple[str, list[str]]]:
    """Yield each line of the pages that calls `hlx`, and its arguments; none with an ellipsis."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            for line in block.replace("\\\n", " ").splitlines():
                call = re.search(r"(?:^|&& |\| |\.venv/bin/)hlx (.*)", line.removeprefix("$ "))
                if call and "…" not in call[1]:
                    words = shlex.split(re.sub(r"<[^>]+>", "ID", call[1]), comments=True)
                    yield f"{page.name}: {line}", words[: words.index("<") if "<" in words else None]


def without_effect(command: Any) -> Any:
    """Return a command that reads its arguments and does nothing."""
    command.callback = lambda **options: None
    for inner in getattr(command, "commands", {}).values():
        without_effect(inner)
    return command


def test_each_command_on_the_pages_is_understood() -> None:
    command, lines = without_effect(typer.main.get_command(application(COMMANDS))), list(called())
    assert len(lines) > 20
    for line, arguments in lines:
        try:
            command.main(arguments, "hlx", standalone_mode=False)
        except UsageError as error:
            pytest.fail(f"{line}: {error}")
