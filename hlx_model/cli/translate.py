"""`hlx translate`: translate with a trained model, and say on standard error what that model can do."""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated, Any

from pydantic import ValidationError
from typer import Argument, Option

from hlx_model.checkpoints.seal import VerifiedCheckpoint
from hlx_model.cli.options import NAMED, AsJson, Directory, option, training_folder
from hlx_model.cli.show import echo, echo_exactly, echo_json
from hlx_model.evaluation.translation import MAX_ANSWER
from hlx_model.json_model import first_error
from hlx_model.model.device import device_of
from hlx_model.model.generation import generate
from hlx_model.model.transformer import Transformer
from hlx_model.serving.finished import TRANSLATING, finished_model, load_finished, trust
from hlx_model.serving.requests import LANGUAGES, TranslateRequest, TranslationTask, translation_task

STANDARD_INPUT = "-"
TOGETHER = 1_024
"""Lines of standard input that are translated together."""
MOST_BYTES = 1 << 20
"""Of a line."""


def translate_command(
    text: Annotated[
        str | None,
        Argument(help="An English sentence, or a line of HLX; - or nothing: a text in each line of standard input."),
    ] = None,
    target: Annotated[str | None, option(f"{', '.join(LANGUAGES)}.", "HLXL; of a line of HLX English", "--to")] = None,
    source: Annotated[str | None, option("What the text is, as --to.", "what the text parses as", "--from")] = None,
    checkpoint: Annotated[
        str | None,
        option(f"{NAMED} It is of phase {TRANSLATING}.", "the newest finished one that did not fail its gates"),
    ] = None,
    checkpoint_dir: Directory = None,
    jsonl: Annotated[
        bool, Option("--jsonl", help='Lines are JSON: {"text": …, "to": …, "from": …}; so are the answers.')
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Translate between English and HLX with a trained model.

    Standard error says what the model can do, and names it and its verdict.

    Each line of standard input has one line of output, in the same order. A line that cannot be translated has an
    empty one (in JSON an `error`), and the exit code is then 1.
    """
    one = None if text in (None, STANDARD_INPUT) else translation_task(str(text), target, source)
    if one is not None and jsonl:
        raise ValueError(f"--jsonl reads standard input: leave TEXT out, or give {STANDARD_INPUT}")
    if one is None and sys.stdin.isatty():
        raise ValueError("there is no text: give one as an argument, or lines on standard input")
    found = finished_model(checkpoint, training_folder(checkpoint_dir, required=checkpoint is None))
    model = load_finished(found, device_of())
    for line in trust(found):
        echo(line, err=True)
    if one is not None:
        (answer,) = _answers(model, found, [one])
        _print(answer, as_json=as_json)
        if not answer["parses"]:
            echo(f"warning: the answer is not well-formed {answer['to']}", err=True)
        return
    lines, failed = _lines(), 0
    while some := list(islice(lines, TOGETHER)):
        asked = [_asked(line, number, target, source, jsonl=jsonl) for number, line in some]
        for answer in _answers(model, found, asked):
            failed += "error" in answer
            if "error" in answer and not (jsonl or as_json):
                echo(answer["error"], err=True)
            _print(answer, as_json=jsonl or as_json)
    if failed:
        raise ValueError(f"lines that were not translated: {failed}")


def _lines() -> Iterator[tuple[int, bytes]]:
    """Yield the lines of standard input with their numbers; `ValueError` at one that has no end."""
    for number, line in enumerate(iter(lambda: sys.stdin.buffer.readline(MOST_BYTES + 1), b""), 1):
        if len(line) > MOST_BYTES:
            raise ValueError(f"line {number} is longer than {MOST_BYTES:,} bytes: give a text in each line")
        yield number, line


def _asked(line: bytes, number: int, target: str | None, source: str | None, *, jsonl: bool) -> TranslationTask | str:
    """Return what a line of standard input asks for, or why it cannot be translated."""
    try:
        text = line.decode().rstrip("\r\n")
        if not jsonl:
            return translation_task(text, target, source)
        found = TranslateRequest.model_validate_json(text)
        return translation_task(found.text, found.to or target, found.source or source)
    except ValidationError as error:
        return f"line {number}: {first_error(error)}"
    except UnicodeDecodeError:
        return f"line {number}: not UTF-8"
    except ValueError as error:
        return f"line {number}: {error}"


def _answers(
    model: Transformer, found: VerifiedCheckpoint, asked: Iterable[TranslationTask | str]
) -> Iterator[dict[str, Any]]:
    """Yield the answer to each translation, and the error of what cannot be translated, in their order."""
    asked = list(asked)
    prompts = [one.prompt for one in asked if isinstance(one, TranslationTask)]
    written = iter(generate(model, prompts, max_new_tokens=MAX_ANSWER))
    for one in asked:
        if isinstance(one, str):
            yield {"error": one}
            continue
        text = next(written)
        yield {"text": text, "to": one.target, "parses": one.well_formed(text), "checkpoint": str(found.path)}


def _print(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        echo_json(answer, indent=None)
    else:
        echo_exactly(answer.get("text", ""))
