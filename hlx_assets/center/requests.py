"""What the requests to the Training Center contain. A field that is not known is refused."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from hlx_assets.center.models import Corpus
from hlx_assets.launchers.setting import launcher_of

MAX_EPOCHS = 500


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True, use_attribute_docstrings=True, strict=False)


class SessionSettings(_Request):
    """Settings of the training beyond size and epochs, as in the launchpad; what is left out is the profile's."""

    tokens: int | None = Field(default=None, ge=1)
    """Train for about so many tokens, in whole epochs; not together with epochs."""
    lr: float | None = None
    batch_size: int | None = None
    seq_length: int | None = None
    seed: int | None = None
    replay: float | None = None
    document_weight: float | None = None
    gradient_checkpointing: bool | None = None
    accumulation: int | None = None
    memory_limit: float | None = None
    gate_every: int | None = None
    pass_on: Literal["final", "best"] | None = None
    trainer: str | None = Field(default=None, max_length=500)
    """Where it trains; left out: as `HLX_TRAINER` says."""
    retry_stopped: bool | None = None

    @field_validator("trainer")
    @classmethod
    def _known(cls, trainer: str | None) -> str | None:
        if trainer is not None:
            launcher_of(trainer)
        return trainer

    def given(self) -> dict[str, Any]:
        """Return the settings that are given."""
        return self.model_dump(exclude_none=True)


class _SessionRequest(_Request):
    provider: str | None = Field(default=None, max_length=100)
    """Who supervises; empty: nobody, a local training needs none."""
    model: str | None = Field(default=None, max_length=100)
    """Its model; left out: the provider's first."""
    key_id: str | None = Field(default=None, max_length=100)
    """A key of the provider; left out: the newest that it accepted."""
    without_provider: bool = False
    """Start without the provider if it cannot be used now."""
    target_model: str | None = Field(default=None, alias="targetModel", max_length=40)
    """`Helix100m`, `Helix10m`, `HelixTiny`, …; left out: the profile's size."""
    epochs: int | None = Field(default=None, ge=1, le=MAX_EPOCHS)
    """Trained exactly; left out: the profile decides."""
    profile: Literal["quick", "production"] | None = None
    settings: SessionSettings = SessionSettings()
    after: str | None = Field(default=None, max_length=100)
    """The id of a session: this one joins its chain, and trains only if that one passed."""
    confirmed: bool = False
    """Start although the estimate says that it takes very long on this machine."""


class StartRequest(_SessionRequest):
    """A session to start. Only the corpus is required."""

    corpus: Corpus
    """What to train: `English` is phase 1, `HLX` phase 2, `Translation` phase 3, `Curriculum` all three."""

    @model_validator(mode="after")
    def _names_a_provider(self) -> Self:
        """Refuse a model or a key without its provider: the session would start without a supervisor."""
        if not self.provider and (self.model or self.key_id):
            raise ValueError(f"{'model' if self.model else 'key_id'} is given without provider: name that too")
        return self

    # The studio's page has them in its type; they are the server's to say.
    id: Any = None
    status: Any = None
    progress: Any = None
    startTime: Any = None  # noqa: N815
    endTime: Any = None  # noqa: N815


class CloneRequest(_SessionRequest):
    """What differs in the copy of a session."""


class MoveRequest(_Request):
    """A new place in the queue: exactly one of the two."""

    priority: int | None = Field(default=None, ge=-1_000_000, le=1_000_000)
    """Of queued sessions the one with the highest priority is next; new ones have 0."""
    position: int | None = Field(default=None, ge=1, le=1_000_000)
    """1 is next. A chain moves as a whole."""


class TestRequest(_Request):
    """A text to try a checkpoint with."""

    text: str = Field(min_length=1, max_length=2_000)
    to: str = Field(default="HLXL", max_length=10)
    """HLXL, LC-R, LC-T, LC-B or English."""


class ExportRequest(_Request):
    """How to export a checkpoint."""

    format: str = Field(default="safetensors", max_length=20)
    download: bool = False
    """Answer with the files as a zip in place of writing them into the home."""


class KeyRequest(_Request):
    """A key of a provider to store."""

    provider: str = Field(max_length=100)
    """claude, openai or xai."""
    name: str = Field(max_length=200)
    key: SecretStr
    agreed: bool = False
    """A person agrees to what is sent to the provider (`sends` of `GET /api/models`)."""

    # The studio's page has them in its type; they are the server's to say.
    id: Any = None
    models: Any = None


class KeyChange(_Request):
    """A new name of a key, or another secret in its place."""

    name: str | None = Field(default=None, max_length=200)
    key: SecretStr | None = None


Dollars = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]


class BudgetRequest(_Request):
    """New caps in dollars; those that are left out stay."""

    call: Dollars | None = None
    session: Dollars | None = None
    day: Dollars | None = None
    all: Dollars | None = None
    token: SecretStr | None = None
    """The token of this server, entered again."""
