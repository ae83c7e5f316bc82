"""How commands show JSON, tables and times."""

import json

import typer
from rich.box import SIMPLE
from rich.table import Column, Table

from hlx_model.files import named_specials


def echo_json(content: object) -> None:
    """Print JSON, indented; numbers that are not finite by their names."""
    typer.echo(json.dumps(named_specials(content), indent=2, ensure_ascii=False))


def plain_table(*columns: Column | str, gap: int = 0) -> Table:
    """Return a table without frames, with `gap` more spaces between its columns."""
    return Table(*columns, box=SIMPLE, padding=(0, gap, 0, 0))


def minutes(iso: str | None) -> str:
    """Return a time in UTC (ISO 8601) to the minute, `2026-11-28 17:55`; nothing for None."""
    return (iso or "")[:16].replace("T", " ")


def coloured(outcome: str) -> str:
    """Return the outcome of a gate or a check in its colour, as rich markup."""
    colour = {"pass": "green", "ok": "green", "fail": "red", "broken": "red"}.get(outcome, "yellow")
    return f"[{colour}]{outcome}[/]"
