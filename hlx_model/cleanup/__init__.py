"""Which artifacts no kept checkpoint needs, and their removal."""
