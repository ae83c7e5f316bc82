"""`hlx keys`: the keys of providers, sealed in the home. A key is typed or piped in, never an argument."""

import getpass
import re
import sys
from typing import Annotated, Any

from typer import Argument, Exit, Option, Typer
from typer.core import TyperGroup

from hlx_model.cli.options import AsJson, option
from hlx_model.cli.show import confirm, echo, echo_json, minutes, print_table
from hlx_model.environment import Environment
from hlx_model.providers.agreed import agree, has_agreed, what_is_sent
from hlx_model.providers.catalogue import provider_named, resolve
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.master_key import require_package
from hlx_model.providers.secret import SHORTEST, Secret, contains_key
from hlx_model.providers.vault import NO_SUCH_KEY, KeyEntry, Vault
from hlx_model.shown import shorten

_OF_SECRET = re.compile(r"--?[a-z-]*(key|secret|token|password)\b", re.IGNORECASE)
"""An option that a person could give a key to; `hlx keys` has none."""


class _WithoutKeys(TyperGroup):
    """Refuses a key among the arguments, in whatever shape, before anything reads, repeats or stores one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        is_long = len(first) >= SHORTEST and not first.startswith("-")  # no command, and any key
        if is_long or any(_OF_SECRET.match(text) or contains_key(text) for text in args):
            raise ValueError(NO_ARGUMENT)
        return super().parse_args(ctx, args)


keys_app = Typer(cls=_WithoutKeys, help="Store, check and remove keys of providers.", no_args_is_help=True)

_Key = Annotated[str, Argument(metavar="KEY", help="Its id, or its name if no other key has it.")]
_Extra = Annotated[list[str] | None, Argument(hidden=True)]
"""Refused: an error of the command line would repeat it."""
_Yes = Annotated[bool, Option("--yes", help="Agree to what is sent to the provider, without a question.")]
_SHOWN = 60
"""Characters of a provider's refusal in the list; `hlx keys check` prints all."""
NO_ARGUMENT = (
    "a key is never an argument, which every user of the machine can see: omit it, and type it when asked, or pipe it "
    "in; one that was an argument is best revoked"
)
NONE_STORED = "no key is stored: `hlx keys add --provider claude --name work`"
_NAMES = "claude, openai, xai or qwen."


@keys_app.command("add")
def add_command(
    provider: Annotated[str, Option(help="claude, openai or xai.")],
    name: Annotated[str, Option(help="What you call it.")],
    yes: _Yes = False,
    extra: _Extra = None,
) -> None:
    """Store a key and check it.

    The key is typed at the terminal, or is the first line of standard input. Exit code 2: it is stored, and its
    provider refused it or was not reached.
    """
    _require_none(extra)
    vault = _vault()
    found = provider_named(provider)
    _agree(found.name, yes=yes)
    entry = vault.add(found.name, name, _secret())
    echo(f"stored: {entry.provider} {entry.name}, id {entry.id}, ends with {entry.last4}")
    raise Exit(0 if _check(vault, entry) else 2)


@keys_app.command("list")
def list_command(as_json: AsJson = False) -> None:
    """List the keys; of each only the last four characters."""
    entries = _vault().entries()
    if as_json:
        echo_json([entry.replace(sealed="").to_json() | {"sealed": True} for entry in entries])
    elif entries:
        rows = [_row(entry) for entry in entries]
        print_table(rows, folded={*rows[0]} - {"id", "key"})
    else:
        echo(NONE_STORED)


@keys_app.command("check")
def check_command(
    key: Annotated[str | None, Argument(metavar="[KEY]", help="One key, by id or name; by default all.")] = None,
) -> None:
    """Ask providers, for free, if they accept the keys.

    Exit code 0: all are accepted; 1: one is refused; 2: a provider was not reached, or keys do not open here.
    """
    vault = _vault()
    stored = vault.entries()
    if not stored:
        raise ValueError(NONE_STORED)
    entries = [entry for entry in stored if key is None or key in (entry.id, entry.name)]
    if not entries:
        raise ValueError(NO_SUCH_KEY)
    if fault := vault.fault():
        echo(f"no key was checked: {fault}")
        raise Exit(2)
    found = [_check(vault, entry) for entry in entries]
    raise Exit(1 if False in found else 2 if None in found else 0)


@keys_app.command("rename")
def rename_command(key: _Key, name: Annotated[str, Argument(help="Its new name.")]) -> None:
    """Give a key another name."""
    entry = _vault().rename(key, name)
    echo(f"renamed: {entry.provider} {entry.name}, id {entry.id}")


@keys_app.command("replace")
def replace_command(key: _Key, yes: _Yes = False, extra: _Extra = None) -> None:
    """Store another key in the place of one, and check it.

    It is for the address that its provider has now. It is read as by `hlx keys add`.
    """
    _require_none(extra)
    vault = _vault()
    old = next((entry for entry in vault.entries() if key in (entry.id, entry.name)), None)
    if old is not None:
        _agree(old.provider, yes=yes)
    entry = vault.replace(key, _secret())
    echo(f"replaced: {entry.provider} {entry.name} ends with {entry.last4} now")
    raise Exit(0 if _check(vault, entry) else 2)


@keys_app.command("remove")
def remove_command(key: _Key) -> None:
    """Remove a key from this home. It stays valid at its provider: revoke it there too."""
    entry = _vault().remove(key)
    echo(f"removed: {entry.provider} {entry.name}; to make it useless, revoke it at {entry.provider} too")


@keys_app.command("agree")
def agree_command(provider: Annotated[str, Argument(help=_NAMES)], yes: _Yes = False) -> None:
    """Show what is sent to a provider, and agree to it."""
    found = provider_named(provider)
    if found.is_local:
        echo(f"{found.name} is at {found.host}, this machine: nothing needs to be agreed to")
        return
    _agree(found.name, yes=yes, undone="nothing was changed")
    echo(f"agreed: {found.name}")


@keys_app.command("price")
def price_command(
    provider: Annotated[str, Argument(help=_NAMES)],
    model: Annotated[str, Argument(help="The provider's name of it.")],
    given: Annotated[str | None, option("Dollars for a million tokens of the question.", False, "--input")] = None,
    made: Annotated[str | None, option("Dollars for a million tokens of the answer.", False, "--output")] = None,
) -> None:
    """Show or state the price of a model.

    In dollars for a million tokens. A stated price replaces that of the price list.
    """
    from hlx_model.providers.prices import price_of, set_price, unknown_price

    files, choice = ProviderFiles.of_home(), resolve(provider, model)
    if (given is None) != (made is None):
        raise ValueError("--input and --output belong together")
    price = price_of(choice, files) if given is None or made is None else set_price(files, choice, given, made)
    if price is None:
        raise ValueError(unknown_price(choice))
    echo(f"{choice}: ${price.input / 1000:g} and ${price.output / 1000:g} for a million tokens of question and answer "
         f"({price.source})")  # fmt: skip


@keys_app.command("passphrase")
def passphrase_command() -> None:
    """Seal all keys again, with a passphrase.

    It is asked for at the terminal whenever a key is opened.

    Jobs of Dagster and the Training Center cannot ask for it. To seal keys with a file again, remove all of them and
    add them again.
    """
    if not sys.stdin.isatty():
        raise ValueError("a passphrase is asked for at a terminal only")
    vault, chosen = _vault(), _typed("New passphrase: ")
    if len(chosen) < 12:
        raise ValueError("the passphrase has fewer than 12 characters: choose a longer one")
    if _typed("Again: ") != chosen:
        raise ValueError("the two are not the same: nothing was changed")
    echo(f"sealed with the passphrase: {vault.seal_with_passphrase(chosen)} keys")


def _vault() -> Vault:
    """Return the vault of the home; `ValueError` if the package is missing that opens it."""
    require_package()
    Environment.read("HLX_PROVIDER_HOSTS")  # one error, and not one for each key
    ask = (lambda: _typed("Passphrase of the vault: ")) if sys.stdin.isatty() else None
    return Vault(ProviderFiles.of_home(), ask)


def _require_none(extra: list[str] | None) -> None:
    if extra:
        raise ValueError(NO_ARGUMENT)


def _typed(prompt: str) -> str:
    """Return what a person types, which the terminal does not show."""
    try:
        return getpass.getpass(prompt)
    except EOFError:  # Ctrl-D
        raise ValueError("nothing was typed, and nothing was changed") from None


def _secret() -> Secret:
    if sys.stdin.isatty():
        return Secret.of(_typed("Key (it is not shown): "))
    return Secret.of(sys.stdin.readline())


def _agree(provider: str, *, yes: bool, undone: str = "nothing was stored") -> None:
    """Let a person agree to what is sent to a provider, once; `ValueError` if there is nobody to ask, or no yes."""
    files = ProviderFiles.of_home()
    if has_agreed(files, provider):
        return
    echo(what_is_sent(provider), err=True)
    if not yes:
        unasked = f"{undone}: repeat with --yes to agree to what is sent"
        confirm("Agree?", unasked=unasked, refused=f"{undone}: nobody agreed")
    agree(files, provider)


def _check(vault: Vault, entry: KeyEntry) -> bool | None:
    """Ask a provider whether it accepts a key, and print its answer; None if it was not reached."""
    from hlx_model.providers.client import ProviderClient

    found = ProviderClient(ProviderFiles.of_home(), vault).check(entry.provider, entry.id)
    said = {True: f"accepted, {len(found.models)} models", False: f"refused: {found.reason}"}
    echo(f"{entry.provider} {entry.name}: {said.get(bool(found.valid)) if found.valid is not None else found.reason}")
    return found.valid


def _row(entry: KeyEntry) -> dict[str, object]:
    state = (entry.problem and shorten(entry.problem, _SHOWN)) or (
        f"accepted {minutes(entry.validated)}" if entry.validated else "not checked"
    )
    return {
        "id": entry.id, "provider": entry.provider, "name": entry.name, "key": f"…{entry.last4}",
        "stored (UTC)": minutes(entry.created), "last used": minutes(entry.last_used), "state": state,
        "address": entry.host,
    }  # fmt: skip
