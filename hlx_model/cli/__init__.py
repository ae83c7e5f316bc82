"""The command `hlx`: convert, corpus, train, validate, translate, status, watchdog."""

import typer

from hlx_model.cli.convert import convert_command
from hlx_model.cli.corpus import corpus_app
from hlx_model.cli.status import status_command
from hlx_model.cli.translate import translate_command
from hlx_model.cli.validate import validate_command
from hlx_model.cli.watchdog import watchdog_app
from hlx_model.training.command import run, train_command

application = typer.Typer(
    name="hlx",
    help="The HLX Brain: its language, corpora, training and quality gates.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# `-100` is HLX, not an option.
application.command("convert", context_settings={"ignore_unknown_options": True})(convert_command)
application.add_typer(corpus_app, name="corpus")
application.command("train")(train_command)
application.command("validate")(validate_command)
application.command("translate")(translate_command)
application.command("status")(status_command)
application.add_typer(watchdog_app, name="watchdog")


def app() -> None:
    """Run `hlx`: every user's error is one line, exit code 1."""
    run(application)
