"""English by a language model for values that are known: requests, what it proposed, and what was admitted."""
