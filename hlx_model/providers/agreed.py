"""What is sent to a provider, and whether a person agreed to it: asked once for each provider and address.

    if not has_agreed(files, "claude"):
        print(what_is_sent("claude"))
        agree(files, "claude")

A provider on this machine needs no agreement: what is sent there leaves it never.
"""

from hlx_model.files import utc_now, write_json
from hlx_model.json_model import JsonModel
from hlx_model.providers.catalogue import provider_named
from hlx_model.providers.files import ProviderFiles


class _Agreement(JsonModel):
    host: str
    time: str
    """UTC, ISO 8601."""


class _Agreements(JsonModel):
    providers: dict[str, _Agreement]


def what_is_sent(provider: str) -> str:
    """Return, as lines for a person, what goes to which address of a provider, and what never does.

    `ValueError` if the provider is not known.
    """
    found = provider_named(provider)
    where = f"{found.host}, this machine" if found.is_local else f"{found.host} ({found.title})"
    key = "your key of it, " if found.needs_key else ""
    return "\n".join((
        f"{found.name} is called at {where}. It gets {key}and of what you switch on:",
        "  supervision: settings, losses and gates of a training, five prompts and what the model answered",
        "  teaching:    HLX values of the training corpus and some of its sentences",
        "  judging:     a value and a sentence that a teacher wrote for it",
        "  baselines:   the grammar, eight training examples and sentences of the held-out rows and the evaluation",
        "It never gets: weights, checkpoints, whole documents or corpora, other keys, paths, host or user names.",
    ))  # fmt: skip


def has_agreed(files: ProviderFiles, provider: str) -> bool:
    """Return whether a person agreed to send to the address of a provider; one on this machine needs no agreement.

    Raises:
        ValueError: the provider is not known, or the file cannot be read; one line.
    """
    found = provider_named(provider)
    if found.is_local:
        return True
    agreement = _read(files).providers.get(found.name)
    return agreement is not None and agreement.host == found.host


def agree(files: ProviderFiles, provider: str) -> None:
    """Keep that a person agreed to send to a provider, at the address that it has now.

    Raises:
        ValueError: the provider is not known, or the file cannot be read; one line.
    """
    found = provider_named(provider)
    files.make()
    agreement = _Agreement(host=found.host, time=utc_now())
    agreements = _Agreements(providers={**_read(files).providers, found.name: agreement})
    write_json(files.agreed, agreements.to_json())


def _read(files: ProviderFiles) -> _Agreements:
    try:
        return _Agreements.read(files.agreed)
    except FileNotFoundError:
        return _Agreements(providers={})
