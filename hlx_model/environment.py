"""The environment variables of hlx: name, type, default, meaning and error line of each, in one model.

    Environment.read().save_seconds                    # every variable must be valid
    Environment.read("HLX_SAVE_SECONDS").save_seconds  # only this one must be

Nothing is read when a module is imported. `hlx_assets/settings.py` adds the variables that only Dagster needs.
"""

import os
import re
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

ProfileName = Literal["quick", "production"]
HOST_NAME = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::\d{1,5})?")
"""A host name or address in lower case, perhaps with a port; its first group is the host alone."""
STALL_SECONDS = 300.0
"""Seconds without a step after which a training has stalled."""
MOST_QUARANTINED = 0.05
"""Share of a corpus's entries in quarantine above which nothing is trained on it.

A twentieth is a few slips of the pen. More is a document, or a reader, that is wrong.
"""

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def variable(name: str, default: object, meaning: str, expected: str, *, shown: str = "", secret: bool = False) -> Any:
    """Return the field of one environment variable.

    Args:
        name: the variable.
        default: its value if it is missing or empty.
        meaning: what it sets, for the documents.
        expected: what its error line says after its name and value, unless a validator's `ValueError` says it.
        shown: the default as the documents show it, if that differs.
        secret: its value is not repeated in an error line.
    """
    return Field(
        default,
        alias=name,
        description=meaning,
        json_schema_extra={"expected": expected, "shown": shown, "secret": secret},
    )


def _hosts(names: object) -> object:
    """Return the hosts of a list with commas, in lower case and without ports."""
    if not isinstance(names, str):
        return names
    found = [HOST_NAME.fullmatch(name.strip().lower()) for name in names.split(",") if name.strip()]
    if None in found:
        raise ValueError
    return [match[1] for match in found if match]


class Environment(BaseModel):
    """The variables that `hlx_model` reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: ProfileName = variable(
        "HLX_PROFILE", "quick", "Size, corpus and schedule together: `quick` or `production`.",
        "choose one of quick, production",
    )  # fmt: skip
    corpus: str | None = variable(
        "HLX_CORPUS", None, "Paths of the corpus documents, with `:` between them.", "it must be paths",
        shown="a composed corpus",
    )  # fmt: skip
    entries: Annotated[int, Field(ge=0)] | None = variable(
        "HLX_ENTRIES", None, "Entries to compose, beside the documents if there are any; 0 for none.",
        "it must be a number of entries to compose, 0 for none",
        shown="the profile's; 0 beside documents",
    )  # fmt: skip
    most_quarantined: Annotated[float, Field(ge=0, le=1)] = variable(
        "HLX_MOST_QUARANTINED", MOST_QUARANTINED,
        "Share of the entries in quarantine above which nothing is trained on a corpus.",
        "it must be a share from 0 to 1",
    )  # fmt: skip
    save_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = variable(
        "HLX_SAVE_SECONDS", 20.0, "Seconds between two checkpoints to resume from, at least.",
        "it must be seconds, 0 or more",
    )  # fmt: skip
    stall_seconds: Seconds = variable(
        "HLX_STALL_SECONDS", STALL_SECONDS, "Seconds without a step after which a training has stalled.",
        "it must be seconds, a number above 0",
    )  # fmt: skip
    run_id: str | None = variable(
        "HLX_RUN_ID", None, "The Dagster run of a trainer, which Dagster sets for it.", "it must be a run's id",
        shown="none",
    )  # fmt: skip
    sites: Annotated[frozenset[str], BeforeValidator(_hosts)] = variable(
        "HLX_SITE", frozenset(),
        "Host names of the server besides loopback and the address that it listens on; ports are ignored.",
        "it must be host names, such as hlx.example.org, with commas between them",
        shown="none",
    )  # fmt: skip
    api_token: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$")] | None = variable(
        "HLX_API_TOKEN", None, "A secret that each request to the server must carry.",
        "it must consist of printable ASCII characters without spaces",
        shown="none", secret=True,
    )  # fmt: skip
    behind_proxy: Literal["0", "1"] = variable(
        "HLX_BEHIND_PROXY", "0", "`1`: a proxy with a login stands before the server.", "it must be 1, 0 or empty"
    )

    @classmethod
    def read(cls, *names: str) -> Self:
        """Read the environment, or of it only the variables `names`. A missing or empty one has its default.

        Raises:
            ValueError: one line that names the first variable that is not valid, and what it must be.
        """
        known = names or [str(field.alias) for field in cls.model_fields.values()]
        found = {name: value for name in known if (value := os.environ.get(name, "").strip())}
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


class Variable(NamedTuple):
    """An environment variable as the documents show it."""

    name: str
    default: str
    meaning: str


def variables(model: type[Environment] = Environment) -> list[Variable]:
    """Return the variables of a model in their order, for the documents."""
    found = []
    for field in model.model_fields.values():
        extra: Any = field.json_schema_extra
        default = f"{field.default:g}" if isinstance(field.default, float) else field.default
        found.append(Variable(str(field.alias), extra["shown"] or f"`{default}`", field.description or ""))
    return found
