"""The models of `report.json`: its reader, and the source of the published schema, `docs/report.schema.json`.

`HLX_UPDATE_DOCS=1 make test ARGS=tests/reporting/test_models.py` writes the schema. Losses are in nats per token. Rates
go from 0 to 1 and have 95% Wilson intervals. Without samples a rate is 0 and its interval goes from 0 to 1.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field

from hlx_model.json_model import JsonModel, Number
from hlx_model.language import Format
from hlx_model.phases import PHASES, require_phase
from hlx_model.verdicts import Fitness, GateResult, Milestone, Outcome

REPORT_SCHEMA = "hlx-report/2"
"""Raise it by hand when a program that reads reports must change."""

Share = float
Change = Literal["better", "same", "worse"]
Interval = tuple[Share, Share]
PartName = Literal["evaluation", "convergence", "accuracy", "format correctness", "steady progress"]
Letter = Literal["A", "B", "C", "D", "F"]


class _Part(JsonModel):
    """A part of a report: its docstrings are the descriptions in the published schema."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Rates(_Part):
    """How often answers are right, over a number of samples."""

    samples: int
    exact_match: Share
    """The answer is the expected text. Into English: any sentence of the same value."""
    exact_match_interval: Interval
    value_match: Share
    """The parsed answer is the expected value, however it is spelled. Into English: as `exact_match`."""
    value_match_interval: Interval
    parse_rate: Share
    """The answer is a line of the target format. Into English: always 1."""
    parse_rate_interval: Interval


class SampleSizes(_Part):
    """The largest number of samples of each kind."""

    texts: int
    """Texts of each corpus that a loss was measured on."""
    prefixes: int
    """Sentences that phase 1 completed."""
    rows: int
    """Test rows in each format, and in each direction."""
    conversions: int
    """Test values in each pair of formats."""
    training: int
    """Training pairs that were translated again."""


class Figures(_Part):
    """What is measured in every phase."""

    sample: SampleSizes
    held_out_loss: Number
    """Loss on test text. A corpus of which a single value is held out has no test split: then all figures are of
    validation."""
    training_loss: Number
    perplexity: Number
    """exp(held_out_loss)."""
    unigram_baseline: Number
    """Loss that counting symbols reaches on the test text."""
    bigram_baseline: Number
    """Loss that counting pairs of symbols reaches on the test text."""
    copy_rate: Share
    """How often the likeliest next token is the current one."""
    held_out_tokens: int
    training_tokens: int

    def numbers(self) -> dict[str, int | float]:
        """Return the figures that are one number each, by their keys."""
        return {name: value for name, value in self if isinstance(value, int | float)}


class StandardAnswer(_Part):
    """The answer to one of the standard prompts."""

    target: Format
    prompt: str
    written: str
    parses: bool
    same_value: bool | None = None
    """It is a value of the prompt. None if no value is known of it."""

    @property
    def right(self) -> bool:
        """Whether it is what is required: the prompt's value, or a line that parses if no value is known."""
        return self.parses if self.same_value is None else self.same_value


class RetentionMetrics(_Part):
    """The loss on the corpus of an earlier phase: of test text; of training text if it can only be learned by heart."""

    now: Number
    then: Number
    """In the report of that phase."""


class SourceRates(_Part):
    """What is right of one source: composed entries, a document of the corpus, or the evaluation."""

    kind: Literal["composed", "document", "evaluation"]
    name: str
    """The name of the document; of the evaluation, all its documents."""
    to_hlx: Rates
    """English→HLX, on test rows; of the evaluation, on sentences that are not in training."""
    to_english: Rates
    """HLX→English, on the same."""
    trained_to_hlx: Rates | None
    """English→HLX, on rows of a document that the model was trained on. None for other sources."""


class TranslationFigures(Figures):
    """What is measured in phase 3."""

    to_hlx: dict[Format, Rates]
    to_english: dict[Format, Rates]
    between: dict[Format, dict[Format, Rates]]
    """By source format and then by target format: all pairs, on the same test values."""
    between_formats: Rates
    all_to_hlx: Rates
    all_to_english: Rates
    training_pairs: Rates
    by_operation: dict[str, Rates]
    """English→HLX and HLX→English together, the most frequent operation first."""
    by_length: dict[str, Rates]
    """English→HLX and HLX→English together, by the length of the expected answer in characters."""
    by_source: list[SourceRates] = Field(default_factory=list)
    """Composed entries, each document, and the evaluation; empty in a report of an earlier version."""
    held_out_values: int
    standard_prompts: list[StandardAnswer]
    earlier_phases: dict[str, RetentionMetrics]


Novelty = Literal["seen sentence", "seen value", "unseen"]
"""What of an evaluation's sentence is in training too: the sentence, one of its right values only, or neither."""


class Continuation(_Part):
    """What phase 1 wrote after the first half of a sentence, or after a standard prompt.

    Sentences are test sentences, or training sentences if the corpus can only be learned by heart.
    """

    prompt: str
    expected: str | None
    """The rest of the sentence: one way among many. None after a standard prompt."""
    written: str
    words: int
    """Words written."""
    known: int
    """Those of them that are words of the corpus."""


class Completion(_Part):
    """What phase 2 wrote after the first half of a line, of test or of training as the sentences of phase 1."""

    format: Format
    prompt: str
    expected: str
    """The rest of the line: one way among many."""
    written: str
    parses: bool


class Translation(_Part):
    """What phase 3 answered."""

    target: str
    source: str
    prompt: str
    expected: str
    written: str
    exact: bool
    """The text is the expected one. Into English: any sentence of the same value."""
    parses: bool
    """It is a line of the target format. Into English: always true."""
    same_value: bool
    """The parsed value is the expected one, however it is spelled. Into English: as `exact`."""

    @property
    def given(self) -> str:
        """What was to be translated: the prompt without its tag and arrow."""
        return self.prompt.removeprefix(f"[{self.target}] ").removesuffix(" → ")


class EvaluationFigures(_Part):
    """What is right on evaluation documents, which no model is trained on: English→HLX, where not said otherwise."""

    data_version: str
    """SHA-256 of the sentences and what is right."""
    documents: list[str]
    quarantined: int
    """Entries with a defect, which are left out."""
    sentences: int
    """Sentences that were translated, each into every format."""
    all_to_hlx: Rates
    """On sentences that are not in training, as all other rates but `by_novelty`."""
    all_to_english: Rates
    """HLXL→English: a sentence of the value is right, and one that the composer's grammar reads back as the value."""
    to_hlx: dict[Format, Rates]
    by_novelty: dict[Novelty, Rates]
    by_document: dict[str, Rates]
    by_section: dict[str, Rates]
    chrf_to_english: Number | None
    """chrF of the sentences written for the values, 0 to 100: how similar they are to those of the documents. None if
    it was not computed."""
    wrong: list[Translation]
    """Examples of wrong answers."""


class WorstTranslation(Translation):
    """A wrong answer that is far from the right one."""

    distance: Share
    """The share of the characters of both texts that differ."""
    diff: list[tuple[Literal["equal", "insert", "delete"], str]]
    """From the expected to the written text: what is missing is deleted, what is too much is inserted."""


Example = Continuation | Completion | Translation


class CurvePoint(_Part):
    """One record of the training."""

    step: int
    epoch: int
    train_loss: Number | None
    held_out_loss: Number | None
    """Loss on the validation split at the end of each epoch. None within one."""
    learning_rate: Number | None
    tokens_per_second: Number | None


class BestEpoch(_Part):
    """The epoch with the lowest validation loss in training, up to the checkpoint."""

    epoch: int
    held_out_loss: Number
    checkpoint: str | None
    """The name of its BEST checkpoint. None if that does not exist any more."""


class Changed(_Part):
    """One figure in the report before and in this one."""

    before: Number
    now: Number
    outcome: Change


class Comparison(_Part):
    """This report beside the newest other one of the same phase."""

    other: str = Field(validation_alias="with", serialization_alias="with")
    """The checkpoint of the other report."""
    outcome: Change
    """`worse` if one figure is worse; else `better` if one is better."""
    figures: dict[str, Changed]
    """Figures differ if the intervals of the rates do not overlap, or the losses differ by more than 0.05."""


class GradePart(_Part):
    """One of the parts of the grade, with its points and the figure that they follow from."""

    name: PartName
    points: float
    of: int
    """The points that this part gives at most."""
    why: str


class GradeGiven(_Part):
    """The grade."""

    points: float
    """Of 100."""
    letter: Letter | None
    """None if nothing was held out."""
    capped: str | None = None
    """Why the letter is not the one of the points; None if it is."""
    parts: list[GradePart]


def _known_phase(number: int) -> int:
    return require_phase(number).number


class Report(_Part):
    """The report on one checkpoint of the HLX Brain."""

    version: Literal["hlx-report/2"] = Field(validation_alias="schema", serialization_alias="schema")
    outcome: Outcome
    """The worst outcome of the gates."""
    gates: list[GateResult]
    checkpoint: str
    """`<training id>/<name>`, or the name of a `.pt` file."""
    weights_sha256: str
    corpora: dict[str, str]
    """Data versions by asset: of the corpora that the checkpoint was made from; for a `.pt` file, of the corpora that
    it was evaluated on."""
    gates_version: str
    fitness: Fitness | None = None
    """What was required. None in a report of gates before version 4."""
    phase: Annotated[int, AfterValidator(_known_phase), Field(json_schema_extra={"enum": list(PHASES)})]
    """1 English, 2 HLX, 3 translation."""
    size: str
    epoch: int | None
    """None, as `epochs` and `step`, for a `.pt` file, which does not record it."""
    epochs: int | None
    """The number of epochs that the training was to have."""
    step: int | None
    kind: Literal["EPOCH", "BEST", "LAST", "FINAL", "STOPPED", "FOREIGN"]
    stopped: str | None
    """Why a gate or an abort condition ended the training."""
    grade: GradeGiven
    comparison: Comparison | None
    evaluation: EvaluationFigures | None = None
    """None if there was no evaluation document, or the model does not translate."""
    evaluation_note: str | None = None
    """Why a model that translates was not evaluated, or not on the newest documents."""
    figures: Figures | TranslationFigures
    """`TranslationFigures` in phase 3."""
    examples: list[Example]
    """In phase 1, 2 and 3 respectively."""
    worst: list[WorstTranslation]
    """The worst answers on test pairs, in phase 3."""
    milestones: list[Milestone]
    curve: list[CurvePoint]
    best: BestEpoch | None = None
    """None if it is not recorded, and in a report of an earlier version."""
    pass_on: Literal["best"] | None = None
    """`best` if the training passes this checkpoint on as its best; else None."""

    @property
    def translation(self) -> TranslationFigures | None:
        """The figures, if they are those of phase 3."""
        return self.figures if isinstance(self.figures, TranslationFigures) else None

    @classmethod
    def read_current(cls, path: Path) -> Self | None:
        """Read a report. Return None if another version of this program wrote it, by another schema.

        Raises:
            ValueError: the file is damaged; one line that names the file and the field.
            OSError: it cannot be read.
        """
        return cls.read(path) if _AnyReport.read(path).version == REPORT_SCHEMA else None


class _AnyReport(JsonModel):
    """What reports of all schemas have."""

    model_config = ConfigDict(extra="ignore")

    version: object = Field(default=None, validation_alias="schema")
