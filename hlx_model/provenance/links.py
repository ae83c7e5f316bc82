"""What the check of one link of a lineage found, and the check that all have in common: is a file as recorded?"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from hlx_model.files import json_text, read_json, sha256_of
from hlx_model.json_model import path_component

LinkStatus = Literal["ok", "broken", "unchecked"]


class Link(NamedTuple):
    """One link of a lineage, and what its check found."""

    link: str
    """What is checked: `phase1_FINAL_epoch1: model.safetensors`."""
    outcome: LinkStatus
    """Missing dependencies are `unchecked`, not `broken`."""
    reason: str

    def prefixed(self, name: str) -> "Link":
        """Return this link with the name of the folder that it belongs to."""
        return self._replace(link=f"{name}: {self.link}")


def check_files(
    directory: Path, recorded: Mapping[str, str], by: str, *, sizes: Mapping[str, int] | None = None, ignore: str = ""
) -> Iterator[Link]:
    """Yield a link for each recorded file of a folder, and a broken one for each file that is not recorded.

    Args:
        directory: the folder.
        recorded: SHA-256 by file name.
        by: the file in the folder that records them.
        sizes: lengths in bytes by file name, if they are recorded too.
        ignore: another file that may be there.
    """
    for name, sha256 in recorded.items():
        try:
            path, size = directory / path_component(name), (sizes or {}).get(name)
        except ValueError as error:
            yield Link(by, "broken", f"{directory / by}: {error}")
            continue
        if not path.is_file():
            yield Link(name, "broken", f"{path}: missing")
        elif size is not None and (found := path.stat().st_size) != size:
            yield Link(name, "broken", f"{path}: changed: {found} bytes, {size} recorded in {by}")
        elif sha256_of(path) != sha256:
            yield Link(name, "broken", f"{path}: changed: its SHA-256 is not the one in {by}")
        else:
            yield Link(name, "ok", f"SHA-256 {sha256[:16]}…")
    for path in sorted(directory.iterdir()):
        if path.name not in {*recorded, by, ignore}:
            yield Link(path.name, "broken", f"{path}: foreign: {by} does not record it")


def is_as_written(path: Path) -> bool:
    """Return whether a JSON file has the spaces and line ends that hlx writes, which its digest does not cover."""
    return path.read_text(encoding="utf-8") == json_text(read_json(path))
