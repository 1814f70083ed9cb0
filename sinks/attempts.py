"""Tries again until it works: the one place that says how long the sink waits for ClickHouse."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

_LOG: Final = logging.getLogger(__name__)
FIRST_WAIT_SECONDS: Final = 0.2
LONGEST_WAIT_SECONDS: Final = 8.0
"""An attempt costs a server that is away nothing; one that is back is found within this."""
T = TypeVar("T")
Wait = Callable[[RetryCallState], float]
"""After an attempt that failed, the seconds until the next one."""


def growing_wait_seconds(state: RetryCallState) -> float:
    """Twice as long after each failure; between half and all of that, so that not all workers come at once."""
    doublings = min(state.attempt_number - 1, 16)
    longest: float = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**doublings)
    return longest * random.uniform(0.5, 1)  # noqa: S311


class Attempts:
    """Runs a call in a thread until it works, and knows since when it does not.

    ``waited_for``: the errors after which it tries again; any other is raised. A call that is not awaited any more (its
    partitions are gone, the worker ends) is left to itself: nothing waits for its thread, not even the process's end.
    """

    def __init__(self, waited_for: tuple[type[Exception], ...], wait: Wait = growing_wait_seconds) -> None:
        self.failures = 0
        """Attempts that failed since the last one that worked."""
        self.last_error = ""
        """What the newest of them said; empty when there is none."""
        self._waited_for = waited_for
        self._wait = wait
        self._threads = _OfTheirOwn()
        self._failing_since: float | None = None
        self._worked_at = time.monotonic()

    @property
    def failing_seconds(self) -> float:
        """Since the first of the failed attempts began; 0 when the last attempt worked."""
        return 0.0 if self._failing_since is None else time.monotonic() - self._failing_since

    @property
    def worked_seconds_ago(self) -> float:
        """Since the last attempt that worked; before the first, since this was made."""
        return time.monotonic() - self._worked_at

    async def until_it_works(self, call: Callable[[], T]) -> T:
        """What ``call`` returns in the end."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(self._waited_for), wait=self._wait, before_sleep=_warn
        ):
            with attempt:
                began = time.monotonic()
                try:
                    result = await asyncio.get_running_loop().run_in_executor(self._threads, call)
                except self._waited_for as error:
                    self.failures += 1
                    self.last_error = str(error)
                    if self._failing_since is None:
                        self._failing_since = began
                    raise
        if self.failures:
            _LOG.info("ClickHouse is back after %.0f s and %d attempts", self.failing_seconds, self.failures)
        self.failures, self.last_error, self._failing_since = 0, "", None
        self._worked_at = time.monotonic()
        return result


def _warn(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _LOG.warning("attempt %d: %s; again in %.1f s", state.attempt_number, error, state.upcoming_sleep)


class _OfTheirOwn(Executor):
    """Each call in a thread of its own, which ends with the process: one that hangs holds up nothing."""

    def submit(self, call: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = call(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name="sink", daemon=True).start()
        return future
