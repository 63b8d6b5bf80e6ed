"""When a question to a server is worth asking again, and how long to wait before that."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

SECOND = 1.0  # the wait before the second try, doubled before each further one, with jitter; less of it in tests
LONGEST = 120.0  # seconds between two tries, unless the server asks for more

PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
LASTING = {HTTPStatus.NOT_IMPLEMENTED}  # OQMD answers so to a filter that it does not know


def passing(status: int) -> bool:
    """Tell whether a server that answers with this status may do better later."""
    return status in PASSING or (status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in LASTING)


def pause(failures: int, asked: float) -> float:
    """Return how long to wait, seconds.

    Args:
        failures: in a row so far.
        asked: seconds for which the server asks to be left alone.
    """
    backoff = min(LONGEST, 2.0 ** (failures - 1)) * SECOND
    return max(asked, backoff * random.uniform(0.5, 1.5))  # noqa: S311


def retry_after(text: str | None) -> float:
    """Return how long a Retry-After header asks to wait, seconds: it says so itself, or gives a date."""
    if text is None:
        return 0.0
    if text.strip().isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
