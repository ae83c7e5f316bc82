"""Whether a corpus has enough rows of everything: of each split, format, direction and section."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from hlx_model.corpus.prompts import ENGLISH
from hlx_model.corpus.split import Split
from hlx_model.language import Format

FEWEST = 1
"""Rows to train on and to validate on that training cannot do without."""
WANTED_HELD_OUT = 30
"""Held-out rows below which a rate says little: 30 answers, all right, still mean 89% at the lower end of
Wilson's 95% interval; the gates that ask for generalization warn below as many held-out values."""


@dataclass(frozen=True)
class Count:
    """How many rows of one kind one split has."""

    of: str
    """What is counted: `all`, `format`, `direction` or `section`."""
    name: str
    """Which of them: `LC-R`, `English to LC-R`, a section's heading."""
    split: str
    rows: int

    @property
    def needed(self) -> int:
        """Rows below which nothing is trained."""
        return FEWEST if self.of != "section" and self.split != Split.TEST else 0

    @property
    def wanted(self) -> int:
        """Rows below which a check warns."""
        if self.split == Split.TRAIN:
            return FEWEST
        return FEWEST if self.of == "section" else WANTED_HELD_OUT


def counts(rows: Iterable[pa.RecordBatch]) -> list[Count]:
    """What a corpus has of each kind, zeros included; works on the examples and on what is derived from them."""
    found: Counter[tuple[str, str, str]] = Counter()
    kinds: dict[tuple[str, str], None] = {("all", "rows"): None}
    for batch in rows:
        names = batch.schema.names
        if "format" in names:
            kinds |= {("format", str(format)): None for format in Format}
        if "target" in names:
            for format in Format:
                kinds |= {("direction", _direction(*pair)): None for pair in ((ENGLISH, format), (format, ENGLISH))}
        wanted = [name for name in ("split", "section", "format", "target", "source") if name in names]
        table = pa.Table.from_batches([batch]).select(wanted).group_by(wanted).aggregate([([], "count_all")])
        for row in table.to_pylist():
            of = [("all", "rows"), ("section", row["section"] or "(none)")]
            if "format" in row:
                of.append(("format", row["format"]))
            if "target" in row:
                of.append(("direction", _direction(row["source"], row["target"])))
            for kind in of:
                kinds.setdefault(kind)
                found[(*kind, row["split"])] += row["count_all"]
    order = ["all", "format", "direction", "section"]
    return [
        Count(of, name, split, found[of, name, split])
        for of, name in sorted(kinds, key=lambda kind: order.index(kind[0]))
        for split in Split
    ]


def _direction(source: str, target: str) -> str:
    """The twelve conversions between formats are one direction: each alone has a twelfth of their rows."""
    return f"{source} to {target}" if ENGLISH in (source, target) else "format to format"
