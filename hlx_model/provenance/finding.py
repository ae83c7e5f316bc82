"""What was found of one link of a lineage."""

from dataclasses import dataclass
from typing import Literal

LinkStatus = Literal["ok", "broken", "unchecked"]


@dataclass(frozen=True)
class LinkFinding:
    """What was found of one link."""

    link: str
    """Of what and to what: `phase1_FINAL_epoch1: model.safetensors`."""
    outcome: LinkStatus
    reason: str

    def to_json(self) -> dict[str, str]:
        """As JSON."""
        return {"link": self.link, "outcome": self.outcome, "reason": self.reason}
