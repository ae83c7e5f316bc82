"""Statistics of samples: confidence intervals of rates, distinct texts."""

import math


def wilson(successes: int, samples: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's score interval of a rate (Wilson 1927); (0, 1) if there are no samples."""
    if samples == 0:
        return 0.0, 1.0
    rate, z2 = successes / samples, z * z
    centre = (rate + z2 / (2 * samples)) / (1 + z2 / samples)
    half = z / (1 + z2 / samples) * math.sqrt(rate * (1 - rate) / samples + z2 / (4 * samples * samples))
    # Rounded, so that the lower bound without a success is exactly 0.
    return max(0.0, round(centre - half, 12)), min(1.0, round(centre + half, 12))


def expected_distinct(drawn: int, of: int) -> int:
    """Return how many different ones are among `drawn` texts, drawn at random from `of` texts; at least 1."""
    return max(1, round(of * (1 - (1 - 1 / of) ** drawn)))
