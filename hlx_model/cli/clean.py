"""`hlx clean`: what no kept checkpoint needs, why, and how large it is; with `--yes`, remove it."""

import json
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from hlx_model.cleanup import GROUPS, CleanupPlan, CleanupResult, Kept, Removal, carry_out, plan_cleanup
from hlx_model.cli.options import AsJson, Directory
from hlx_model.layout import default_training


def clean_command(
    checkpoint_dir: Directory = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it. Without this flag it is only shown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what no kept checkpoint needs, its size and why it may go; with --yes, remove it.

    Kept are the checkpoints that a training ended with and was best at, what they were made from, everything of a
    training that is running or can be resumed, and what each asset was last materialized to.
    """
    plan = plan_cleanup(checkpoint_dir or default_training())
    if not as_json:
        for line in _plan_lines(plan):
            typer.echo(line)
    result = carry_out(plan) if yes else None
    if as_json:
        typer.echo(json.dumps(_content(plan, result), indent=2, ensure_ascii=False))
    else:
        for line in _result_lines(plan, result, checkpoint_dir):
            typer.echo(line)
    if result is not None and result.failed:
        raise OSError(f"{len(result.failed)} of {len(plan.goes)} could not be removed: {result.failed[0].path}")


def _content(plan: CleanupPlan, result: CleanupResult | None) -> dict[str, object]:
    content: dict[str, object] = {
        "training": str(plan.training),
        "bytes": plan.bytes,
        "goes": [
            {"path": str(item.path), "group": item.group, "reason": item.reason, "bytes": item.bytes}
            for item in plan.goes
        ],
        "stays": _kept(plan.stays),
        "notes": list(plan.notes),
        "removed": None,
    }
    if result is not None:
        content["removed"] = [str(item.path) for item in result.removed]
        content |= {"spared": _kept(result.spared), "failed": _kept(result.failed)}
    return content


def _kept(items: Iterable[Kept]) -> list[dict[str, str]]:
    return [{"path": str(item.path), "reason": item.reason} for item in items]


def _plan_lines(plan: CleanupPlan) -> Iterator[str]:
    root = plan.training.parent
    for group, title in GROUPS.items():
        items = [item for item in plan.goes if item.group == group]
        if items:
            yield f"{title}: {len(items)}, {size(_bytes(items))}"
            yield from (f"  {item.path.relative_to(root)}  {size(item.bytes)}  {item.reason}" for item in items)
    yield from plan.notes


def _result_lines(plan: CleanupPlan, result: CleanupResult | None, checkpoint_dir: Path | None) -> Iterator[str]:
    if not plan.goes:
        yield "nothing to remove: everything is needed, or hlx did not write it"
        return
    yield f"in all: {len(plan.goes)}, {size(plan.bytes)}"
    if result is None:
        folder = f" --checkpoint-dir {shlex.quote(str(checkpoint_dir))}" if checkpoint_dir else ""
        yield f"nothing was removed; `hlx clean{folder} --yes` removes it"
        return
    for item in (*result.spared, *result.failed):
        yield f"not removed: {item.path}: {item.reason}"
    yield f"removed: {len(result.removed)}, {size(_bytes(result.removed))}"


def _bytes(items: Iterable[Removal]) -> int:
    return sum(item.bytes for item in items)


def size(count: int) -> str:
    """Return a number of bytes in a suitable unit: `512 bytes`, `3.2 MiB`."""
    for unit, power in (("GiB", 3), ("MiB", 2), ("KiB", 1)):
        if count >= 1024**power:
            return f"{count / 1024**power:.1f} {unit}"
    return f"{count} bytes"
