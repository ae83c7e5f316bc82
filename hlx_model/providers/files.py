"""Where a home keeps what belongs to providers: `DAGSTER_HOME/providers`, a folder of mode 0700.

The key that opens the vault is not there (`master_key.py`).
"""

from dataclasses import dataclass
from pathlib import Path

from hlx_model.layout import default_home


@dataclass(frozen=True)
class ProviderFiles:
    """The files of one home."""

    root: Path

    @classmethod
    def of_home(cls, home: Path | None = None) -> "ProviderFiles":
        """Return those of a home, by default of `$DAGSTER_HOME` or `dagster_home` in the current directory."""
        return cls((home or default_home()) / "providers")

    @property
    def keys(self) -> Path:
        """The vault."""
        return self.root / "keys.json"

    @property
    def ledger(self) -> Path:
        """The SQLite database of the ledger."""
        return self.root / "ledger.sqlite"

    @property
    def prices(self) -> Path:
        """Prices that a person gave, for models that the price list lacks."""
        return self.root / "prices.json"

    @property
    def agreed(self) -> Path:
        """The providers that a person agreed to send to."""
        return self.root / "agreed.json"

    @property
    def replies(self) -> Path:
        """The folder of the kept answers, by the digest of their questions."""
        return self.root / "replies"

    def make(self) -> Path:
        """Make the folder, readable by its owner alone, and return it."""
        self.root.parent.mkdir(parents=True, exist_ok=True)
        self.root.mkdir(mode=0o700, exist_ok=True)
        return self.root
