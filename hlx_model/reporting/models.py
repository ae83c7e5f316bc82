"""What stands in `report.json`, field by field: the published schema, `docs/report.schema.json`, is made from this.

`HLX_UPDATE_DOCS=1 make test ARGS=tests/reporting/test_models.py` writes it anew. Losses are in nats a token. Rates
go from 0 to 1, with 95% Wilson intervals; where there are no samples a rate is 0 and its interval from 0 to 1.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, WithJsonSchema
from typing_extensions import TypedDict

from hlx_model.language import Format

REPORT_SCHEMA = "hlx-report/2"
"""Raised by hand where a program that reads reports must change."""


def _known(tag: str) -> str:
    if tag not in list(Format):
        raise ValueError(f"a format is expected: {', '.join(Format)}")
    return tag


Number = float | Literal["nan", "inf", "-inf"]
"""A number; one that is not finite is its name."""
Share = float
Outcome = Literal["pass", "warn", "fail"]
Change = Literal["better", "same", "worse"]
FormatTag = Annotated[str, AfterValidator(_known), WithJsonSchema({"enum": list(map(str, Format)), "type": "string"})]
Interval = tuple[Share, Share]


class GateResult(TypedDict):
    """What one gate found."""

    name: str
    outcome: Outcome
    """`fail` blocks what lies downstream, `warn` does not."""
    reason: str
    """One line: the figure, what was asked, and what it means."""
    value: Number | None
    threshold: Number | None
    samples: int
    interval: Interval | None


class Rates(TypedDict):
    """How often answers are right, over a number of samples."""

    samples: int
    exact_match: Share
    """The answer is the expected text; into English, any sentence of the same value."""
    exact_match_interval: Interval
    value_match: Share
    """The parsed answer is the expected value, however spelled; into English, as `exact_match`."""
    value_match_interval: Interval
    parse_rate: Share
    """The answer is a line of the format asked for; into English, always 1."""
    parse_rate_interval: Interval


class Sample(TypedDict):
    """How much was asked at most."""

    texts: int
    """Texts of each corpus that a loss was measured on."""
    prefixes: int
    """Sentences that phase 1 was asked to complete."""
    rows: int
    """Held-out rows in each format, and in each direction."""
    conversions: int
    """Held-out values in each of the 12 pairs of formats."""
    training: int
    """Training pairs asked again."""


class Figures(TypedDict):
    """What was measured in every phase."""

    sample: Sample
    held_out_loss: Number
    training_loss: Number
    perplexity: Number
    """exp(held_out_loss)."""
    unigram_baseline: Number
    """Loss that counting symbols reaches on the held-out text."""
    bigram_baseline: Number
    """Loss that counting pairs of symbols reaches on the held-out text."""
    copy_rate: Share
    """How often the likeliest next token is the current one."""
    held_out_tokens: int
    training_tokens: int


class StandardAnswer(TypedDict):
    """The answer to one of the users' standard prompts."""

    target: FormatTag
    prompt: str
    written: str
    parses: bool


class Forgotten(TypedDict):
    """The held-out loss of an earlier phase's corpus."""

    now: Number
    then: Number
    """In that phase's own report."""


class TranslationFigures(Figures):
    """What was measured in phase 3."""

    to_hlx: dict[FormatTag, Rates]
    to_english: dict[FormatTag, Rates]
    between: dict[FormatTag, dict[FormatTag, Rates]]
    """By source format and then by target format, all 12 pairs, on the same held-out values."""
    between_formats: Rates
    all_to_hlx: Rates
    all_to_english: Rates
    training_pairs: Rates
    by_operation: dict[str, Rates]
    """English→HLX and HLX→English together, the most frequent first."""
    by_length: dict[str, Rates]
    """English→HLX and HLX→English together, by the length of the expected answer in characters."""
    held_out_values: int
    standard_prompts: list[StandardAnswer]
    earlier_phases: dict[str, Forgotten]


class Continuation(TypedDict):
    """What phase 1 wrote after the first half of a held-out sentence, or after a standard prompt."""

    prompt: str
    expected: str | None
    """How the held-out sentence goes on: one way among many. None after a standard prompt."""
    written: str
    words: int
    """Words written."""
    known: int
    """Those of them that are words of the corpus."""


class Completion(TypedDict):
    """What phase 2 wrote after the first half of a held-out line."""

    format: FormatTag
    prompt: str
    expected: str
    """How the held-out line goes on: one way among many."""
    written: str
    parses: bool


class Translation(TypedDict):
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
    """A wrong answer that is far from the right one."""

    distance: Share
    """The share of the characters of both texts that differ."""
    diff: list[tuple[Literal["equal", "insert", "delete"], str]]
    """From what was expected to what was written: what is missing is deleted, what is too much is inserted."""


class Milestone(TypedDict):
    """The gates of one epoch, as they were judged in training."""

    epoch: int
    outcome: Outcome
    gates: list[GateResult]


class CurvePoint(TypedDict):
    """One record of the training."""

    step: int
    epoch: int
    train_loss: Number | None
    held_out_loss: Number | None
    """Taken at the end of each epoch."""
    learning_rate: Number | None
    tokens_per_second: Number | None


class Changed(TypedDict):
    """One figure in the report before and in this one."""

    before: Number
    now: Number
    outcome: Change


_With = TypedDict("_With", {"with": str})


class Comparison(_With):
    """This report beside the newest other one of the same phase, the checkpoint of which is `with`."""

    outcome: Change
    """`worse` where one figure is worse; else `better` where one is better."""
    figures: dict[str, Changed]
    """A difference counts where the intervals of the rates do not overlap, or the losses differ by more than 0.05."""


class GradePart(TypedDict):
    """One of the four parts of the grade, with the points given, of how many, and the figure that they follow from."""

    name: Literal["convergence", "accuracy", "format correctness", "steady progress"]
    points: float
    of: int
    why: str


class GradeGiven(TypedDict):
    """The users' grade."""

    points: float
    """Of 100."""
    letter: Literal["A", "B", "C", "D", "F"]
    parts: list[GradePart]


class Report(TypedDict):
    """The report on one checkpoint of the HLX Brain."""

    schema: Literal["hlx-report/2"]
    outcome: Outcome
    """The worst outcome of the gates."""
    gates: list[GateResult]
    checkpoint: str
    """`<training id>/<name>`, or the name of a file of the users'."""
    weights_sha256: str
    corpora: dict[str, str]
    """Data versions of the corpora that the checkpoint was made from, of a file of the users' those that it was judged
    on, by asset."""
    gates_version: str
    phase: Literal[1, 2, 3]
    """1 English, 2 HLX, 3 translation."""
    size: str
    epoch: int | None
    """None, as `epochs` and `step`, for a file of the users', which does not say."""
    epochs: int | None
    """Asked for."""
    step: int | None
    kind: Literal["EPOCH", "BEST", "LAST", "FINAL", "STOPPED", "FOREIGN"]
    stopped: str | None
    """Why a gate or an abort condition ended the training."""
    grade: GradeGiven
    comparison: Comparison | None
    figures: Figures | TranslationFigures
    """The latter in phase 3."""
    examples: list[Continuation | Completion | Translation]
    """Of phases 1, 2 and 3."""
    worst: list[WorstTranslation]
    """The worst answers on held-out pairs, in phase 3."""
    milestones: list[Milestone]
    curve: list[CurvePoint]
