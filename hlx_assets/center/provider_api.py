"""The routes for keys, models, costs and opinions: JSON. A browser is sent to the page."""

from fastapi import APIRouter, Request, Response

from hlx_assets.center import providers, sessions
from hlx_assets.center.api import ERRORS, TheCenter, page_at
from hlx_assets.center.provider_models import Costs, KeyInfo, OpinionInfo, ProviderInfo, Validation
from hlx_assets.center.requests import BudgetRequest, KeyChange, KeyRequest
from hlx_model.serving.guard import WITHOUT_TOKEN

router = APIRouter(responses=ERRORS, tags=["providers"])


@router.post("/api/keys/add", status_code=201)
def add_key(center: TheCenter, request: KeyRequest, connection: Request) -> KeyInfo:
    """Store a key, and ask its provider whether it accepts it. The key never comes back."""
    key = providers.add_key(center, request)
    note = f"{providers.LOCKED} {providers.FOR_PROGRAMS}"
    return key.model_copy(update={"note": note}) if connection.scope.get(WITHOUT_TOKEN) else key


@router.get("/api/keys/list", dependencies=[page_at("/center#keys-section")])
def list_keys(center: TheCenter) -> list[KeyInfo]:
    """Return the keys, the newest first; of each only the last four characters."""
    return providers.keys(center)


@router.patch("/api/keys/{key_id}")
def change_key(center: TheCenter, key_id: str, request: KeyChange) -> KeyInfo:
    """Rename a key, or store another secret in its place."""
    return providers.change_key(center, key_id, request)


@router.delete("/api/keys/{key_id}", status_code=204)
def remove_key(center: TheCenter, key_id: str) -> Response:
    """Remove a key from this home; it stays valid at its provider."""
    providers.remove_key(center, key_id)
    return Response(status_code=204)


@router.post("/api/keys/{key_id}/validate")
def validate_key(center: TheCenter, key_id: str) -> Validation:
    """Ask a provider whether it accepts a key; that costs nothing."""
    return providers.validate(center, key_id)


@router.get("/api/models", dependencies=[page_at("/center#models-section")])
def list_models(center: TheCenter) -> list[ProviderInfo]:
    """Return the providers with their models, prices and what is sent to them."""
    return providers.providers(center)


@router.post("/api/models/{provider}/agree")
def agree_to_provider(center: TheCenter, provider: str) -> ProviderInfo:
    """Keep that a person agreed to what is sent to a provider: `sends` of `GET /api/models`."""
    return providers.agree_to(center, provider)


@router.get("/api/costs", dependencies=[page_at("/center#costs-section")])
def show_costs(center: TheCenter) -> Costs:
    """Return what is spent on providers, and the caps."""
    return providers.costs(center)


@router.put("/api/budget")
def set_budget(center: TheCenter, request: BudgetRequest) -> Costs:
    """Set caps, with the token of the server entered again."""
    return providers.set_budget(center, request)


@router.get("/api/training/{session_id}/opinions")
def session_opinions(center: TheCenter, session_id: str) -> list[OpinionInfo]:
    """Return the opinions of supervisors on a session's trainings. No gate reads them."""
    return providers.opinions(center, sessions.session(center, session_id))
