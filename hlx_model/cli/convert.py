"""`hlx convert`: convert a value from one format to another, once or as a co-process.

    echo '{"text": "[1, 2]", "from": "HLXL", "to": "LC-R"}' | hlx convert --jsonl

A program that converts many values starts it once. Each line is answered before the next is read.
"""

import json
import sys
from collections.abc import Mapping
from typing import Annotated

from typer import Argument, BadParameter, Option, get_binary_stream

from hlx_model.cli.show import echo_exactly
from hlx_model.language import Format, HLXSyntaxError, convert

_FORMATS = ", ".join(Format)
_CHOICE = f"<{'|'.join(Format)}>"
_GIVE_AN_OBJECT = 'give an object such as {"text": "[1, 2]", "from": "HLXL", "to": "LC-R"}'
_EXPECTED = {"text": "a line of HLX", "from": f"one of {_FORMATS}", "to": f"one of {_FORMATS}"}
_JSONL = (
    'Read lines of JSON {"text": …, "from": …, "to": …} from standard input, and answer each at once with one line, '
    '{"text": …} or {"error": …, "line": …, "column": …}.'
)

Answer = dict[str, str | int]


def _option(label: str) -> Format:
    try:
        return Format(label)
    except ValueError:
        raise BadParameter(f"{label!r} is not one of {_FORMATS}") from None


def convert_command(
    text: Annotated[str | None, Argument(help="A line of HLX.")] = None,
    source: Annotated[Format | None, Option("--from", parser=_option, metavar=_CHOICE, help="Its format.")] = None,
    target: Annotated[Format | None, Option("--to", parser=_option, metavar=_CHOICE, help="The new format.")] = None,
    jsonl: Annotated[bool, Option("--jsonl", help=_JSONL)] = False,
) -> None:
    """Write a value in another format.

    With --jsonl the exit code is 0, also if answers are errors.
    """
    if jsonl:
        if (text, source, target) != (None, None, None):
            raise ValueError("--jsonl reads texts and formats from standard input: leave TEXT, --from and --to out")
        answers = get_binary_stream("stdout")
        for line in get_binary_stream("stdin"):
            answers.write(json.dumps(answer(line), ensure_ascii=sys.stdout.isatty()).encode() + b"\n")
            answers.flush()
    elif text is None:
        raise ValueError("nothing to convert. Usage: hlx convert TEXT --from HLXL --to LC-R, or hlx convert --jsonl")
    elif source is None or target is None:
        raise ValueError(f"TEXT needs --from and --to, each one of {_FORMATS}")
    else:
        echo_exactly(convert(text, source, target))


def answer(request: bytes) -> Answer:
    """Return the answer to one line: `{"text": …}`, or `{"error": …, "line": …, "column": …}`.

    Lines and columns count from 1, in characters: within the text that cannot be read, or within `request` if that is
    not valid.
    """
    column = 1
    try:
        return {"text": convert(*_read(request.rstrip(b"\r\n")))}
    except HLXSyntaxError as error:
        return {"error": error.message, "line": error.line, "column": error.column}
    except UnicodeDecodeError as error:
        problem = f"the request is not UTF-8 at byte offset {error.start}"
        column = len(error.object[: error.start].decode()) + 1
    except json.JSONDecodeError as error:
        problem, column = f"the request is not JSON: {error.msg}", error.pos + 1
    except RecursionError:
        problem = f"the request nests too deep: {_GIVE_AN_OBJECT}"
    except ValueError as error:
        problem = str(error)
    return {"error": problem, "line": 1, "column": column}


def _read(request: bytes) -> tuple[str, Format, Format]:
    """Return the text, its format and the new format; `ValueError` says what is expected instead."""
    if not request.strip():
        raise ValueError(f"the request is empty: {_GIVE_AN_OBJECT}")
    # The interpreter refuses to read an integer of thousands of digits.
    fields = json.loads(request.decode("utf-8-sig"), parse_int=float)
    if not isinstance(fields, dict):
        raise ValueError(f"the request is not an object: {_GIVE_AN_OBJECT}")
    return _string(fields, "text"), _format(fields, "from"), _format(fields, "to")


def _string(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise ValueError(f'"{name}" is {"not a string" if name in fields else "missing"}: give {_EXPECTED[name]}')
    return value


def _format(fields: Mapping[str, object], name: str) -> Format:
    label = _string(fields, name)
    try:
        return Format(label)
    except ValueError:
        raise ValueError(f'"{name}" is {label[:20]!r}: give {_EXPECTED[name]}') from None
