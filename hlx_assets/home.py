"""The home of Dagster (`DAGSTER_HOME`): made, brought up to this version, and opened.

    python -m hlx_assets.home dagster-daemon run …     # prepares the home, then becomes that program

A home has a copy of `dagster_home/dagster.yaml`. A copy of an older version that nobody edited is replaced. If
`HLX_TRAINER` says how many trainings may run at once, its limits become that number.
`make curriculum`, `make ui`, the webserver and every container prepare their home here. Programs of Dagster itself do
not; if they load the code location, it refuses what `require_storage` refuses.
"""

import hashlib
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import dagster as dg
import yaml

from hlx_assets.common import TRAINING_POOL, exit_with_one_line
from hlx_assets.curriculum.session import SESSION
from hlx_assets.dagster_internals import limit_pool
from hlx_assets.settings import POSTGRES_URL, TRAINER, DagsterEnvironment
from hlx_model.files import write_text
from hlx_model.layout import dagster_home

SETTINGS = "dagster.yaml"
SHIPPED = {
    "88c4e4b1ad36246b5a25b093009141352efb2aa66570cb87ca2183f7c3fd3ab2": "0.1.0",
    "0b1d11df10351cc0766a4075d63ec33b333e2994ec28a6a0da27701e3521a257": "0.1.0",
    "073e1303594567e71304cdb3e7ee405a21b335e393ef36af69435b5b08562f29": "0.1.0",
    "9af99a38ba859a50db3d65c0ac151e6b6d9caf46d1caaf1646a24fbebc1a0354": "0.1.0",
    "c8153e16ecf39161d565d82c2462d822ee690a5c871e3d24d95c3714a44b625b": "0.5.0",
    "2ad5a5f5b75e1c533d189b4db955b42836cca74ad19614f5678bed6a03a7425a": "0.9.0",
}
"""SHA-256 of each older `dagster.yaml`, and the version that it belongs to.

If you change `dagster_home/dagster.yaml`, add the SHA-256 that it had before.
"""
POSTGRES = f"storage: {{postgres: {{postgres_url: {{env: {POSTGRES_URL}}}}}}}"
"""The line that the `dagster.yaml` of a home on Postgres has in addition."""
_EITHER = "hlx_assets.storage"
"""The storage of version 0.1.0: Postgres if `HLX_POSTGRES_URL` is set, else SQLite."""
_SESSIONS = re.compile(rf"(?<=key: {SESSION}, limit: )\d+")
_RUNS = re.compile(r"(?<=max_concurrent_runs: )\d+")


def home_directory() -> Path:
    """Return `DAGSTER_HOME`.

    Raises:
        ValueError: it is not set, or is no absolute path.
    """
    home = dagster_home()
    if home is None:
        raise ValueError("DAGSTER_HOME is not set: use `make curriculum` or `make ui`, or set it")
    return home


def shipped_file(installed: str, in_checkout: str) -> Path:
    """Return a file that an installed package contains beside this module, and a checkout elsewhere."""
    path = Path(__file__).with_name(installed)
    return path if path.exists() else Path(__file__).parents[1] / in_checkout


def shipped_settings(*, postgres: bool) -> str:
    """Return the `dagster.yaml` of this version, for Postgres or for SQLite."""
    source = shipped_file(SETTINGS, f"dagster_home/{SETTINGS}")
    return source.read_text(encoding="utf-8") + (f"\n{POSTGRES}\n" if postgres else "")


def prepare(home: Path) -> list[str]:
    """Make a home ready for this version: write its `dagster.yaml`, or replace one that nobody edited.

    Returns:
        Lines for a person: what was replaced, or what an edited file lacks.

    Raises:
        ValueError: the file cannot be read, or it and `HLX_POSTGRES_URL` do not mean the same storage.
    """
    home.mkdir(parents=True, exist_ok=True)
    path, current = home / SETTINGS, shipped_settings(postgres=_on_postgres())
    if not path.exists():
        write_text(path, with_limits(current, _max_concurrent() or 1))
    require_storage(home)
    return _upgrade(path, current)


def with_limits(settings: str, trainings: int) -> str:
    """Return a `dagster.yaml` in which so many sessions may run at once, and two runs more than these."""
    return _RUNS.sub(str(trainings + 2), _SESSIONS.sub(str(trainings), settings))


def _max_concurrent() -> int | None:
    """Return how many trainings may run at once; None if `HLX_TRAINER` does not say."""
    return DagsterEnvironment.read(TRAINER).trainer.max_concurrent


def require_storage(home: Path) -> None:
    """Require that a home's `dagster.yaml` and `HLX_POSTGRES_URL` mean the same storage.

    Raises:
        ValueError: one of them means Postgres and the other does not, or dagster-postgres is missing.
    """
    path, on_postgres = home / SETTINGS, _on_postgres()
    content = _read(path) if path.exists() else {}
    storage = str([value for name, value in content.items() if name.endswith("storage")])
    if POSTGRES_URL in storage and not on_postgres:
        advice = "set it, or remove `storage` from the file, which then means SQLite"
        raise ValueError(f"{path} is for Postgres, and {POSTGRES_URL} is not set: {advice}")
    if on_postgres and POSTGRES_URL not in storage and _EITHER not in storage:
        problem = f"{POSTGRES_URL} is set, and {path} is not for Postgres"
        raise ValueError(f"{problem}: let its storage be the line `{POSTGRES}`, or unset the variable")
    if on_postgres and find_spec("dagster_postgres") is None:
        raise ValueError(_MISSING)


_MISSING = f"{POSTGRES_URL} needs dagster-postgres: pip install -c constraints.txt -e '.[assets,postgres]'"


@contextmanager
def open_home(*, report: bool = True) -> Iterator[dg.DagsterInstance]:
    """Yield the instance of `DAGSTER_HOME`; end the program with one line if a setting or the database is wrong.

    Args:
        report: write to standard error what was replaced in `dagster.yaml`, or which settings it lacks.
    """
    with exit_with_one_line():
        _prepare(report=report)
        instance = _instance()
        trainings = _max_concurrent()
    with instance:
        if trainings is not None:
            limit_pool(instance, TRAINING_POOL, trainings)
        yield instance


def _prepare(*, report: bool) -> None:
    DagsterEnvironment.check()
    home = home_directory()
    try:
        lines = prepare(home)
    except OSError as error:
        advice = "name a folder that you can write to"
        raise ValueError(f"DAGSTER_HOME is {home}: it cannot be used ({error.strerror}): {advice}") from None
    if report:
        sys.stderr.writelines(f"{line}\n" for line in lines)


def _instance() -> dg.DagsterInstance:
    disabled = logging.root.manager.disable
    if _on_postgres():
        logging.disable(logging.WARNING)  # each try to connect is a warning with the driver's message
    try:
        return dg.DagsterInstance.get()
    except dg.DagsterInvalidConfigError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        # SQLAlchemy 2.1 takes an address without a driver for one of psycopg 3.
        raise ValueError(_MISSING) from None
    except Exception as error:
        if type(error).__name__ != "DagsterPostgresException":  # dagster-postgres need not be installed
            raise
        said = str(getattr(error.__cause__, "orig", error)).strip().splitlines()[0]
        raise ValueError(f"{POSTGRES_URL}: {said}: start the server, or correct the address") from None
    finally:
        logging.disable(disabled)


def _on_postgres() -> bool:
    return DagsterEnvironment.read(POSTGRES_URL).postgres_url is not None


def _read(path: Path) -> Mapping[str, object]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: it must be a mapping of Dagster's settings")
    return content


def _upgrade(path: Path, current: str) -> list[str]:
    """Replace a file that nobody edited, and keep a copy of an older version; for an edited one, say what it lacks."""
    text = path.read_text(encoding="utf-8")
    as_shipped, trainings = _as_shipped(text)
    wanted = with_limits(current, _max_concurrent() or trainings)
    if text == wanted:
        return []
    version = SHIPPED.get(hashlib.sha256(as_shipped.removesuffix(f"\n{POSTGRES}\n").encode()).hexdigest())
    if version is None and as_shipped != current:
        return list(_lacks(path, text, current))
    copy = path.with_name(f"{SETTINGS}.{version}")
    try:
        if version is not None:
            write_text(copy, text)
        write_text(path, wanted)
    except OSError as error:
        what = f"of version {version}" if version is not None else f"not for the trainings at once of {TRAINER}"
        return [f"{path} is {what} and cannot be replaced ({error.strerror}): it is used as it is"]
    if version is None:
        return [f"{path}: trainings at once are {_max_concurrent()} now, and were {trainings}"]
    return [f"{path} was of version {version} and is replaced; {copy.name} beside it is the copy"]


def _as_shipped(text: str) -> tuple[str, int]:
    """Return a file with the limits of one training, and for how many trainings it was written here.

    A file whose limits were written by somebody else is returned as it is.
    """
    if found := _SESSIONS.search(text):
        plain, trainings = with_limits(text, 1), int(found[0])
        if with_limits(plain, trainings) == text:
            return plain, trainings
    return text, 1


def _lacks(path: Path, text: str, current: str) -> Iterator[str]:
    """Yield a line on the settings that an edited file lacks, and one on limits for another number of trainings."""
    if missing := ", ".join(_missing(yaml.safe_load(current), _read(path))):
        yield f"{path} was edited, and lacks {missing}: see dagster_home/{SETTINGS}"
    found, trainings = _SESSIONS.search(text), _max_concurrent()
    if trainings is not None and (found is None or int(found[0]) != trainings):
        yield (
            f"{path} was edited, and does not let as many trainings run at once as {TRAINER}: write limit: {trainings} "
            f"of {SESSION} and max_concurrent_runs: {trainings + 2}"
        )


def _missing(expected: Mapping[str, object], found: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of the settings that are expected and missing, except for the storage."""
    for name, value in expected.items():
        inner = found.get(name)
        if inner is None and name != "storage":
            yield prefix + name
        elif isinstance(value, dict) and isinstance(inner, dict):
            yield from _missing(value, inner, f"{prefix}{name}.")


def main() -> None:
    """Check the settings, prepare the home and become the program that the arguments name, if they name one."""
    with exit_with_one_line():
        _prepare(report=True)
    if sys.argv[1:]:
        os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
