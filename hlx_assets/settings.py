"""The environment variables of the Dagster graph, beside those of `hlx_model`: all that `HLX_*` can set.

`DagsterEnvironment.check()` checks them all before anything starts.
"""

import logging
import re
from typing import Annotated, Literal
from zoneinfo import available_timezones

import apprise
import dagster as dg
from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, StringConstraints

from hlx_assets.launchers.child import Local
from hlx_assets.launchers.launcher import Launcher
from hlx_assets.launchers.setting import launcher_of
from hlx_model.environment import Environment, variable
from hlx_model.runs.liveness import INTERVAL

ALERTS, UI_URL, POSTGRES_URL = "HLX_ALERTS", "HLX_UI_URL", "HLX_POSTGRES_URL"
CENTER_PORT = "HLX_CENTER_PORT"
TRAINER = "HLX_TRAINER"


def _cron(schedule: str) -> str:
    try:
        dg.ScheduleDefinition(job_name="revalidation", cron_schedule=schedule)
    except dg.DagsterInvalidDefinitionError:
        raise ValueError from None
    return schedule


_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^@/?#:,\[\]]*)(?::\d{1,5})?"
_POSTGRES = re.compile(rf"postgresql(?:\+\w+)?://(?:[^@/?#]*@)?{_HOST}(?:,{_HOST})*/+[^/?#@]")


def _postgres(address: str) -> str:
    # What is not parsed here, such as a password with @, the driver would repeat in its errors.
    if not _POSTGRES.match(address):
        raise ValueError
    return address


def _timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError
    return name


def _models(names: str) -> tuple[str, ...]:
    """Return the models of a list with commas, each `provider/model`; whether they exist is known when one is asked."""
    found = tuple(filter(None, (" ".join(name.split()) for name in names.split(","))))
    if not all(re.fullmatch(r"[\w-]+/\S.*", name) for name in found):
        raise ValueError
    return found


_MODEL = "it must be a model, such as qwen/qwen3:8b"


def _model(name: str) -> str:
    (found,) = _models(name)
    return found


class DagsterEnvironment(Environment):
    """The variables that the graph reads, those of `hlx_model` among them."""

    watchdog_seconds: PositiveInt = variable(
        "HLX_WATCHDOG_SECONDS", int(INTERVAL), "it must be seconds, a whole number above 0"
    )
    """Seconds between two checks of the watchdog."""
    revalidation_cron: Annotated[str, AfterValidator(_cron)] = variable(
        "HLX_REVALIDATION_CRON", "0 3 * * *", "it must be a cron schedule, such as '0 3 * * *' for three at night"
    )
    """When the checkpoints are evaluated again, as a cron schedule."""
    timezone: Annotated[str, AfterValidator(_timezone)] | None = variable(
        "HLX_TIMEZONE", None, "it must be a time zone, such as Europe/Berlin"
    )
    """Time zone of that schedule; UTC if it is not set."""
    revalidation_device: Literal["cpu", "cuda"] = variable("HLX_REVALIDATION_DEVICE", "cpu", "it must be cpu or cuda")
    """Device on which the checkpoints are evaluated again: `cpu` or `cuda`."""
    alerts: Annotated[tuple[str, ...], BeforeValidator(str.split)] = variable(ALERTS, (), secret=True)
    """Addresses of Apprise that receive alerts, with spaces between them."""
    ui_url: Annotated[str, StringConstraints(pattern="^https?://")] | None = variable(
        UI_URL, None, "it must be an address, such as http://10.0.0.2:3000", secret=True
    )
    """Address of the UI, which alerts link to."""
    postgres_url: Annotated[str, AfterValidator(_postgres)] | None = variable(
        POSTGRES_URL, None,
        "it must be an address of a Postgres, such as postgresql://user:password@host:5432/database", secret=True,
    )  # fmt: skip
    """Database of Dagster's runs and events, if `dagster.yaml` is for Postgres."""
    center_port: Annotated[int, Field(ge=1, le=65_535)] = variable(
        CENTER_PORT, 5000, "it must be a port, from 1 to 65535"
    )
    """Port of the Training Center."""

    trainer: Annotated[Launcher, BeforeValidator(launcher_of)] = variable(TRAINER, Local())
    """Where trainings run: `local`, `torchrun processes=4`, `slurm partition=gpu gpus=1`, `kubernetes namespace=hlx …`
    (`docs/deployment.md`)."""

    baselines: Annotated[tuple[str, ...], BeforeValidator(_models)] = variable(
        "HLX_BASELINES", (),
        "it must be models, with commas between them, such as claude/claude-haiku-4-5,qwen/qwen3:8b",
    )  # fmt: skip
    """Models of providers that phase 3 is compared with (`docs/providers.md`); without it nobody is asked."""
    teacher: Annotated[str, AfterValidator(_model)] | None = variable("HLX_TEACHER", None, _MODEL)
    """The model that writes other English sentences for values of the corpus (`docs/providers.md`)."""
    teacher_judge: Annotated[str, AfterValidator(_model)] | None = variable("HLX_TEACHER_JUDGE", None, _MODEL)
    """The model that says whether a sentence of the teacher means the same, yes or no; without it nobody does."""
    teacher_entries: PositiveInt = variable("HLX_TEACHER_ENTRIES", 200, "it must be a number of values, above 0")
    """Values that the teacher is asked for."""

    @classmethod
    def check(cls) -> None:
        """Require that every variable is valid and that Apprise knows each address; `ValueError` names a wrong one."""
        for number, address in enumerate(cls.read().alerts, 1):
            if sender_to(address) is None:
                raise ValueError(f"{ALERTS}: {unknown_address(number)} (json://host/path)")


def sender_to(address: str) -> apprise.Apprise | None:
    """Return what sends messages to an address; None if Apprise does not know it."""
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its lines contain addresses
    sender = apprise.Apprise()
    return sender if sender.add(address) else None


def unknown_address(number: int) -> str:
    """Return what is wrong with the address of this number, the first being 1; any part of it may be a secret."""
    return f"address {number} is none that Apprise knows"
