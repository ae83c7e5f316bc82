"""`hlx costs`: what is spent on providers, and its caps; `release`, `cap` and `reopen` change them."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

from rich.filesize import decimal
from typer import Argument, Context, Typer

from hlx_model.cli.options import AsJson
from hlx_model.cli.show import echo, echo_json, minutes, print_table
from hlx_model.money import NANO, dollars
from hlx_model.providers.catalogue import provider_named
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import Ledger, Spending
from hlx_model.providers.replies import Replies

costs_app = Typer(invoke_without_command=True)
_CAPS = {"call": "a call", "session": "a session", "day": "a day (UTC)", "all": "all days"}
_DAYS = 7
"""Days that are shown."""


@costs_app.callback()
def costs_command(context: Context, as_json: AsJson = False) -> None:
    """Show what is spent on providers, and the caps.

    Spent is what providers counted, at the prices of the price list, and what is reserved for calls that are not
    finished. The provider's bill is what counts. In JSON, amounts are thousand millionths of a dollar.
    """
    if context.invoked_subcommand is not None:
        return
    files = ProviderFiles.of_home()
    spending, (count, size) = Ledger(files).spending(), Replies(files).size()
    if as_json:
        echo_json({"unit": "nanodollars", **spending.to_json(), "replies": {"count": count, "bytes": size}})
        return
    _show(spending)
    if count:
        echo(f"kept answers: {count}, {decimal(size)}; `hlx clean --replies --yes` removes them")


@costs_app.command("cap", context_settings={"ignore_unknown_options": True})  # -1 is a wrong amount, no option
def cap_command(
    name: Annotated[str, Argument(help="call, session, day or all.")],
    amount: Annotated[str, Argument(metavar="DOLLARS", help="The most that it may cost.")],
) -> None:
    """Set the most that may be spent, from 0 to 100000 dollars.

    On a call, a session, a day (UTC) or on all days.
    """
    files = ProviderFiles.of_home()
    ledger = Ledger(files)
    before = ledger.caps()
    ledger.set_cap(name, nano_of(amount))
    echo(f"cap of {_CAPS[name]}: {dollars(ledger.caps()[name])}, before {dollars(before[name])} ({files.ledger})")


@costs_app.command("release")
def release_command(id: Annotated[str, Argument(help="A reservation that `hlx costs` shows as open.")]) -> None:
    """Give back the reservation of a process that died.

    Look at the provider's bill first: the call may have been paid.
    """
    Ledger(ProviderFiles.of_home()).release(id, dead_only=True)
    echo(f"released: {id}")


@costs_app.command("reopen")
def reopen_command(provider: Annotated[str, Argument(help="claude, openai, xai or qwen.")]) -> None:
    """Let a closed provider be called again.

    It was closed because a call cost more than was reserved for it.
    """
    name = provider_named(provider).name
    Ledger(ProviderFiles.of_home()).reopen(name)
    echo(f"open again: {name}")


def nano_of(amount: str) -> int:
    """Return an amount of dollars as nanodollars; `ValueError` if it is none."""
    try:
        found = Decimal(amount.removeprefix("$"))
    except InvalidOperation:
        found = Decimal("nan")
    if not found.is_finite() or not 0 <= found <= 100_000:
        raise ValueError(f"DOLLARS is {amount[:40]!r}: give an amount from 0 to 100000, such as 5 or 0.25")
    return int(found * NANO)


def _show(spending: Spending) -> None:
    of = {"day": spending.today, "all": spending.all}
    print_table([
        {"cap of": title, "dollars": dollars(spending.caps[name]), "spent": dollars(of[name]) if name in of else None}
        for name, title in _CAPS.items()
    ])  # fmt: skip
    days = dict(sorted(spending.by_day.items())[-_DAYS:])
    parts = {
        "provider": spending.by_provider, "purpose": spending.by_purpose, "session": spending.by_session, "day": days
    }  # fmt: skip
    rows = [
        {"by": by, "name": name, "spent": dollars(spent)} for by, sums in parts.items() for name, spent in sums.items()
    ]
    if rows:
        print_table(rows)
    if spending.open:
        echo("reserved for calls that are not finished:")
        print_table([
            {
                "id": one.id, "since (UTC)": minutes(one.time), "model": f"{one.provider}/{one.model}",
                "for": one.purpose, "dollars": dollars(one.amount),
                "process": "running" if one.alive else f"gone: `hlx costs release {one.id}` if it was not paid",
            }
            for one in spending.open
        ])  # fmt: skip
    for name, reason in spending.closed.items():
        echo(f"closed: {name}: {reason}; `hlx costs reopen {name}`")
