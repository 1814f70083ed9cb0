"""Wait for what is to happen, up to a deadline; never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def wait_until(condition: Callable[[], Value | None], deadline_seconds: float, what: str) -> Value:
    """The first true value of ``condition``; at the deadline an AssertionError with ``what`` and the last value."""
    until = time.monotonic() + deadline_seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"not within {deadline_seconds:g} s: {what} (last seen: {value!r})")
        time.sleep(0.02)
