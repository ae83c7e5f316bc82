"""What the documents say of the program is what the program says of itself."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import hlx_model

ROOT = Path(__file__).parents[1]
COMMANDS: tuple[list[str], ...] = (
    [],
    ["convert"],
    ["corpus", "check"],
    ["corpus", "compose"],
    ["corpus", "statistics"],
    ["train"],
    ["validate"],
    ["translate"],
    ["serve"],
    ["doctor"],
    ["status"],
    ["watchdog"],
    ["watchdog", "replay"],
    ["lineage", "show"],
    ["lineage", "verify"],
    ["lineage", "uses"],
    ["history"],
    ["history", "compare"],
    ["export"],
    ["clean"],
    ["keys", "add"],
    ["keys", "list"],
    ["keys", "check"],
    ["keys", "rename"],
    ["keys", "replace"],
    ["keys", "remove"],
    ["keys", "price"],
    ["keys", "agree"],
    ["keys", "passphrase"],
    ["costs"],
    ["costs", "cap"],
    ["costs", "release"],
    ["costs", "reopen"],
    ["supervise"],
    ["baselines"],
)


HELP = """
import contextlib, json, sys
sys.argv[0] = "hlx"
from hlx_model.cli import app
for command in json.loads(sys.argv[1]):
    sys.argv[1:] = [*command, "--help"]
    with contextlib.suppress(SystemExit):
        app()
    print(chr(12))
"""


def helps() -> list[str]:
    """`hlx … --help` of each command, 80 columns wide; of one process, for torch takes its time."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HLX_", "_TYPER", "FORCE", "GITHUB"))}
    result = subprocess.run(
        [sys.executable, "-c", HELP, json.dumps(COMMANDS)],
        env={**environment, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )
    pages = result.stdout.split(chr(12))[: len(COMMANDS)]
    return ["\n".join(line.rstrip() for line in page.strip().splitlines()) for page in pages]


def command_line_page() -> str:
    parts = [
        "# The command line",
        "",
        "Each page is the command's own `--help`; a test fails where they differ, and "
        "`HLX_UPDATE_DOCS=1 make test ARGS=tests/test_docs.py` writes them anew. Exit code 0 is success and 1 any "
        "failure; `validate`, `corpus check` and `keys` also give 2, for a warning.",
        "",
        "No command writes over its own input, nor into a folder that hlx keeps (a checkpoint, an exported model, a "
        "report, a model card, a corpus, a training). It ends with one error line before it starts. Other files are "
        "replaced; `corpus compose` needs `--force` for that.",
    ]
    for command, page in zip(COMMANDS, helps(), strict=True):
        parts += ["", f"## `{' '.join(['hlx', *command])}`", "", "```", page, "```"]
    return "\n".join(parts) + "\n"


def test_the_command_line_is_documented_from_its_own_help() -> None:
    page = ROOT / "docs" / "cli.md"
    expected = command_line_page()
    if os.environ.get("HLX_UPDATE_DOCS"):
        page.write_text(expected, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == expected


def test_changelog_and_version_agree() -> None:
    found = re.search(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None and found[1] == hlx_model.__version__


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")


def test_links_between_documents_lead_to_files_and_headings() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for target, heading in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", page.read_text(encoding="utf-8")):
            path = page.parent / target if target else page
            assert path.exists(), f"{page.name}: {target}"
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
            assert not heading or heading in map(anchor, headings), f"{page.name}: {target}#{heading}"
