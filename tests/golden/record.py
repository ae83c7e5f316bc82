"""A small curriculum as a user makes it with `hlx`, and everything of it that a change of the code must not change.

Trained, validated, exported and asked about in a folder of its own, by relative names, with fixed settings. The record
contains identifiers, file names, documents and the `--json` of the commands. What differs from run to run (times, pids,
hosts, paths, commits, versions) is replaced by its kind, and reasons in words are left out.
"""

import json
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hlx_model import __version__
from hlx_model.files import canonical_json, read_json, sha256_of
from tests.support.command import Hlx
from tests.support.documents import small_text

DOCUMENT, TRAINING = Path("small.md"), Path("artifacts/training")
SETTINGS = (
    "--corpus", str(DOCUMENT), "--checkpoint-dir", str(TRAINING), "--profile", "quick", "--size", "tiny",
    "--device", "cpu", "--no-fp16", "--seed", "0",
)  # fmt: skip
EPOCHS = {1: ("--epochs", "30", "--batch-size", "1"), 2: ("--epochs", "30", "--batch-size", "2"),
          3: ("--epochs", "6", "--batch-size", "2")}  # fmt: skip
"""So long the document is learned by heart: every phase lets the next one start."""
HASHED = ("model.safetensors", "optimizer.safetensors")

_BY_KEY = frozenset({
    "time", "started", "created", "ended", "made", "last_tick", "pid", "process", "host", "run_id", "commit", "dirty",
    "code_commit", "code_dirty",
    "tokens_per_second", "eta_seconds", "pace", "seconds", "versions", "packages", "platform",
    "digest", "report.json", "report.html", "report.md", "loss.svg", "state.json",
    "bytes",
})  # fmt: skip
"""Names of what differs from run to run, and of digests over it and over words: pages, and reasons in `state.json`."""
_WORDS = frozenset(
    {"reason", "reasons", "capped", "why", "text", "said", "detail", "description", "note", "warning", "cautions"}
)
"""Names of what is written for people."""
_BEST = re.compile(r"_BEST_epoch\d+")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[+-]\d\d:\d\d|Z)?")


def fingerprint() -> dict[str, Any]:
    """Return what the bytes of trained weights depend on, besides code and settings."""
    with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
        cpu = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in file)}
    flags = cpu.get("flags", "").split()
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "fma")
    return {
        "machine": platform.machine(),
        "cpu": [cpu.get(name) for name in ("vendor_id", "cpu family", "model")],
        "cpu_flags": [flag for flag in wanted if flag in flags],
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "precision": "float32",
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def record(hlx: Hlx, folder: Path) -> dict[str, Any]:
    """Make the curriculum in `folder`, which is the current one, and return its record."""
    DOCUMENT.write_text(small_text(), encoding="utf-8")
    checkpoints: dict[int, Path] = {}
    for phase, epochs in EPOCHS.items():
        parent = ("--resume-from", str(checkpoints[phase - 1])) if phase > 1 else ()
        ran = hlx("train", "--phase", phase, *SETTINGS, *epochs, *parent)
        assert ran.code == 0, ran.err
        (checkpoints[phase],) = TRAINING.glob(f"*/checkpoints/phase{phase}_FINAL_*")
        assert hlx("validate", "--checkpoint", checkpoints[phase], "--device", "cpu").code in (0, 2)
    assert hlx("export", checkpoints[3], "brain", "--checkpoint-dir", TRAINING).code == 0
    documents = {
        f"phase {phase} {name}": read_json(place / name)
        for phase, checkpoint in checkpoints.items()
        for place, names in (
            (checkpoint, ("state.json", "manifest.json")),
            (_report(checkpoint), ("report.json", "verdict.json")),
            (checkpoint.parents[1], ("heartbeat.json",)),
        )
        for name in names
    } | {f"export {name}": read_json(Path("brain", name)) for name in ("config.json", "provenance.json")}
    commands = {}
    for call in _calls(checkpoints):
        ran = hlx(*call)
        assert ran.out, (call, ran.err)
        commands[" ".join(map(str, call))] = json.loads(ran.out)
    ids = _ids(checkpoints)
    clean = _cleaner(folder)
    return {
        "training ids": {str(phase): checkpoint.parents[1].name for phase, checkpoint in checkpoints.items()},
        "data versions": {path.parent.name: path.name for path in sorted(Path("artifacts/corpora").glob("*/*"))},
        "files": sorted(_named(str(path), ids) for path in Path().rglob("*") if path.is_file()),
        "sha256": {
            f"phase {phase} {name}": sha256_of(checkpoint / name)
            for phase, checkpoint in checkpoints.items()
            for name in HASHED
        },
        "documents": {name: clean(value) for name, value in documents.items()},
        "commands": {_named(name, ids): clean(value) for name, value in commands.items()},
    }


def everywhere(made: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a record that no figure enters, so that it is the same on every machine."""
    fields = {
        name: sorted(value) for name, value in (made["documents"] | made["commands"]).items() if isinstance(value, dict)
    }
    return {
        "training id of phase 1": made["training ids"]["1"],
        "data versions": made["data versions"],
        "files": [_BEST.sub("_BEST_epoch<best>", path) for path in made["files"]],
        "fields": fields,
    }


def _calls(checkpoints: dict[int, Path]) -> list[tuple[object, ...]]:
    where = ("--checkpoint-dir", TRAINING, "--json")
    return [
        ("corpus", "check", DOCUMENT, "--json"),
        ("corpus", "statistics", DOCUMENT, "--json"),
        ("validate", "--checkpoint", checkpoints[3], "--device", "cpu", "--json"),
        ("translate", "Search for documents", "--to", "LC-R", "--checkpoint", checkpoints[3], "--json"),
        ("status", *where),
        ("watchdog", "replay", checkpoints[1].parents[1], "--json"),
        ("lineage", "show", checkpoints[3], *where),
        ("lineage", "verify", checkpoints[3], *where),
        ("lineage", "uses", DOCUMENT, *where),
        ("history", *where),
        ("history", "compare", checkpoints[1], checkpoints[2], "--output", "compare.svg", *where),
        ("clean", *where),
    ]


def _report(checkpoint: Path) -> Path:
    return Path("artifacts/reports") / checkpoint.parents[1].name / checkpoint.name


def _ids(checkpoints: dict[int, Path]) -> dict[str, str]:
    """Return a name for each training id: those of phases 2 and 3 follow from weights."""
    return {path.parents[1].name: f"<training {phase}>" for phase, path in checkpoints.items()}


def _named(text: str, ids: dict[str, str]) -> str:
    for found, name in ids.items():
        text = text.replace(found, name)
    return text


def _cleaner(folder: Path) -> Callable[[Any], Any]:
    """Return a function that replaces what differs from run to run by its kind, and drops words."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: f"<{key}>" if key in _BY_KEY and item is not None else clean(item)
                for key, item in value.items()
                if key not in _WORDS
            }
        if isinstance(value, list):
            items = [clean(item) for item in value]
            # Paths come in the order of their times, which may be equal.
            by_path = items and all(isinstance(item, dict) and "path" in item for item in items)
            return sorted(items, key=canonical_json) if by_path else items
        if value == __version__:
            return "<version of hlx>"
        if isinstance(value, str):
            return _TIME.sub("<time>", value.replace(os.fspath(folder), "<folder>"))
        return value

    return clean
