"""`hlx` under random arguments: it ends with a known exit code and a line, and no input is changed."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.checkpoints.weights import load_model
from hlx_model.cli import COMMANDS, application
from tests.support.curriculum import Curriculum

SECONDS = 300.0
"""How long random command lines are tried."""
PATIENCE = 10.0
"""Seconds for a command; then SIGTERM."""
EXIT_CODES = {0, 1, 2, 130, 143, -signal.SIGTERM}
WRITTEN = {("home", "artifacts", name) for name in ("reports", "cards", "history.parquet")}
"""What a command writes anew: an evaluation replaces its report."""
SEED = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(10**6))
"""Another one each night."""
PLAUSIBLE: dict[str, Sequence[str]] = {
    "'int'": ("0", "1", "2", "3", "5", "-1", "300", "9" * 20),
    "'float'": ("0", "1", "0.5", "-1", "1e-3", "nan", "1e300"),
    "'Format'": ("HLXL", "LC-R", "LC-T", "LC-B"),
    "'str'": ("5", "[1, 2]", "Search for documents", "🜃1🜄", "quick", "cpu", "tiny", "pt", "safetensors", "English"),
}
"""Values by the type that an option or an argument names."""
VALUES = (
    "", " ", "-", "--", "0", "-1", "1", "3", "1e400", "-1e400", "nan", "inf", "1e-400", "9" * 40, "0x10", "1_0", "½",
    "x" * 5000, "\u202e\x1b[2J", "🜃", "{}", "[[[[", "null", "~", "..", "/", "a=b", "HLXL", "LC-R", "cpu", "quick",
    "tiny", "phase3_checkpoint", "corpus_document", "paired_corpus", "exact_match_to_hlx=0.5",
)  # fmt: skip


@pytest.fixture(scope="module")
def inputs(curriculum: Curriculum, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a home, documents, a model of PyTorch, and paths of every other kind."""
    folder = tmp_path_factory.mktemp("fuzz")
    shutil.copytree(curriculum.root, folder / "home" / "artifacts")
    shutil.copyfile(curriculum.document, folder / "c.md")
    torch.save(load_model(verify_checkpoint(curriculum.phases[1].checkpoint)).state_dict(), folder / "m.pt")
    (folder / "empty").write_bytes(b"")
    (folder / "binary").write_bytes(bytes(range(256)) * 9)
    (folder / "directory").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "own.md").write_text("a document of a user")
    (folder / "link.md").symlink_to("c.md")
    (folder / "link").symlink_to("full")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "fifo")
    return folder


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the commands of the command tree, each with its words."""
    inner = getattr(command, "commands", None)
    if inner:
        for name, one in inner.items():
            yield from leaves(one, (*path, name))
    yield path, command


def files(folder: Path) -> dict[Path, str]:
    """Return by relative path the SHA-256 of each file that no command writes anew, and where each link leads."""
    found = {}
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if path.is_symlink():
            found[relative] = str(path.readlink())
        elif path.is_fifo():
            found[relative] = "fifo"
        elif path.is_file() and relative.parts[:3] not in WRITTEN:
            found[relative] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def outputs(arguments: Sequence[str]) -> set[Path]:
    """Return what a command line names as an output, and not as an input too: such a file is replaced."""
    named = {after for option, after in pairwise(arguments) if option == "--output"}
    if arguments[:2] == ["corpus", "compose"] and "--force" in arguments:
        named |= {word for before, word in pairwise(arguments) if before != "--beside"}
    return {Path(os.path.normpath(word)) for word in named if arguments.count(word) == 1}


def command_line(
    chance: random.Random, commands: Sequence[tuple[tuple[str, ...], Any]], paths: Sequence[str], names: Sequence[str]
) -> list[str]:
    """Return random arguments of a random command."""
    words, command = chance.choice(commands)
    arguments = list(words)
    for parameter in command.params:
        expected = chance.random() < (0.8 if parameter.required or parameter.param_type_name == "argument" else 0.25)
        if not expected or "--yes" in parameter.opts:  # which removes what nothing needs
            continue
        if parameter.param_type_name == "option":
            arguments.append(chance.choice(parameter.opts))
        kind = str(parameter.type_descriptor)
        if "'bool'" not in kind:
            fitting = next((values for name, values in PLAUSIBLE.items() if name in kind), paths)
            if parameter.name in ("checkpoint", "resume_from", "named", "a", "b"):
                fitting = names
            arguments.append(chance.choice(chance.choice([fitting, fitting, fitting, VALUES, paths, names])))
    for _ in range(chance.choice([0, 0, 0, 1, 2])):
        arguments.insert(chance.randint(0, len(arguments)), chance.choice([*VALUES, *paths, "--help", "-h", "--json"]))
    return arguments


def run(arguments: Sequence[str], work: Path) -> tuple[int, str]:
    """Run `hlx` in a folder, end it by SIGTERM if it takes long, and return its exit code and standard error."""
    environment = {**os.environ, "DAGSTER_HOME": str(work / "home"), "HLX_CORPUS": "", "COLUMNS": "100"}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "hlx_model", *arguments],
            cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait(60)
        errors.seek(0)
        return process.returncode, errors.read().decode(errors="replace")


def problem_of(arguments: Sequence[str], code: int, said: str, before: dict[Path, str], work: Path) -> str | None:
    """Return what is wrong with how a command ended; None if nothing is."""
    errors = [line for line in said.splitlines() if line.startswith("error:")]
    if code not in EXIT_CODES:
        return f"exit code {code}"
    if "Traceback" in said:
        return "a traceback"
    if len(errors) > 1 or (code == 1 and errors and len(said.splitlines()) > 3):
        return "more than three lines of error"
    after, replaced = files(work), outputs(arguments)
    changed = [path for path, content in before.items() if after.get(path) != content and path not in replaced]
    return f"changed {changed[:3]}" if changed else None


@pytest.mark.slow
def test_random_command_lines_end_well_and_change_no_input(inputs: Path, tmp_path: Path) -> None:
    commands = list(leaves(typer.main.get_command(application(COMMANDS))))
    chance, began, tried, wrong, before = random.Random(SEED), time.monotonic(), 0, [], files(inputs)
    paths = [path.name for path in inputs.iterdir()]
    paths += ["nowhere", "no/where.md", "/dev/null", "/dev/zero", "/dev/full", "./full/../c.md", "c.md/x"]
    trainings = sorted((inputs / "home" / "artifacts" / "training").iterdir())
    checkpoints = [path.relative_to(inputs) for training in trainings for path in training.glob("checkpoints/*")]
    names = [*map(str, checkpoints), *(path.name for path in trainings)]
    while time.monotonic() - began < SECONDS:
        arguments = command_line(chance, commands, paths, names)
        work = tmp_path / "work"
        subprocess.run(["cp", "-a", inputs, work], check=True)
        code, said = run(arguments, work)
        tried += 1
        if problem := problem_of(arguments, code, said, before, work):
            wrong.append(f"hlx {' '.join(map(repr, arguments))[:2000]}: {problem}: {said[-600:]}")
        shutil.rmtree(work)
    print(f"{tried} command lines, seed {SEED}")
    assert wrong == [] and tried > 20, f"seed {SEED}"
