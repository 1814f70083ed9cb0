"""Lets the faults of a plan happen, each at its time, while workers are looked after."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Final

from tests.chaos import faults
from tests.chaos.desk import Desk
from tests.chaos.faults import Fault

_LOOK_SECONDS: Final = 0.05


class Conductor:
    """One run's faults."""

    def __init__(self, desk: Desk, plan: Sequence[Fault]) -> None:
        self.happened: Counter[str] = Counter()
        self.began_at: list[tuple[float, str]] = []
        """When each fault began (``time.monotonic()``), and its kind."""
        self._desk = desk
        self._numbers = count()
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._began = time.monotonic()
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="broker")
        self._under_way: list[Future[None]] = []
        for fault in plan:
            self._at(fault.at_seconds, partial(self._let_happen, fault))

    def run(self) -> None:
        """Until the last fault is over; raises when the broker does not come back."""
        while self._coming or not all(one.done() for one in self._under_way):
            now = time.monotonic() - self._began
            while self._coming and self._coming[0][0] <= now:
                heapq.heappop(self._coming)[2]()
            self._desk.look_after()
            time.sleep(_LOOK_SECONDS)
        for one in self._under_way:
            one.result()
        self._aside.shutdown()

    def _at(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._coming, (seconds, next(self._numbers), what))

    def _let_happen(self, fault: Fault) -> None:
        self.happened[fault.kind] += 1
        self.began_at.append((time.monotonic(), fault.kind))
        over = time.monotonic() - self._began + fault.lasts_seconds
        match fault.kind:
            case faults.KILL:
                self._desk.workers[fault.which].kill()
            case faults.FREEZE:
                worker = self._desk.workers[fault.which]
                worker.freeze()
                self._at(over, worker.thaw)
            case faults.BROKER | faults.BROKER_KILL:
                self._under_way.append(self._aside.submit(self._broker, fault.kind))
            case _:
                self._at(over, self._desk.clickhouse_away(fault.which))

    def _broker(self, kind: str) -> None:
        broker, timeline = self._desk.broker, self._desk.timeline
        if kind == faults.BROKER_KILL:
            broker.kill()
            timeline.tell("kill -9 of the broker")
        broker.restart()
        timeline.tell(f"the broker is back{' after a stop in order' if kind == faults.BROKER else ''}")
