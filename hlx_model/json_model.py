"""JSON documents that hlx writes and reads: one pydantic model is the code, the reader and the schema of each.

    class Tick(JsonModel):
        time: float

    Tick.read(path)                       # ValueError names the file, the field and what is wrong
    write_json(path, tick.to_json())

A text that becomes a path has the type `PathComponent` or `RelativePath`: it leads nowhere else. A renamed
field keeps its key in the file by an alias. Digests are taken of the canonical JSON of these keys.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, WithJsonSchema

from hlx_model.files import named_specials, read_json

SPECIALS = ("nan", "inf", "-inf")
"""The names of the numbers that JSON does not have."""


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number is expected")
    return float(value) if isinstance(value, str) and value in SPECIALS else value


_NUMBER_SCHEMA = {"anyOf": [{"type": "number"}, {"enum": list(SPECIALS), "type": "string"}]}
Number = Annotated[int | float, BeforeValidator(_number), WithJsonSchema(_NUMBER_SCHEMA)]
"""A number. One that is not finite is written as its name. A whole number stays whole: digests depend on it."""

Float = Annotated[float, BeforeValidator(_number), WithJsonSchema(_NUMBER_SCHEMA)]
"""A number that is always a float, for documents of which no digest is taken."""


def path_component(name: str) -> str:
    """Return the name of a file or folder; `ValueError` if it would lead to another folder than its own."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"invalid: the name {name[:100]!r} leads outside")
    return name


def relative_path(path: str) -> str:
    """Return a relative path; `ValueError` if it would lead out of the folder that it is relative to."""
    for part in path.split("/"):
        path_component(part)
    return path


PathComponent = Annotated[str, AfterValidator(path_component)]
"""A text that becomes the name of a file or folder."""

RelativePath = Annotated[str, AfterValidator(relative_path)]
"""A text that becomes a path below a folder."""


def first_error(error: ValidationError) -> str:
    """Return the first thing that is wrong, as one line that names its field."""
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"])) or "the document"
    said = first["msg"].removeprefix("Value error, ")
    return " ".join(f"{field}: {said}".split())


class JsonModel(BaseModel):
    """A JSON document or a part of one."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    def to_json(self) -> dict[str, Any]:
        """Return the document as it is written: by its keys, numbers that are not finite by their names."""
        content: dict[str, Any] = named_specials(self.model_dump(by_alias=True))
        return content

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other values of some fields, which are not checked."""
        return self.model_copy(update=changes)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned.

        Raises:
            ValueError: one line that names the field that is missing, unknown or of the wrong type.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise ValueError(first_error(error)) from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file.

        Raises:
            ValueError: the file is not JSON or not such a document; one line that names file and field.
            OSError: it cannot be read.
        """
        try:
            return cls.from_json(read_json(path))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not JSON ({error})") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
