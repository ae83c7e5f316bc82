"""How commands show text, JSON, tables, losses and times: the one place where text of data reaches a terminal."""

import json
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.segment import Segment
from rich.table import Column, Table

from hlx_model.files import named_specials
from hlx_model.shown import shorten, show_lines

UNBOUNDED = 1_000
"""Columns of what is no terminal: more than any line has."""


class DataConsole(Console):
    """A console for text of data: what it contains does not control the terminal, and shows."""

    def render(self, *args: Any, **options: Any) -> Iterable[Segment]:
        """Yield the segments of a renderable, their text without anything unseen."""
        for segment in super().render(*args, **options):
            yield segment if segment.control else segment._replace(text=show_lines(segment.text))


def echo(text: object = "", *, err: bool = False) -> None:
    """Print text for people; nothing of it controls the terminal."""
    typer.echo(show_lines(str(text)), err=err)


def echo_exactly(text: str) -> None:
    """Print what programs read too: a terminal gets it as `echo` prints it, a file or a pipe exactly."""
    typer.echo(show_lines(text) if sys.stdout.isatty() else text)


def echo_json(content: object, *, indent: int | None = 2) -> None:
    """Print JSON, on one line if `indent` is None; numbers that are not finite by their names, paths as text."""
    echo_exactly(json.dumps(named_specials(content), indent=indent, ensure_ascii=False, default=str))


def rows_table(
    rows: Sequence[Mapping[str, object]], *, gap: int = 0, leading: int = 0, folded: Collection[str] | None = None
) -> Table:
    """Return a table without frames.

    Args:
        rows: the cells by their headings, the same in each row; None is an empty cell. Without rows, it is empty.
        gap: number of spaces between its columns, besides one.
        leading: number of empty lines between its rows.
        folded: the headings of the columns that may be folded to fit the terminal; None is all.
    """
    headings = [heading for row in rows[:1] for heading in row]
    columns = (Column(name, overflow="fold", no_wrap=folded is not None and name not in folded) for name in headings)
    table = Table(*columns, box=SIMPLE, padding=(0, gap, 0, 0), leading=leading)
    for row in rows:
        table.add_row(*("" if cell is None else shorten(str(cell)) for cell in row.values()))
    return table


def stdout_console() -> DataConsole:
    """Return standard output for rich: as wide as the terminal; a file or a pipe is as wide as its longest line."""
    console = DataConsole(highlight=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNBOUNDED
    return console


def print_table(
    rows: Sequence[Mapping[str, object]], *, gap: int = 0, leading: int = 0, folded: Collection[str] | None = None
) -> None:
    """Print a `rows_table`."""
    stdout_console().print(rows_table(rows, gap=gap, leading=leading, folded=folded))


def require_yes(fact: str, option: str) -> None:
    """Let a person at a terminal confirm a training that takes long.

    Args:
        fact: what it takes.
        option: what makes the question needless.

    Raises:
        ValueError: the answer is not yes, or there is no terminal.
    """
    unasked = f"{fact}: nothing was trained; to train all the same, repeat with {option}"
    confirm(f"{fact}. Train?", unasked=unasked, refused="nothing was trained")


def confirm(question: str, *, unasked: str, refused: str) -> None:
    """Let a person at a terminal say yes.

    Args:
        question: the text of the question.
        unasked: the error if there is no terminal.
        refused: the error if the answer is not yes.

    Raises:
        ValueError: one of the two.
    """
    if not sys.stdin.isatty():
        raise ValueError(unasked)
    echo(f"{question} [y/N] ", err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ValueError(refused)


def format_loss(loss: float | None) -> str:
    """Return a loss with three digits after the point; nothing for None."""
    return "" if loss is None else f"{loss:.3f}" if abs(loss) < 1e3 else f"{loss:.1e}"


def minutes(iso: str | None) -> str:
    """Return a time in UTC (ISO 8601) to the minute, `2026-11-28 17:55`; nothing for None."""
    return (iso or "")[:16].replace("T", " ")


def coloured(outcome: str) -> str:
    """Return the outcome of a gate or a check in its colour, as rich markup."""
    colour = {"pass": "green", "ok": "green", "fail": "red", "broken": "red"}.get(outcome, "yellow")
    return f"[{colour}]{outcome}[/]"
