"""How predicted candidates are said to people."""

from typing import Any

from tasks.publish.words import places, signed


def told(row: Any) -> dict[str, str]:
    """Return value, interval and domain of a predicted row, as text.

    Args:
        row: has value, lower, upper, in_domain and reason.
    """
    digits = places((row.upper - row.lower) / 10)
    return {
        "value": signed(row.value, digits),
        "interval": f"{signed(row.lower, digits)} … {signed(row.upper, digits)}",
        "in the domain": "yes" if row.in_domain else f"no: {row.reason}",
    }
