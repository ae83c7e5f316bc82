"""What `hlx convert` promises: one line of HLX, or a co-process that answers every line with one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_model.cli.convert import answer
from hlx_model.language import Format, HLXSyntaxError, convert
from tests.support.command import Hlx
from tests.support.strategies import NOTATION

HLX = Path(sys.executable).with_name("hlx")
GOOD = {"text": "[1, true]", "from": "HLXL", "to": "LC-R"}


def reply(request: object) -> dict[str, Any]:
    return answer(json.dumps(request).encode() + b"\n")


def run_jsonl(requests: bytes, **environment: str) -> list[dict[str, Any]]:
    """The answers of a process of its own, which must end with 0 and say nothing else."""
    ran = subprocess.run([HLX, "convert", "--jsonl"], input=requests, capture_output=True, env=environment, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")
    return [json.loads(line) for line in ran.stdout.decode("utf-8").removesuffix("\n").split("\n")]


@pytest.mark.parametrize(("source", "target"), [("LC-R", "LC-B"), ("lc_r", "lcb"), ("lc–r", "Lc b")])
def test_formats_are_named_as_people_write_them(hlx: Hlx, source: str, target: str) -> None:
    ran = hlx("convert", "🜃⊤🜄", "--from", source, "--to", target)
    assert (ran.code, ran.out, ran.err) == (0, "[[T]]\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Usage: hlx convert TEXT --from HLXL --to LC-R, or hlx convert --jsonl"),
        (("--from", "HLXL", "--to", "LC-T"), "Usage: hlx convert TEXT --from HLXL --to LC-R, or hlx convert --jsonl"),
        (("5",), "TEXT needs --from and --to, each one of HLXL, LC-R, LC-T, LC-B"),
        (("5", "--from", "HLXL"), "TEXT needs --from and --to"),
        (("5", "--to", "HLXL"), "TEXT needs --from and --to"),
        (("5", "--jsonl"), "leave TEXT, --from and --to out"),
        (("", "--jsonl"), "leave TEXT, --from and --to out"),
        (("--jsonl", "--from", "HLXL"), "leave TEXT, --from and --to out"),
    ],
)
def test_a_command_with_contradicting_arguments_is_one_line(hlx: Hlx, arguments: tuple[str, ...], message: str) -> None:
    ran = hlx("convert", *arguments)
    assert ran.code == 1 and ran.out == "" and ran.err == f"{ran.error}\n" and message in ran.error


def test_a_request_is_answered_with_the_text_in_the_other_format() -> None:
    assert reply(GOOD) == {"text": "🜃1, ⊤🜄"}
    assert reply({**GOOD, "from": "hlxl", "to": "lc_t", "id": 7}) == {"text": "[1,TRUE]"}


def test_unreadable_text_is_answered_with_its_place() -> None:
    found = reply({"text": "{a: 1,\n\n  b 2}", "from": "HLXL", "to": "LC-T"})
    assert found == {"error": "found '2', expected ':'", "line": 3, "column": 5}


@pytest.mark.parametrize(
    ("request_line", "message", "column"),
    [
        (b"", "the request is empty: give an object such as", 1),
        (b" \t\r\n", "the request is empty", 1),
        (b"{", "the request is not JSON", 2),
        (b'{"text": "\xc3\xa9" 1}\n', "the request is not JSON", 14),
        (b'\xef\xbb\xbf{"text": "1"}', '"from" is missing', 1),
        (b'{"text": "\xc3\xa9\xff"}', "not UTF-8 at byte offset 12", 12),
        (b"[" * 100_000, "nests too deep", 1),
        (b'{"text": ' * 100_000, "nests too deep", 1),
        (b"9" * 10_000, "the request is not an object: give an object", 1),
        (b"null", "the request is not an object: give an object", 1),
        (b"[1]", "the request is not an object: give an object", 1),
        (b"{}", '"text" is missing: give a line of HLX', 1),
        (b'{"text": null}', '"text" is not a string: give a line of HLX', 1),
        (b'{"text": "1"}', '"from" is missing: give one of HLXL, LC-R, LC-T, LC-B', 1),
        (b'{"text": "1", "from": true}', '"from" is not a string: give one of HLXL', 1),
        (b'{"text": "1", "from": "LC-X"}', "\"from\" is 'LC-X': give one of HLXL, LC-R, LC-T, LC-B", 1),
        (b'{"text": "1", "from": "\\ud800"}', "\"from\" is '\\ud800': give one of", 1),
        (b'{"text": "1", "from": "HLXL", "to": ["HLXL"]}', '"to" is not a string: give one of HLXL', 1),
    ],
    ids=lambda parameter: ascii(parameter)[:40],
)
def test_an_invalid_request_is_answered_with_what_is_expected(request_line: bytes, message: str, column: int) -> None:
    found = answer(request_line)
    assert message in str(found["error"])
    assert len(str(found["error"])) < 200
    assert (found["line"], found["column"]) == (1, column)


@given(st.text(st.characters()) | st.text(NOTATION), st.sampled_from(Format), st.sampled_from(Format))
def test_every_text_is_answered_as_convert_answers_it(text: str, source: Format, target: Format) -> None:
    found = reply({"text": text, "from": source, "to": target})
    json.dumps(found, ensure_ascii=False).encode("utf-8")
    try:
        assert found == {"text": convert(text, source, target)}
    except HLXSyntaxError as error:
        assert found == {"error": error.message, "line": error.line, "column": error.column}


@given(st.binary())
def test_every_line_of_bytes_has_an_answer(request_line: bytes) -> None:
    assert answer(request_line).keys() in ({"text"}, {"error", "line", "column"})


def test_answers_stay_in_step_with_requests() -> None:
    good = json.dumps(GOOD).encode()
    requests = [good, b"", b"\xff", b'{"text": "\\ud800", "from": "HLXL", "to": "LC-R"}', b"[" * 50_000, good + b"\r"]
    found = run_jsonl(b"\n".join(requests))  # the last line does not end
    assert ["text" in one for one in found] == [True, False, False, False, False, True]


def test_answers_are_utf8_whatever_the_locale_is() -> None:
    request = json.dumps({"text": '"é😀\u2028"', "from": "HLXL", "to": "LC-R"}, ensure_ascii=False).encode()
    for environment in ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}):
        assert run_jsonl(request + b"\n", **environment) == [{"text": '"é😀\u2028"'}]


def test_an_answer_comes_before_the_next_request() -> None:
    with subprocess.Popen([HLX, "convert", "--jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        for text, expected in (("1", "[0x01]"), ("null", "[_]")):
            request = {"text": text, "from": "HLXL", "to": "LC-B"}
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == {"text": expected}
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_closed_output_ends_it_quietly() -> None:
    request = json.dumps(GOOD).encode() + b"\n"
    with subprocess.Popen(
        [HLX, "convert", "--jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdout.close()
        process.stdin.write(request)
        process.stdin.close()
        process.wait(10)
        assert process.stderr.read() == b""
