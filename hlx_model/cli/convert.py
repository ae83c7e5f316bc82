"""`hlx convert`: a value from one format to another."""

from typing import Annotated

import typer

from hlx_model.language import Format, convert


def convert_command(
    text: Annotated[str, typer.Argument(help="A line of HLX.", show_default=False)],
    source: Annotated[Format, typer.Option("--from", help="The format it is in.", show_default=False)],
    target: Annotated[Format, typer.Option("--to", help="The format wanted.", show_default=False)],
) -> None:
    """Write a value in another format."""
    typer.echo(convert(text, source, target))
