"""Two values in each format, and the results of the text detectors on what a model wrote."""

from types import SimpleNamespace
from typing import cast

from hlx_model.evaluation.detectors import Outputs
from hlx_model.evaluation.gates import GATES
from hlx_model.evaluation.measurements import Measurements
from hlx_model.verdicts import GateResult

SEARCH = {
    "HLXL": '{1000: {@0: "search", @1: &h_documents}}',
    "LC-R": '🜊1000🜁0 "search"🜁1 ⟁documents🜂',
    "LC-T": '{C:1000,0="search",1=@documents}',
    "LC-B": '[1000|0:"search"|1:&documents]',
}
COUNT = {
    "HLXL": '{1000: {@0: "count", @1: &h_users}}',
    "LC-R": '🜊1000🜁0 "count"🜁1 ⟁users🜂',
    "LC-T": '{C:1000,0="count",1=@users}',
    "LC-B": '[1000|0:"count"|1:&users]',
}


def by_name(gates: list[GateResult]) -> dict[str, GateResult]:
    return {gate.name: gate for gate in gates}


def broken(outputs: Outputs) -> dict[str, GateResult]:
    """Return the gates of the text detectors."""
    measured = cast(Measurements, SimpleNamespace(outputs=outputs))
    return by_name([GATES[name].check(measured) for name in ("collapse", "scrambled", "parroting")])
