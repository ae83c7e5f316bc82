"""What the environment sets: read here before anything is started, and refused in one line."""

import os
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import apprise
from dagster._utils.schedules import is_valid_cron_schedule

from hlx_model.corpus.rules import max_quarantined_share
from hlx_model.environment import SAVE_SECONDS, seconds
from hlx_model.monitoring.snapshots import limits
from hlx_model.profiles import entries_to_compose, profile
from hlx_model.runs.liveness import INTERVAL
from hlx_model.serving.guard import GuardSettings

WATCHDOG_SECONDS = "HLX_WATCHDOG_SECONDS"
CRON = "HLX_REVALIDATION_CRON"
TIMEZONE = "HLX_TIMEZONE"
DEVICE = "HLX_REVALIDATION_DEVICE"
ALERTS = "HLX_ALERTS"
UI_URL = "HLX_UI_URL"


def check() -> None:
    """Read them all; `ValueError` that names the first that is wrong."""
    for read in (
        watchdog_seconds,
        revalidation_cron,
        timezone,
        revalidation_device,
        limits,
        profile,
        max_quarantined_share,
    ):
        read()
    seconds(SAVE_SECONDS, 0.0, zero=True)
    GuardSettings.from_environment()
    entries_to_compose(None, default=0)
    if (ui := os.environ.get(UI_URL)) and not ui.startswith(("http://", "https://")):
        raise ValueError(f"{UI_URL} is {ui!r}: it must be an address, such as http://10.0.0.2:3000")
    for address in alert_addresses():
        if not apprise.Apprise().add(address):
            # The rest of an address may hold passwords.
            raise ValueError(f"{ALERTS}: {service(address)} is no address that Apprise knows, such as json://host/path")


def watchdog_seconds() -> int:
    """Seconds between two looks; whole ones, as Dagster counts a sensor's."""
    value = seconds(WATCHDOG_SECONDS, INTERVAL)
    if value != int(value):
        raise ValueError(f"{WATCHDOG_SECONDS} is {value}: it must be whole seconds")
    return int(value)


def revalidation_cron() -> str:
    """When the checkpoints are judged again."""
    cron = os.environ.get(CRON) or "0 3 * * *"
    if not is_valid_cron_schedule(cron):
        raise ValueError(f"{CRON} is {cron!r}: it must be a cron schedule, such as '0 3 * * *' for three at night")
    return cron


def timezone() -> str | None:
    """The time zone of that schedule; Dagster's is UTC."""
    name = os.environ.get(TIMEZONE) or None
    try:
        if name:
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{TIMEZONE} is {name!r}: it must be a time zone, such as Europe/Berlin") from None
    return name


def revalidation_device() -> str:
    """The device of the re-validation: a GPU is for the training that may be at work."""
    device = os.environ.get(DEVICE) or "cpu"
    if device not in ("cpu", "cuda"):
        raise ValueError(f"{DEVICE} is {device!r}: it must be cpu or cuda")
    return device


def alert_addresses() -> list[str]:
    """Whom to tell of trouble: Apprise's addresses."""
    return os.environ.get(ALERTS, "").split()


def service(address: str) -> str:
    """An address without what it holds of secrets."""
    return f"{address.partition('://')[0]}://…"
