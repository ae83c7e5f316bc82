"""`hlx convert`: convert a value from one format to another, once or as a co-process.

    echo '{"text": "[1, 2]", "from": "HLXL", "to": "LC-R"}' | hlx convert --jsonl

A program that converts many values starts it once. Each line is answered before the next is read.
"""

import codecs
import json
from collections.abc import Mapping
from typing import Annotated, BinaryIO

import typer

from hlx_model.language import Format, HLXSyntaxError, convert

_FORMATS = ", ".join(Format)
_CHOICE = f"<{'|'.join(Format)}>"
_OBJECT = '{"text": "[1, 2]", "from": "HLXL", "to": "LC-R"}'
_EXPECTED = {"text": "a line of HLX", "from": f"one of {_FORMATS}", "to": f"one of {_FORMATS}"}
_KINDS = {dict: "an object", list: "an array", bool: "a boolean", int: "a number", float: "a number"}

Answer = dict[str, str | int]


def _option(label: str) -> Format:
    try:
        return Format(label)
    except ValueError:
        raise typer.BadParameter(f"{label!r} is not one of {_FORMATS}") from None


def convert_command(
    text: Annotated[str | None, typer.Argument(help="A line of HLX.", show_default=False)] = None,
    source: Annotated[
        Format | None, typer.Option("--from", parser=_option, metavar=_CHOICE, help="Its format.")
    ] = None,
    target: Annotated[
        Format | None, typer.Option("--to", parser=_option, metavar=_CHOICE, help="The new format.")
    ] = None,
    jsonl: Annotated[
        bool,
        typer.Option(
            "--jsonl",
            help='Read lines of JSON {"text": …, "from": …, "to": …} from standard input, and answer each at once '
            'with one line, {"text": …} or {"error": …, "line": …, "column": …}.',
        ),
    ] = False,
) -> None:
    """Write a value in another format.

    With --jsonl the exit code is 0, also if answers are errors.
    """
    if jsonl:
        if (text, source, target) != (None, None, None):
            raise ValueError("--jsonl reads texts and formats from standard input: leave TEXT, --from and --to out")
        serve(typer.get_binary_stream("stdin"), typer.get_binary_stream("stdout"))
    elif text is None:
        raise ValueError("nothing to convert. Usage: hlx convert TEXT --from HLXL --to LC-R, or hlx convert --jsonl")
    elif source is None or target is None:
        raise ValueError(f"TEXT needs --from and --to, each one of {_FORMATS}")
    else:
        typer.echo(convert(text, source, target))


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Write one line of JSON for each line of `requests`, as soon as it has been read."""
    for line in requests:
        answers.write(json.dumps(answer(line), ensure_ascii=False).encode() + b"\n")
        answers.flush()


def answer(request: bytes) -> Answer:
    """Return the answer to one line: `{"text": …}`, or `{"error": …, "line": …, "column": …}`.

    Lines and columns count from 1, in characters: within the text that cannot be read, or within `request` if that is
    not valid.
    """
    try:
        fields = _fields(request.rstrip(b"\r\n"))
        text = _string(fields, "text")
        return {"text": convert(text, _format(fields, "from"), _format(fields, "to"))}
    except HLXSyntaxError as error:
        return {"error": error.message, "line": error.line, "column": error.column}
    except _RequestError as error:
        return {"error": str(error), "line": 1, "column": error.column}


class _RequestError(ValueError):
    """A line that is not a valid request."""

    def __init__(self, message: str, column: int = 1) -> None:
        super().__init__(message)
        self.column = column


def _fields(request: bytes) -> Mapping[str, object]:
    if not request.strip():
        raise _RequestError(f"the request is empty: give an object such as {_OBJECT}")
    try:
        fields = json.loads(request.removeprefix(codecs.BOM_UTF8).decode())
    except UnicodeDecodeError as error:
        raise _RequestError(
            f"the request is not UTF-8 at byte offset {error.start}", len(request[: error.start].decode()) + 1
        ) from None
    except json.JSONDecodeError as error:
        raise _RequestError(f"the request is not JSON: {error.msg}", error.pos + 1) from None
    except RecursionError:
        raise _RequestError(f"the request nests too deep: give an object such as {_OBJECT}") from None
    except ValueError:  # int() refuses very long digits
        raise _RequestError("the request has a number of thousands of digits: give strings") from None
    if not isinstance(fields, dict):
        raise _RequestError(f"the request is {_kind(fields)}: give an object such as {_OBJECT}")
    return fields


def _string(fields: Mapping[str, object], name: str) -> str:
    if name not in fields:
        raise _RequestError(f'"{name}" is missing: give {_EXPECTED[name]}')
    value = fields[name]
    if not isinstance(value, str):
        raise _RequestError(f'"{name}" is {_kind(value)}: give a string, {_EXPECTED[name]}')
    return value


def _format(fields: Mapping[str, object], name: str) -> Format:
    label = _string(fields, name)
    try:
        return Format(label)
    except ValueError:
        shown = label if len(label) <= 20 else f"{label[:20]}…"
        raise _RequestError(f'"{name}" is {shown!r}: give {_EXPECTED[name]}') from None


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a string" if isinstance(value, str) else "null")
