"""How large the program is, and how plain: lines of code, docstrings, long files, private Dagster, untyped JSON, words.

    make bench ARGS=size

Compared with version 0.1.0, if its commit is in this clone.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

ROOT = Path(__file__).parents[1]
VERSION_0_1_0 = "4fff01a"
PRODUCT = ("hlx_model/", "hlx_assets/")
LONGEST = 400
"""Lines of a file, everything counted."""
PHRASES = re.compile(
    r"\bis asked\b|\bgoes on\b|\bgone on\b|\blet pass\b|\bhanded on\b|\bat hand\b|\bset aside\b|\bat work\b"
)
"""Phrases that a reader of the field does not expect."""
_TEXT = (".py", ".md", ".toml", ".yaml", ".yml", ".html", ".css", ".svg", ".jinja", ".j2", ".txt")
_IGNORED = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(source: str) -> int:
    """Count the lines of a module that hold code: no blanks, comments or docstrings."""
    held = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in _IGNORED
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in _docstrings(ast.parse(source)):
        held -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(held)


def _docstrings(tree: ast.Module) -> Iterator[ast.Expr]:
    """Yield every string that stands alone: docstrings, and those of attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node


def public_docstrings(source: str) -> int:
    """Count the docstrings of a module and of its public classes, functions and methods."""
    nodes: list[ast.AST] = [ast.parse(source)]
    found = 0
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found += ast.get_docstring(node) is not None
        inner = node.body if isinstance(node, ast.Module | ast.ClassDef) else []
        nodes += [
            child
            for child in inner
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and not child.name.startswith("_")
        ]
    return found


def measure(files: Mapping[str, str]) -> dict[str, int]:
    """Measure a tree.

    Args:
        files: the text of each file, by its path from the root.
    """
    product = {path: text for path, text in files.items() if path.startswith(PRODUCT)}
    python = {path: text for path, text in product.items() if path.endswith(".py")}
    beside = {path: text for path, text in product.items() if not path.endswith(".py")}
    prose = product | {path: text for path, text in files.items() if path.startswith(("README.md", "docs/"))}
    every = [(path, text) for path, text in files.items() if path.endswith(".py")]
    return {
        "code, lines": sum(map(code_lines, python.values())),
        "templates and data, lines": sum(len(text.splitlines()) for text in beside.values()),
        "code of tests, lines": sum(code_lines(text) for path, text in every if path.startswith("tests/")),
        "public docstrings": sum(map(public_docstrings, python.values())),
        f"files over {LONGEST} lines": sum(len(text.splitlines()) > LONGEST for _, text in every),
        "files of hlx_assets with dagster._": sum(
            "dagster._" in text for path, text in python.items() if path.startswith("hlx_assets/")
        ),
        "lines with dict[str, Any]": sum(
            "dict[str, Any]" in line for text in python.values() for line in text.splitlines()
        ),
        "old phrases": sum(len(PHRASES.findall(text)) for text in prose.values()),
        "words of README and docs": sum(
            len(text.split())
            for path, text in files.items()
            if path == "README.md" or (path.startswith("docs/") and path.endswith(".md"))
        ),
    }  # fmt: skip


def tree(commit: str | None = None) -> dict[str, str] | None:
    """Return the text files of a commit, or of the working tree; None if the commit is not in this clone."""
    if commit is None:
        names = _git("ls-files", "--cached", "--others", "--exclude-standard").splitlines()
        return {
            name: (ROOT / name).read_text(encoding="utf-8")
            for name in names
            if name.endswith(_TEXT) and (ROOT / name).is_file()
        }
    try:
        names = _git("ls-tree", "-r", "--name-only", commit).splitlines()
        return {name: _git("show", f"{commit}:{name}") for name in names if name.endswith(_TEXT)}
    except subprocess.CalledProcessError:
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Print the table."""
    now, before = tree(), tree(VERSION_0_1_0)
    assert now is not None
    measured, compared = measure(now), measure(before) if before else {}
    table = Table("", *(["0.1.0"] if compared else []), "now", title="size")
    for name, value in measured.items():
        table.add_row(escape(name), *([f"{compared[name]:,}"] if compared else []), f"{value:,}")
    Console().print(table)
    if not compared:
        sys.stdout.write(f"version 0.1.0 ({VERSION_0_1_0}) is not in this clone: nothing to compare with\n")


if __name__ == "__main__":
    main()
