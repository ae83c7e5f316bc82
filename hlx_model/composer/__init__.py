"""A corpus document of any size, composed from a grammar and a seed."""
