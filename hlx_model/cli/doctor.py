"""`hlx doctor`: whether this machine can train: device, memory, disk, versions, settings, watchdog.

PyTorch and what needs it are imported by the probes that use them: if one of them is broken, the others still report.
"""

import difflib
import fcntl
import math
import os
import platform
import re
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import NamedTuple

from typer import Exit

import hlx_model
from hlx_model.cli.options import AsJson, Directory
from hlx_model.cli.show import echo, echo_json, print_table
from hlx_model.environment import GRAPH_VARIABLES, Environment
from hlx_model.files import lock
from hlx_model.layout import default_training
from hlx_model.phases import PHASES
from hlx_model.profiles import PROFILES, Profile
from hlx_model.profiles import profile as profile_of
from hlx_model.runs.liveness import asleep, last_tick
from hlx_model.shown import one_line

OK, WARN, FAIL = "ok", "warn", "fail"
_CONSTRAINTS = Path(hlx_model.__file__).parents[1] / "constraints.txt"
"""The versions that the tests run with; only a checkout has it."""
_GPUS = "docs/production.md says which GPUs and drivers torch runs on"


class Finding(NamedTuple):
    """One line: what was found, and what to do."""

    check: str
    outcome: str
    """`ok`; `warn`; or `fail`: a training with the profile would not start, or would stop."""
    found: str
    advice: str = ""


class Case(NamedTuple):
    """What is examined."""

    checkpoint_dir: Path | None
    profile: Profile
    """That of `HLX_PROFILE`; the default one if that is not valid."""

    @property
    def training(self) -> Path:
        """Return the folder of the trainings; `ValueError` if `DAGSTER_HOME` cannot be used."""
        return self.checkpoint_dir or default_training()


Probe = Callable[[Case], Iterator[tuple[str, ...]]]
"""Yields the outcome of each line, what was found and, if there is something to do, the advice."""


def doctor_command(checkpoint_dir: Directory = None, as_json: AsJson = False) -> None:
    """Show whether this machine can train.

    The profile is that of $HLX_PROFILE. Each line is ok, or warn, or fail if it would stop a training, and says
    what to do. Exit code 1: one would.
    """
    profile = PROFILES["quick"]
    with suppress(ValueError):  # the line `settings` says what is wrong
        profile = profile_of()
    findings = examine(Case(checkpoint_dir, profile))
    failed = [finding.check for finding in findings if finding.outcome == FAIL]
    if as_json:
        echo_json({"profile": profile.name, "ready": not failed, "checks": [one._asdict() for one in findings]})
    else:
        print_table([
            {"": one.outcome, "check": one.check, "found": " → ".join(filter(None, [one.found, one.advice]))}
            for one in findings
        ])  # fmt: skip
        echo(
            f"a training with the profile {profile.name} "
            + (f"would not run here: see {', '.join(dict.fromkeys(failed))}" if failed else "can run here")
        )
    raise Exit(1 if failed else 0)


def examine(case: Case) -> list[Finding]:
    """Return what each probe found. A probe that raises an error, or a warning of torch, is a line too."""
    findings: list[Finding] = []
    for check, probe in PROBES.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                for outcome, *texts in probe(case):
                    findings.append(Finding(check, outcome, *map(one_line, texts)))
            except Exception as error:  # whatever is broken: that is what this command is for
                name = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
                findings.append(Finding(check, FAIL, f"{name}{one_line(error)}"))
        said = dict.fromkeys(one_line(one.message, 200) for one in caught if one.category is UserWarning)
        findings += [Finding(check, WARN, text) for text in said]
    return findings


def _profile(case: Case) -> Iterator[tuple[str, ...]]:
    p = case.profile
    others = ", ".join(name for name in PROFILES if name != p.name)
    yield OK, f"{p.name}: size {p.size}, batches of {p.batch_size} × {p.seq_length} tokens (HLX_PROFILE; or {others})"


def _device(case: Case) -> Iterator[tuple[str, ...]]:
    import torch

    from hlx_model.model.device import has_code, no_gpu_reason, nvidia_driver

    reason, driver = no_gpu_reason(), nvidia_driver()
    if reason and driver:
        yield WARN, f"cpu: no GPU found because {reason}; NVIDIA driver {driver}, torch {torch.__version__}", _GPUS
    elif reason and case.profile.name != "quick":
        advice = f"{case.profile.size} is for a GPU: on a CPU set HLX_PROFILE=quick, or name --size 10m"
        yield WARN, f"cpu: no GPU found because {reason}", advice
    elif reason:
        yield OK, f"cpu: no GPU found because {reason}"
    else:
        capability, built_for = torch.cuda.get_device_capability(0), torch.cuda.get_arch_list()
        count = torch.cuda.device_count()
        runtime = f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {torch.version.hip}"
        found = (
            f"cuda: {torch.cuda.get_device_name(0)}{f', the first of {count}' if count > 1 else ''}, "
            f"compute capability {'.'.join(map(str, capability))}, driver {driver or 'unknown'}, torch for {runtime}"
        )
        if has_code(capability, built_for):
            yield OK, found
        else:
            yield FAIL, f"{found}, which has code for {' '.join(built_for)} alone", _GPUS


def _precision(case: Case) -> Iterator[tuple[str, ...]]:
    import torch

    from hlx_model.model.device import device_of, precision_of

    device = device_of()
    precision = precision_of(device, mixed=case.profile.mixed_precision)
    if precision is torch.bfloat16:
        yield OK, "bf16 for matrix products, fp32 for the rest"
    elif precision is torch.float16:
        yield OK, "fp16 for matrix products, with scaled gradients: this GPU has no bf16"
    else:
        yield OK, "fp32: this CPU has no instructions for bf16 (AVX512-BF16 or AMX), with which it is twice as fast"


def _memory(case: Case) -> Iterator[tuple[str, ...]]:
    import torch

    from hlx_model.model.device import device_of
    from hlx_model.training.host import available_host_memory
    from hlx_model.training.memory import gib

    yield OK, f"{gib(available_host_memory())} of host memory available"
    if device_of() == "cuda":
        free, total = torch.cuda.mem_get_info()
        found = f"{gib(free)} of {gib(total)} of GPU memory free"
        yield (OK, found) if free > total / 2 else (WARN, found, "another program uses the rest: see nvidia-smi")


def _sizes(case: Case) -> Iterator[tuple[str, ...]]:
    from hlx_model.model.device import device_of
    from hlx_model.model.sizes import SIZES
    from hlx_model.training.execution import ExecutionConfig
    from hlx_model.training.memory import advice, available_memory, estimate_memory, gib
    from hlx_model.training.plan import settings_of

    execution = ExecutionConfig(device_of())
    available = available_memory(execution)
    for p in PROFILES.values():
        settings = settings_of(min(PHASES), p)
        needed = {size: estimate_memory(replace(settings, size=size), execution).total for size in SIZES}
        fitting, large = (
            [f"{size} {gib(each)}" for size, each in needed.items() if (each <= available) is fits]
            for fits in (True, False)
        )
        found = f"with batches of {p.name} fit: {', '.join(fitting) or 'none'}"
        found += f"; too large: {', '.join(large)}" if large else ""
        if needed[p.size] <= available:
            yield OK, found
        else:
            yield (FAIL if p == case.profile else WARN), found, advice(settings, execution, available, size_fixed=False)


def _cores(case: Case) -> Iterator[tuple[str, ...]]:
    import torch

    from hlx_model.training.host import usable_cores

    cores, threads = usable_cores(), torch.get_num_threads()
    found = f"{cores:.3g} CPU cores for this process, torch uses {threads} threads"
    advice = f"set OMP_NUM_THREADS={max(1, math.floor(cores))}"
    yield (OK, found) if threads <= math.ceil(cores) else (WARN, found, advice)


def _disk(case: Case) -> Iterator[tuple[str, ...]]:
    from hlx_model.training.memory import estimate_disk, gib
    from hlx_model.training.plan import settings_of

    place = _existing(case.training)
    free = shutil.disk_usage(place).free
    needed = {p.name: [estimate_disk(settings_of(phase, p)) for phase in PHASES] for p in PROFILES.values()}
    totals = ", ".join(f"{name} {gib(sum(phases))}" for name, phases in needed.items())
    found = f"{gib(free)} free in {place}; checkpoints of all phases take at most: {totals}"
    own = needed[case.profile.name]
    if sum(own) <= free:
        yield OK, found
    else:
        yield (FAIL if max(own) > free else WARN), found, "make room (`hlx clean`), or set DAGSTER_HOME to another disk"


def _versions(case: Case) -> Iterator[tuple[str, ...]]:
    found = {name: _version(name) for name in ("torch", "pyarrow", "dagster")}
    versions = {"python": platform.python_version(), "hlx": hlx_model.__version__, **found}
    yield OK, ", ".join(f"{name} {version or 'not installed'}" for name, version in versions.items())
    tested = None
    with suppress(OSError):
        tested = re.search(r"^torch==(\S+)$", _CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    if tested and (found["torch"] or "").partition("+")[0] != tested[1]:
        yield WARN, f"torch {found['torch']}: the tests of this version run with torch {tested[1]} (constraints.txt)"


def _version(package: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version_of(package)
    return None


def _home(case: Case) -> Iterator[tuple[str, ...]]:
    folder, named = case.training, os.environ.get("DAGSTER_HOME", "")
    if case.checkpoint_dir is not None:
        label = f"{folder}"
    elif named:
        label = f"DAGSTER_HOME={folder.parents[1]}"
    else:
        label = f"{folder.parents[1]} in the current directory (DAGSTER_HOME is not set)"
    place = _existing(folder)
    try:
        # It has no name, or none that stays.
        with tempfile.TemporaryFile(dir=place) as file:
            lock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB, place)
    except OSError as error:
        yield FAIL, f"{label}: {place}: {error.strerror or error}", "name a folder on a local disk that you may write"
        return
    exists = "can be written, and files in it locked" if folder.exists() else "has no training yet, and can be written"
    yield OK, f"{label}: {exists}"


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _settings(case: Case) -> Iterator[tuple[str, ...]]:
    given = sorted(name for name, value in os.environ.items() if name.startswith("HLX_") and value.strip())
    known, shown = [*Environment.names(), *GRAPH_VARIABLES], []
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1, 0.8)
            yield WARN, f"{name}: hlx reads no variable of this name", *(f"is it {other}?" for other in close)
        elif name not in GRAPH_VARIABLES:
            try:
                Environment.read(name)
            except ValueError as error:
                yield FAIL, str(error)
            else:
                secret = name in Environment.secret_names()
                shown.append(name if secret else f"{name}={os.environ[name].strip()}")
    if shown:
        yield OK, ", ".join(shown)
    if graph := [name for name in given if name in GRAPH_VARIABLES]:
        yield OK, f"{', '.join(graph)}: `make ui` and `make curriculum` check them when they start"
    if not set(given).intersection(known):
        yield OK, "no variable is set: defaults apply"
    yield from _documents()


def _documents() -> Iterator[tuple[str, ...]]:
    from hlx_model.corpus.setting import CorpusSetting

    named = CorpusSetting().by_environment()
    for name, paths, outcome in (("HLX_CORPUS", named.documents, FAIL), ("HLX_EVAL", named.evaluation, WARN)):
        for path in paths:
            if not Path(path).exists():
                yield outcome, f"{name}: {path} does not exist", "name a document"


def _alerts(case: Case) -> Iterator[tuple[str, ...]]:
    count = len(os.environ.get("HLX_ALERTS", "").split())
    if count:
        yield OK, f"HLX_ALERTS has {count} address{'es' if count > 1 else ''}; `make alert` sends each a test message"
    else:
        yield WARN, "HLX_ALERTS names no address", "only the UI and the logs show what stops a training"


def _watchdog(case: Case) -> Iterator[tuple[str, ...]]:
    reason, tick = asleep(case.training), last_tick(case.training)
    if reason or tick is None:
        yield WARN, f"asleep: {reason}"
    else:
        yield OK, f"its last check was {max(0.0, time.time() - tick.time):.0f} seconds ago"


PROBES: dict[str, Probe] = {
    "profile": _profile,
    "device": _device,
    "precision": _precision,
    "memory": _memory,
    "sizes": _sizes,
    "cores": _cores,
    "disk": _disk,
    "versions": _versions,
    "home": _home,
    "settings": _settings,
    "alerts": _alerts,
    "watchdog": _watchdog,
}
