"""A training session: a Dagster run with these tags. Nothing else keeps its state.

The Training Center (`hlx_assets/center/`) makes such runs; whatever executes or shows them reads the tags here.
"""

SESSION = "hlx/session"
"""The corpus of a session, `English`, `HLX`, `Translation` or `Curriculum`. `dagster.yaml` runs one at a time."""
CHAIN = "hlx/chain"
"""The id of the first session of a chain: all sessions of the chain have it."""
AFTER = "hlx/after"
"""The id of the session before in the chain: this one trains only if that one passed."""
RESUMES = "hlx/resumes"
"""The id of the session that this one resumes."""
PARENT = "hlx/parent"
"""The checkpoint that a training of this run starts from, `<training id>/<name>`; written when it starts."""
WITHDRAWN = "hlx/withdrawn"
"""Why this run trained nothing: the one before it in its chain did not pass, one line; written when it starts."""
SIZE, EPOCHS = "hlx/size", "hlx/epochs"
"""The size of the model, and the epochs of each phase if they were given or could be estimated."""
PROVIDER, MODEL, KEY = "hlx/provider", "hlx/model", "hlx/key"
"""Who supervises; empty for nobody."""
UNSUPERVISED = "hlx/unsupervised"
"""Why a session that named a provider started without one (`without_provider`), one line."""
IDEMPOTENCY = "hlx/idempotency_key"
"""The `Idempotency-Key` of the request that made the session."""
PRIORITY = "dagster/priority"
"""Dagster's own: of the queued runs the one with the highest whole number is next."""

PHASES_OF = {"English": (1,), "HLX": (2,), "Translation": (3,), "Curriculum": (1, 2, 3)}
"""The phases that a session of each corpus trains."""
