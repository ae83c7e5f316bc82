"""`--help` of every command is whole in a narrow terminal: names, choices, defaults and texts."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from hlx_model.cli import COMMANDS, application
from hlx_model.cli.options import NAMED
from tests.support.command import Hlx


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command and group with the words that name it."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, (*path, name))


ALL = dict(walk(get_command(application(COMMANDS))))


def dense(text: str) -> str:
    """A text without white space, so that it does not matter where its lines end."""
    return "".join(text.split())


def test_every_command_is_found() -> None:
    assert {(), ("train",), ("history",), ("history", "compare"), ("watchdog", "replay"), ("corpus", "check")} <= set(
        ALL
    )


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_nothing_of_an_option_is_cut(
    hlx: Hlx, monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown, command = hlx(*path, "--help").out, ALL[path]
    assert all(len(line) <= columns for line in shown.splitlines())
    whole, own = dense(shown), [command.help or ""]
    for parameter in command.params:
        own.append(parameter.help or "")
        names = [name for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("-")]
        assert all(re.search(rf"^  (\S+,? /? ?)?{name}(?![\w-])", shown, re.MULTILINE) for name in names), names
        choices = parameter.metavar or ""
        default = f"[default: ({parameter.show_default})" if isinstance(parameter.show_default, str) else ""
        for text in (parameter.help or "", default, choices):
            assert dense(text) in whole, text
    assert dense(command.help or "") in whole
    assert shown.count("…") == sum(text.count("…") for text in own)


@pytest.mark.parametrize("path", [path for path, command in ALL.items() if hasattr(command, "commands")], ids=" ".join)
def test_a_list_of_commands_cuts_no_sentence(hlx: Hlx, monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, _, listed = hlx(*path, "--help").out.partition("\nCommands:\n")
    assert len(listed.splitlines()) == len(ALL[path].commands)
    assert all(line.endswith(".") and not line.endswith("..") for line in listed.splitlines())


@pytest.mark.parametrize(
    "path", [("translate",), ("validate",), ("export",), ("lineage", "show"), ("history", "compare")]
)
def test_a_checkpoint_may_be_named_by_id_and_name(hlx: Hlx, path: tuple[str, ...]) -> None:
    assert "ID/NAME" in NAMED and dense(NAMED) in dense(hlx(*path, "--help").out)


def test_without_a_command_the_help_is_shown(hlx: Hlx) -> None:
    for path in ((), ("corpus",), ("lineage",)):
        ran = hlx(*path)
        assert ran.code == 1 and ran.out == hlx(*path, "--help").out and ran.err == ""
