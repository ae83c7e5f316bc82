"""The corpus of a home: its documents, composed entries, seed and evaluation documents, remembered in `corpus.json`.

    setting = remembered(artifacts) or CorpusSetting()
    setting.changed(corpus="home.md")               # this document, and nothing composed beside it
    setting.changed(entries=5000)                   # 5,000 composed entries beside the documents as they are
    setting.changed(corpus="composed")              # no document: the profile's number of composed entries

Whatever materializes the corpus or the evaluation documents reads the setting, and remembers it when it has changed it.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import ConfigDict

from hlx_model.corpus.document import check_document
from hlx_model.corpus.documents import named_documents
from hlx_model.environment import Environment
from hlx_model.files import write_json
from hlx_model.json_model import JsonModel
from hlx_model.layout import CORPUS_SETTING, Artifacts
from hlx_model.profiles import Profile

COMPOSED, DEFAULT = "composed", "default"
"""What names no document: a corpus that is composed, the project's own evaluation document."""


class CorpusSetting(JsonModel):
    """The corpus of a home, as somebody chose it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    documents: tuple[str, ...] = ()
    """Absolute paths; none if the corpus is composed."""
    entries: int | None = None
    """Entries to compose. None: none beside documents, else the profile's number."""
    seed: int | None = None
    """Seed of the composition. None: the profile's."""
    evaluation: tuple[str, ...] = ()
    """Absolute paths of the evaluation documents; none for the project's own."""

    def changed(
        self, *, corpus: str | None = None, entries: int | None = None, seed: int | None = None,
        evaluation: str | None = None,
    ) -> Self:  # fmt: skip
        """Return the setting with the parts that are given. Whoever names documents, names all: entries and seed too.

        Args:
            corpus: paths with `:` between them, or `composed`.
            entries: to compose.
            seed: of the composition.
            evaluation: paths with `:` between them, or `default`.

        Raises:
            ValueError: `entries` is negative.
        """
        if entries is not None and entries < 0:
            raise ValueError(f"entries is {entries}: it must be a number of entries to compose, 0 for none")
        found = self
        if corpus:
            found = found.replace(documents=_absolute(corpus, COMPOSED), entries=None, seed=None)
        if evaluation:
            found = found.replace(evaluation=_absolute(evaluation, DEFAULT))
        given = {"entries": entries, "seed": seed}
        return found.replace(**{name: value for name, value in given.items() if value is not None})

    def by_environment(self) -> Self:
        """Return the setting with the parts that `HLX_CORPUS`, `HLX_ENTRIES` and `HLX_EVAL` name."""
        read = Environment.read("HLX_CORPUS", "HLX_ENTRIES", "HLX_EVAL")
        return self.changed(corpus=read.corpus, entries=read.entries, evaluation=read.eval)

    def require_usable(self) -> Self:
        """Return the setting if each of its documents can be read and has something like an entry.

        Raises:
            CorpusError: one cannot, or has none; names the file.
        """
        for path in (*self.documents, *self.evaluation):
            check_document(Path(path), name=path)
        return self

    def to_compose(self, profile: Profile) -> int:
        """Return how many entries are composed."""
        default = 0 if self.documents else profile.entries
        return default if self.entries is None else self.entries

    def __str__(self) -> str:
        composed = "composed entries" if self.entries is None else f"{self.entries:,} composed entries"
        parts = [_names(self.documents)] if self.documents else []
        if self.entries or not parts:
            parts.append(composed if self.seed is None else f"{composed} of seed {self.seed}")
        evaluation = f"; evaluated on {_names(self.evaluation)}" if self.evaluation else ""
        return f"{' and '.join(parts)}{evaluation}"


def remembered(artifacts: Artifacts) -> CorpusSetting | None:
    """Return the setting of a home; None if none was ever remembered.

    Raises:
        ValueError: the file is damaged; names it.
    """
    path = artifacts.root / CORPUS_SETTING
    return CorpusSetting.read(path) if path.exists() else None


def remember(artifacts: Artifacts, setting: CorpusSetting) -> None:
    """Write the setting of a home, from which every later run takes it."""
    write_json(artifacts.root / CORPUS_SETTING, setting.to_json())


def evaluation_of(artifacts: Artifacts | None) -> list[Path]:
    """Return the evaluation documents that `HLX_EVAL` names, else those of the home's setting, if it has any."""
    setting = (remembered(artifacts) if artifacts else None) or CorpusSetting()
    return [Path(path) for path in setting.by_environment().evaluation]


def _absolute(named: str, none: str) -> tuple[str, ...]:
    paths = [] if named == none else named_documents(named)
    return tuple(os.path.abspath(path) for path in paths)  # noqa: PTH100 (without `..`, links stay)


def _names(paths: Sequence[str]) -> str:
    """Return the names of files; their paths if two of them have the same name."""
    names = [Path(path).name for path in paths]
    return ", ".join(names if len(set(names)) == len(names) else paths)
