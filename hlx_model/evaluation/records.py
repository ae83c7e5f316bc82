"""What `report.json` contains of the measurements: rates, and examples of what the model wrote."""

from typing import Literal

from hlx_model.json_model import JsonModel

DiffPiece = tuple[Literal["equal", "insert", "delete"], str]


class Rates(JsonModel):
    """How often answers are right; 0, with an interval from 0 to 1, without samples."""

    samples: int
    exact_match: float
    exact_match_interval: tuple[float, float]
    value_match: float
    value_match_interval: tuple[float, float]
    parse_rate: float
    parse_rate_interval: tuple[float, float]


class Continuation(JsonModel):
    """What phase 1 wrote after the first half of a held-out sentence, or after a standard prompt."""

    prompt: str
    expected: str | None
    """How the held-out sentence continues: one of many ways. None after a standard prompt."""
    written: str
    words: int
    """Written words."""
    known: int
    """Those of them that are words of the corpus."""


class Completion(JsonModel):
    """What phase 2 wrote after the first half of a held-out line."""

    format: str
    prompt: str
    expected: str
    """How the held-out line continues: one of many ways."""
    written: str
    parses: bool


class Translation(JsonModel):
    """What phase 3 answered."""

    target: str
    source: str
    prompt: str
    expected: str
    written: str
    exact: bool
    parses: bool
    same_value: bool


class WorstTranslation(Translation):
    """A wrong answer that differs much from the expected one."""

    distance: float
    diff: list[DiffPiece]
    """From the expected answer to the written one."""


class StandardAnswer(JsonModel):
    """The answer to one of the standard prompts."""

    target: str
    prompt: str
    written: str
    parses: bool
