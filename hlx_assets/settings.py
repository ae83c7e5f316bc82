"""The environment variables of the Dagster graph, beside those of `hlx_model`: all that `HLX_*` can set.

`DagsterEnvironment.check()` checks them all before anything starts. `table` is the table of the documents.
"""

from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import apprise
import dagster as dg
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from hlx_model.environment import Environment, variable, variables
from hlx_model.runs.liveness import INTERVAL

ALERTS, UI_URL, POSTGRES_URL = "HLX_ALERTS", "HLX_UI_URL", "HLX_POSTGRES_URL"


def _cron(schedule: str) -> str:
    try:
        dg.ScheduleDefinition(job_name="revalidation", cron_schedule=schedule)
    except dg.DagsterInvalidDefinitionError:
        raise ValueError from None
    return schedule


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise ValueError from None
    return name


def _words(text: object) -> object:
    return text.split() if isinstance(text, str) else text


def _postgres_url(url: str) -> str:
    scheme, *_ = urlsplit(url)
    if scheme.partition("+")[0] != "postgresql" or not urlsplit(url).path.strip("/"):
        raise ValueError
    return url


class DagsterEnvironment(Environment):
    """The variables that the graph reads, those of `hlx_model` among them."""

    watchdog_seconds: Annotated[int, Field(gt=0)] = variable(
        "HLX_WATCHDOG_SECONDS", int(INTERVAL), "Seconds between two checks of the watchdog.",
        "it must be seconds, a whole number above 0",
    )  # fmt: skip
    revalidation_cron: Annotated[str, AfterValidator(_cron)] = variable(
        "HLX_REVALIDATION_CRON", "0 3 * * *", "When the checkpoints are judged again, as a cron schedule.",
        "it must be a cron schedule, such as '0 3 * * *' for three at night",
    )  # fmt: skip
    timezone: Annotated[str, AfterValidator(_timezone)] | None = variable(
        "HLX_TIMEZONE", None, "Time zone of that schedule.", "it must be a time zone, such as Europe/Berlin",
        shown="`UTC`",
    )  # fmt: skip
    revalidation_device: Literal["cpu", "cuda"] = variable(
        "HLX_REVALIDATION_DEVICE", "cpu", "Device on which the checkpoints are judged again: `cpu` or `cuda`.",
        "it must be cpu or cuda",
    )  # fmt: skip
    alerts: Annotated[tuple[str, ...], BeforeValidator(_words)] = variable(
        ALERTS, (), "Addresses of Apprise that receive alerts, with spaces between them.",
        "it must be addresses, such as json://host/path",
        shown="none", secret=True,
    )  # fmt: skip
    ui_url: Annotated[str, StringConstraints(pattern="^https?://")] | None = variable(
        UI_URL, None, "Address of the UI, which alerts link to.",
        "it must be an address, such as http://10.0.0.2:3000",
        shown="none",
    )  # fmt: skip
    postgres_url: Annotated[str, AfterValidator(_postgres_url)] | None = variable(
        POSTGRES_URL, None, "Database of Dagster's runs and events, if `dagster.yaml` is for Postgres.",
        "it must be an address of a Postgres, such as postgresql://user:password@host:5432/database",
        shown="none: SQLite", secret=True,
    )  # fmt: skip

    @classmethod
    def check(cls) -> None:
        """Require that every variable is valid and that Apprise knows each address; `ValueError` names a wrong one."""
        for address in cls.read().alerts:
            if not apprise.Apprise().add(address):
                raise ValueError(
                    f"{ALERTS}: {service(address)} is no address that Apprise knows, such as json://host/path"
                )


def service(address: str) -> str:
    """Return the beginning of an address: the rest may contain passwords."""
    return f"{address.partition('://')[0]}://…"


def table() -> str:
    """Return the variables as a Markdown table: name, default, meaning."""
    rows = [f"| `{name}` | {default} | {meaning} |" for name, default, meaning in variables(DagsterEnvironment)]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows, ""])
