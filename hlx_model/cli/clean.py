"""`hlx clean`: what no kept checkpoint needs, why, and how much it is; with `--yes`, its removal."""

import json
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from hlx_model.cleanup.sweep import (
    GROUPS,
    CleanupPlan,
    CleanupResult,
    Kept,
    Removal,
    carry_out,
    plan_cleanup,
)
from hlx_model.cli.options import AsJson, Directory
from hlx_model.layout import default_training


def clean_command(
    checkpoint_dir: Directory = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; else it is only shown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what no kept checkpoint needs, with its size and why it may go; with --yes, remove it.

    Kept are what a training ended with and was best at, whatever these were made from, all of a training that is at
    work or can be resumed, and what each asset was last materialized to.
    """
    found = plan_cleanup(checkpoint_dir or default_training())
    if as_json:
        done = carry_out(found) if yes else None
        typer.echo(json.dumps(_content(found, done), indent=2, ensure_ascii=False))
    else:
        for line in _shown(found):
            typer.echo(line)
        done = carry_out(found) if yes else None
        for line in _said(found, done, checkpoint_dir):
            typer.echo(line)
    if done is not None and done.failed:
        raise OSError(f"{len(done.failed)} of {len(found.goes)} could not be removed: {done.failed[0].path}")


def _content(found: CleanupPlan, done: CleanupResult | None) -> dict[str, Any]:
    content: dict[str, Any] = {
        "training": str(found.training),
        "bytes": found.bytes,
        "goes": [
            {"path": str(item.path), "group": item.group, "reason": item.reason, "bytes": item.bytes}
            for item in found.goes
        ],
        "stays": _stays(found.stays),
        "notes": list(found.notes),
        "removed": None,
    }
    if done is not None:
        content["removed"] = [str(item.path) for item in done.removed]
        content |= {"spared": _stays(done.spared), "failed": _stays(done.failed)}
    return content


def _stays(items: Iterable[Kept]) -> list[dict[str, str]]:
    return [{"path": str(item.path), "reason": item.reason} for item in items]


def _shown(found: CleanupPlan) -> Iterator[str]:
    root = found.training.parent
    for group, title in GROUPS.items():
        items = [item for item in found.goes if item.group == group]
        if items:
            yield f"{title}: {len(items)}, {size(_bytes(items))}"
            yield from (f"  {item.path.relative_to(root)}  {size(item.bytes)}  {item.reason}" for item in items)
    yield from found.notes


def _said(found: CleanupPlan, done: CleanupResult | None, checkpoint_dir: Path | None) -> Iterator[str]:
    if not found.goes:
        yield "nothing goes: whatever is there is needed, or nobody can explain it"
        return
    yield f"in all: {len(found.goes)}, {size(found.bytes)}"
    if done is None:
        folder = f" --checkpoint-dir {shlex.quote(str(checkpoint_dir))}" if checkpoint_dir else ""
        yield f"nothing was removed; `hlx clean{folder} --yes` removes it"
        return
    for item in (*done.spared, *done.failed):
        yield f"not removed: {item.path}: {item.reason}"
    yield f"removed: {len(done.removed)}, {size(_bytes(done.removed))}"


def _bytes(items: Iterable[Removal]) -> int:
    return sum(item.bytes for item in items)


def size(count: int) -> str:
    """Bytes in the unit that suits them: `512 bytes`, `3.2 MiB`."""
    for unit, power in (("GiB", 3), ("MiB", 2), ("KiB", 1)):
        if count >= 1024**power:
            return f"{count / 1024**power:.1f} {unit}"
    return f"{count} bytes"
