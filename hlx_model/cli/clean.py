"""`hlx clean`: what no kept checkpoint needs, why, and how large it is; with `--yes`, remove it.

With `--replies` it is the kept answers of providers instead.
"""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from rich.filesize import decimal
from typer import Option

from hlx_model.cleanup import GROUPS, CleanupPlan, CleanupResult, Removal, carry_out, plan_cleanup
from hlx_model.cli.options import AsJson, Directory
from hlx_model.cli.show import echo, echo_json
from hlx_model.layout import default_training
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.replies import Replies


def clean_command(
    checkpoint_dir: Directory = None,
    yes: Annotated[bool, Option("--yes", help="Remove it. Without this flag it is only shown.")] = False,
    replies: Annotated[
        bool, Option("--replies", help="Instead, the kept answers of providers. Asked again, they cost again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what no kept checkpoint needs; with --yes, remove it.

    It shows the size of each item, and why it may go. It keeps the last and the best checkpoint of every training and
    what they were made from, everything of a training that is running or can be resumed, and what each asset was last
    materialized to.
    """
    if replies:
        _clean_replies(yes=yes, as_json=as_json, checkpoint_dir=checkpoint_dir)
        return
    plan = plan_cleanup(checkpoint_dir or default_training())
    if not as_json:
        _show(plan)
    result = carry_out(plan) if yes else None
    if as_json:
        echo_json(_content(plan, result))
    elif plan.goes and result is None:
        folder = f" --checkpoint-dir {shlex.quote(str(checkpoint_dir))}" if checkpoint_dir else ""
        echo(f"nothing was removed; `hlx clean{folder} --yes` removes it")
    elif plan.goes and result is not None:
        for item in (*result.spared, *result.failed):
            echo(f"not removed: {item.path}: {item.reason}")
        echo(f"removed: {len(result.removed)}, {_size(result.removed)}")
    if result is not None and result.failed:
        raise OSError(f"{len(result.failed)} of {len(plan.goes)} could not be removed: {result.failed[0].path}")


def _clean_replies(*, yes: bool, as_json: bool, checkpoint_dir: Path | None) -> None:
    """Show or remove the answers of providers that the home keeps."""
    if checkpoint_dir is not None:
        raise ValueError("--replies are those of $DAGSTER_HOME: omit --checkpoint-dir")
    kept = Replies(ProviderFiles.of_home())
    count, size = kept.size()
    removed = kept.remove_all() if yes else None
    if as_json:
        echo_json({"replies": count, "bytes": size, "removed": removed})
    elif not count:
        echo("no answers of providers are kept")
    elif removed is None:
        echo(f"kept answers of providers: {count}, {decimal(size)}")
        echo("nothing was removed; `hlx clean --replies --yes` removes them")
    else:
        echo(f"removed: {removed}, {decimal(size)}")


def _content(plan: CleanupPlan, result: CleanupResult | None) -> dict[str, object]:
    content = {
        "training": plan.training, "bytes": plan.bytes, "goes": _fields(plan.goes, "path", "group", "reason", "bytes"),
        "stays": _fields(plan.stays, "path", "reason"), "notes": plan.notes, "removed": None,
    }  # fmt: skip
    if result is None:
        return content
    removed = [item.path for item in result.removed]
    spared, failed = (_fields(items, "path", "reason") for items in (result.spared, result.failed))
    return {**content, "removed": removed, "spared": spared, "failed": failed}


def _fields(items: Iterable[object], *names: str) -> list[dict[str, object]]:
    return [{name: getattr(item, name) for name in names} for item in items]


def _show(plan: CleanupPlan) -> None:
    for group, title in GROUPS.items():
        items = [item for item in plan.goes if item.group == group]
        if items:
            echo(f"{title}: {len(items)}, {_size(items)}")
        for item in items:
            echo(f"  {item.path.relative_to(plan.training.parent)}  {decimal(item.bytes)}  {item.reason}")
    for note in plan.notes:
        echo(note)
    if plan.goes:
        echo(f"in all: {len(plan.goes)}, {decimal(plan.bytes)}")
    else:
        echo("nothing to remove: everything is needed, or hlx did not write it")


def _size(items: Iterable[Removal]) -> str:
    return decimal(sum(item.bytes for item in items))
