"""From the corpus document to the splits of the three phases, each validated by pandera."""
