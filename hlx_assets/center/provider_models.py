"""What the answers about keys, models, costs and opinions contain. Money is in dollars, times are UTC (ISO 8601)."""

from hlx_assets.center.models import Answer


class KeyInfo(Answer):
    """A key. The first five fields are those of the studio's page; the key itself never comes back."""

    id: str
    provider: str
    name: str
    key: str
    """Its last four characters: `…abcd`."""
    models: list[str]
    """Those that the provider offers for it; empty until it was validated."""

    host: str
    """The only address that it is sent to."""
    created: str
    last_used: str | None
    validated: str | None
    """When the provider last accepted it."""
    problem: str | None
    """The provider's word, if it refused it since."""
    agreed: bool
    """Whether a person agreed to what is sent to the provider."""
    note: str | None = None
    """What else changes: with the first key, that every request needs the login."""


class Validation(Answer):
    """What a provider answered about a key."""

    valid: bool | None
    """None: it was not reached, or nobody agreed to what is sent to it."""
    reason: str
    """The provider's word, if the key is not valid; why that is not known."""
    key: KeyInfo


class ModelInfo(Answer):
    """A model that could supervise a training."""

    name: str
    title: str
    specialty: str
    tier: str
    """`FREE`, `$`, `$$`, `$$$`; `?` if its price is not known."""
    input_usd: float | None
    """Dollars for a million tokens of a question."""
    output_usd: float | None


class ProviderInfo(Answer):
    """A provider with its models."""

    name: str
    title: str
    host: str
    needs_key: bool
    usable: bool
    """Whether there is a key that was not refused, or none is needed."""
    agreed: bool
    sends: str
    """What is sent to it, in lines for a person."""
    models: list[ModelInfo]


class OpenCall(Answer):
    """A call whose cost is not known yet."""

    id: str
    time: str
    model: str
    purpose: str
    session: str
    usd: float
    alive: bool


class Costs(Answer):
    """What is spent on providers, and the caps."""

    booked_usd: float
    reserved_usd: float
    """Of calls that are not finished."""
    today_usd: float
    """Booked and reserved, as `all_usd`."""
    all_usd: float
    caps_usd: dict[str, float]
    """Of a call, a session, a day (UTC) and all days."""
    by_provider: dict[str, float]
    by_purpose: dict[str, float]
    by_session: dict[str, float]
    by_day: dict[str, float]
    open: list[OpenCall]
    closed: dict[str, str]
    """Providers that are not asked until a person looks, with the reason."""


class OpinionInfo(Answer):
    """The opinion of a supervisor on a training. No gate reads it."""

    training_id: str
    time: float
    trigger: str
    step: int
    epoch: int
    provider: str
    model: str
    outcome: str
    """`answered`, or why there is no answer."""
    verdict: str | None
    confidence: str | None
    signs: list[str]
    evidence: list[dict[str, str | int]]
    advice: str
    note: str
    cost_usd: float = 0.0
