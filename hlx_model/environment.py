"""The environment variables of hlx: name, type, default, meaning and error line of each, in one model.

    Environment.read().save_seconds                    # every variable must be valid
    Environment.read("HLX_SAVE_SECONDS").save_seconds  # only this one must be

Nothing is read when a module is imported. `hlx_assets/settings.py` adds the variables that only Dagster needs.
"""

import os
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, StringConstraints, ValidationError

ProfileName = Literal["quick", "production"]
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(.+)")
_ADDRESS = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::\d{1,5})?(?:/[\w./-]*)?")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
HOST_NAME = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::\d{1,5})?")
"""A host name or address in lower case, perhaps with a port; its first group is the host alone."""
STALL_SECONDS = 300.0
"""Seconds without a step after which a training has stalled."""
MOST_QUARANTINED = 0.05
"""Share of a corpus's entries in quarantine above which nothing is trained on it.

A twentieth is a few slips of the pen. More is a document, or a reader, that is wrong.
"""

GRAPH_VARIABLES = (
    "HLX_WATCHDOG_SECONDS", "HLX_REVALIDATION_CRON", "HLX_TIMEZONE", "HLX_REVALIDATION_DEVICE", "HLX_ALERTS",
    "HLX_UI_URL", "HLX_POSTGRES_URL", "HLX_CENTER_PORT", "HLX_TRAINER", "HLX_BASELINES", "HLX_TEACHER",
    "HLX_TEACHER_JUDGE", "HLX_TEACHER_ENTRIES",
)  # fmt: skip
"""The names of the variables that `hlx_assets/settings.py` adds, and checks."""


def variable(name: str, default: object, expected: str = "", *, secret: bool = False) -> Any:
    """Return the field of one environment variable.

    Args:
        name: the variable.
        default: its value if it is missing or empty.
        expected: what its error line says after its name and value, unless a validator's `ValueError` says it.
        secret: its value is not repeated in an error line.
    """
    return Field(default, alias=name, json_schema_extra={"expected": expected, "secret": secret})


def _hosts(names: str) -> list[str]:
    """Return the hosts of a list with commas, in lower case and without ports."""
    found = [HOST_NAME.fullmatch(name.strip().lower()) for name in names.split(",") if name.strip()]
    if None in found:
        raise ValueError
    return [match[1] for match in found if match]


def _origins(addresses: str) -> list[str]:
    """Return the origins of a list with commas as browsers send them: in lower case, without a port of the scheme."""
    found = []
    for address in filter(None, map(str.strip, addresses.lower().split(","))):
        match = _ORIGIN.fullmatch(address)
        if match is None or not HOST_NAME.fullmatch(match[2]):
            raise ValueError
        found.append(address.removesuffix(_DEFAULT_PORTS.get(match[1], "")))
    return found


def _addresses(named: str) -> dict[str, str]:
    """Return the addresses of a list such as `claude=https://proxy.example.org,qwen=http://127.0.0.1:11434`."""
    found = {}
    for part in filter(None, map(str.strip, named.split(","))):
        name, _, address = part.partition("=")
        match = _ADDRESS.fullmatch(address.strip().rstrip("/"))
        if match is None or (match[1] == "http" and match[2] not in _LOOPBACK):
            raise ValueError
        found[name.strip().lower()] = match[0]
    return found


class Environment(BaseModel):
    """The variables that `hlx_model` reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: ProfileName = variable("HLX_PROFILE", "quick", "choose one of quick, production")
    """Size, corpus and schedule together: `quick` or `production`."""
    corpus: str | None = variable("HLX_CORPUS", None)
    """Paths of the corpus documents, with `:` between them, or `composed` for none. By default as the home is set."""
    entries: NonNegativeInt | None = variable(
        "HLX_ENTRIES", None, "it must be a number of entries to compose, 0 for none"
    )
    """Entries to compose; by default as the home is set, else the profile's, or 0 if there are documents."""
    eval: str | None = variable("HLX_EVAL", None)
    """Paths of evaluation documents, with `:` between them; no model is trained on them. `default` names none: then a
    model that learned composed entries is evaluated on the document of this project. By default as the home is set."""
    most_quarantined: Annotated[float, Field(ge=0, le=1)] = variable(
        "HLX_MOST_QUARANTINED", MOST_QUARANTINED, "it must be a share from 0 to 1"
    )
    """Share of the entries in quarantine above which nothing is trained on a corpus."""
    save_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = variable(
        "HLX_SAVE_SECONDS", 20.0, "it must be seconds, 0 or more"
    )
    """Seconds between two checkpoints to resume from, at least."""
    stall_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = variable(
        "HLX_STALL_SECONDS", STALL_SECONDS, "it must be seconds, a number above 0"
    )
    """Seconds without a step after which a training has stalled."""
    run_id: str | None = variable("HLX_RUN_ID", None)
    """The Dagster run of a trainer, which Dagster sets for it."""
    sites: Annotated[frozenset[str], BeforeValidator(_hosts)] = variable(
        "HLX_SITE", frozenset(), "it must be host names, such as hlx.example.org, with commas between them"
    )
    """Host names of the server besides loopback and the address that it listens on; ports are ignored."""
    api_token: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$")] | None = variable(
        "HLX_API_TOKEN", None, "it must consist of printable ASCII characters without spaces", secret=True
    )
    """A secret that each request to the server must contain."""
    behind_proxy: Literal["0", "1"] = variable("HLX_BEHIND_PROXY", "0", "it must be 1, 0 or empty")
    """`1`: a proxy that requires a login is in front of the server."""
    allowed_origins: Annotated[frozenset[str], BeforeValidator(_origins)] = variable(
        "HLX_ALLOWED_ORIGINS", frozenset(), "it must be origins, with commas between, such as http://localhost:3000"
    )
    """Origins whose pages may use the Training Center; none may use Dagster's UI."""

    provider_hosts: Annotated[dict[str, str], BeforeValidator(_addresses)] = variable(
        "HLX_PROVIDER_HOSTS", {},
        "it must be addresses, with commas between them, such as qwen=http://127.0.0.1:11434 (https beyond this "
        "machine)",
    )  # fmt: skip
    """Other addresses of providers (`docs/providers.md`), such as `claude=https://proxy.example.org`."""
    center_key_file: str | None = variable("HLX_CENTER_KEY_FILE", None)
    """A file that contains the key of the vault of provider keys; it must be yours alone (0600)."""

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of all variables, in their order."""
        return [str(field.alias) for field in cls.model_fields.values()]

    @classmethod
    def secret_names(cls) -> list[str]:
        """Return the names of the variables whose values are never shown."""
        fields = ((field.alias, field.json_schema_extra) for field in cls.model_fields.values())
        return [str(name) for name, extra in fields if isinstance(extra, dict) and extra["secret"]]

    @classmethod
    def read(cls, *names: str) -> Self:
        """Read the environment, or of it only the variables `names`. A missing or empty one has its default.

        Raises:
            ValueError: one line that names the first variable that is not valid, and what it must be.
        """
        found = {name: value for name in names or cls.names() if (value := os.environ.get(name, "").strip())}
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            field = next(field for field in cls.model_fields.values() if field.alias == name)
            extra: Any = field.json_schema_extra
            given = ":" if extra["secret"] else f" is {found[name]!r}:"
            own = str(first["ctx"]["error"]) if first["type"] == "value_error" else ""
            raise ValueError(f"{name}{given} {own or extra['expected']}") from None
