"""An event loop without real time and without threads: the simulation says when a timer or a thread goes on."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any


class KilledError(BaseException):
    """The process that runs this code has been killed: nothing of it goes on, not even what cleans up."""


class Clockwork(asyncio.AbstractEventLoop):
    """Callbacks run in their order when the simulation settles; work for threads waits until it is begun.

    What a thread does may let the simulation go on in its middle (``World.meanwhile``), as though it took long.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.errors: list[BaseException] = []
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self._jobs: list[tuple[object, Callable[[], None]]] = []
        self._busy: list[object] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Be the running loop of this thread."""
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def settle(self) -> None:
        """Run all that is ready."""
        ready = self._ready
        while ready:
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

    def pass_time(self, seconds: float) -> None:
        """Let timers come due, the earliest first."""
        until = self.seconds + seconds
        while self._timers and self._timers[0][0] <= until:
            when, _, timer = heapq.heappop(self._timers)
            self.seconds = max(self.seconds, when)
            if not timer.cancelled():
                self._ready.append(timer)
                self.settle()
        self.seconds = max(self.seconds, until)

    def jobs(self) -> list[int]:
        """The numbers of what waits for a thread that is free."""
        return [n for n, (executor, _) in enumerate(self._jobs) if executor is None or executor not in self._busy]

    def work(self, number: int) -> None:
        """Do one of the :meth:`jobs`, to its end."""
        executor, job = self._jobs.pop(number)
        self._busy.append(executor)
        try:
            job()
        finally:
            self._busy.remove(executor)
        self.settle()

    # -- what asyncio asks of a loop

    def time(self) -> float:
        return self.seconds

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.seconds + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is dropped when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = self.create_future()

        def job() -> None:
            try:
                result = func(*args)
            except KilledError:
                return
            except Exception as error:
                if not future.cancelled():
                    future.set_exception(error)
            else:
                if not future.cancelled():
                    future.set_result(result)

        # Of a pool the committer's alone counts: it has one thread, the others have as many as are asked for.
        self._jobs.append((executor if isinstance(executor, ThreadPoolExecutor) else None, job))
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What a killed process has left unfinished is of no interest; a callback that fails is."""
        error = context.get("exception")
        if error is not None and "handle" in context:
            self.errors.append(error)
