"""Amounts of money: whole numbers of a thousand millionth of a dollar, so that sums are exact."""

import math

NANO = 1_000_000_000
"""Nanodollars in a dollar."""


def dollars(nano: int) -> str:
    """Return an amount for a person: `$5.00`, `$0.0123`; below a dollar up to four digits that count."""
    amount = nano / NANO
    if nano == 0 or abs(amount) >= 1:
        return f"${amount:,.2f}"
    whole, _, part = f"{amount:.{3 - math.floor(math.log10(abs(amount)))}f}".partition(".")
    return f"${whole}.{part.rstrip('0').ljust(2, '0')}"
