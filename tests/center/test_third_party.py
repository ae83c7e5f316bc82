"""The browser files that are not ours are those that THIRD_PARTY.md names, byte for byte."""

import hashlib
import re
from pathlib import Path

STATIC = Path(__file__).parents[2] / "hlx_assets" / "center" / "static"
ROW = re.compile(
    r"^\| `([^`]+)` \| ([\w.]+) \| ([\d.]+) \| https://registry\.npmjs\.org/\2/-/\2-\3\.tgz, .* \| `([0-9a-f]{64})` \|",
    re.MULTILINE,
)


def test_files_of_others_are_as_recorded() -> None:
    recorded = {file: digest for file, _, _, digest in ROW.findall((STATIC / "THIRD_PARTY.md").read_text("utf-8"))}
    files = {path for path in STATIC.iterdir() if ".min." in path.name}
    assert len(files) == 3
    assert recorded == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_licence_of_each_package_is_there() -> None:
    text = (STATIC / "THIRD_PARTY.md").read_text("utf-8")
    packages = {package for _, package, _, _ in ROW.findall(text)}
    for package in packages:
        assert len(text.partition(f"\n## {package}\n\n```\n")[2].partition("\n```\n")[0]) > 500, package
