"""What happens in a seed, one thing after the other: work and faults, as its random numbers have it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

from streams.commit import ANY_PARTITION
from tests.simulation.role import Role
from tests.simulation.steps import Step
from tests.simulation.stories import CONFIGS
from tests.simulation.worker import Process
from tests.simulation.world import World
from tests.strategies import DAY_MS, HOUR_MS, MINUTE_MS

AFTER_ALL_RECORDS = 40
"""So many things more happen after the last record was published."""


TICKS_MS = (0, 1_000, MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, 2 * HOUR_MS)
"""By what the wall clock goes on, so that targets fall due between the events."""


class Happenings:
    """Chooses what happens next."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random
        self._published = 0
        self._most_records = world.random.choice((2, 6, 12, 40))
        self._followed = world.random.choice((0.02, 0.2, 0.7))
        """The share of events after which the wall clock is not before them."""
        faults = world.faults
        weights: list[tuple[float, Callable[[], None]]] = [
            (self._random.choice((2, 5, 8)), self._publish),
            (20, self._poll_processor),
            (6, self._poll_sink),
            (5, self._tick),
            (12, self._commit),
            (20, self._work),
            (10, self._hear),
            (7, self._pass_time),
            (3, world.restart),
            (2, world.notice),
            (faults.markers or 0.0, self._marker),
            (faults.crash, self._crash),
            (faults.stop, self._stop),
            (faults.expel, self._expel),
            (faults.replace, self._replace),
            (faults.outage, self._outage),
            (faults.jump, self._jump),
            (faults.step_back, self._step_back),
            (faults.reconfigure, self._reconfigure),
        ]
        self._actions = [action for _, action in weights]
        self._weights = list(accumulate(weight for weight, _ in weights))

    def happen(self) -> None:
        """Let things happen until all records are published, and some more."""
        world = self._world
        world.go_on, world.quiet, world.broker.lazy_markers = self.next, False, world.faults.markers is not None
        while self._published < len(world.plan.deliveries):
            self.next()
        for _ in range(AFTER_ALL_RECORDS):
            self.next()
        world.quiet, world.broker.lazy_markers = True, False

    def next(self) -> None:
        """Let one thing happen, and what follows from it at once."""
        self._random.choices(self._actions, cum_weights=self._weights)[0]()
        self._world.loop.settle()

    def _process(self) -> Process | None:
        ready = [process for process in self._world.processes if process.ready]
        return self._random.choice(ready) if ready else None

    def _role(self) -> Role | None:
        process = self._process()
        return None if process is None else self._random.choice(process.roles)

    # -- work

    def _publish(self) -> None:
        world, begin = self._world, self._published
        self._published += self._random.randint(1, 6)
        for delivery in world.plan.deliveries[begin : self._published]:
            world.broker.append(delivery.topic, ANY_PARTITION, delivery.key, delivery.value)
            if delivery.at_ms > world.wall_ms and self._random.random() < self._followed:
                world.wall_ms = delivery.at_ms

    def _poll_processor(self) -> None:
        process = self._process()
        if process is not None:
            for _ in range(self._random.choice((1, 2, 4, 12))):
                process.of_processor.poll(self._world.any_of(64), 1 + self._world.any_of(self._most_records))

    def _poll_sink(self) -> None:
        process = self._process()
        if process is not None:
            process.of_sink.poll(self._world.any_of(64), 1 + self._world.any_of(self._most_records))

    def _tick(self) -> None:
        process = self._process()
        if process is not None:
            process.processor.advance()

    def _commit(self) -> None:
        process = self._process()
        if process is not None and process.of_processor.flowing:
            process.processor.advance()
            process.commit()

    def _work(self) -> None:
        for _ in range(self._random.choice((1, 1, 2, 8))):
            jobs = self._world.loop.jobs()
            if jobs:
                self._world.loop.work(self._random.choice(jobs))

    def _hear(self) -> None:
        role = self._role()
        if role is not None:
            role.hear()

    def _marker(self) -> None:
        self._world.broker.send_marker()

    def _pass_time(self) -> None:
        self._world.loop.pass_time(self._random.choice((0.1, 0.5, 2.0)))
        self._world.wall_ms += self._random.choice(TICKS_MS)

    # -- faults

    def _crash(self) -> None:
        process = self._process()
        if process is not None:
            self._world.kill(process, Step.RESTING)

    def _stop(self) -> None:
        process = self._process()
        if process is not None:
            self._world.tally.stops += 1
            self._world.tell(f"{process} is stopped")
            process.spawn(process.stop())

    def _expel(self) -> None:
        role = self._role()
        if role is not None:
            self._world.expel(role)

    def _replace(self) -> None:
        """A worker is started under the name of one that is still there."""
        process, world = self._process(), self._world
        if process is not None and process.life == world.lives[process.name]:
            world.tally.replaced += 1
            world.tell(f"who starts workers thinks that {process} is gone")
            world.start(process.name)

    def _outage(self) -> None:
        world = self._world
        world.is_away = not world.is_away
        world.tally.outages += world.is_away
        world.tell(f"ClickHouse is {'away' if world.is_away else 'back'}")

    def _jump(self) -> None:
        by_ms = self._random.choice((MINUTE_MS, HOUR_MS, 9 * HOUR_MS, DAY_MS, 8 * DAY_MS))
        self._world.tally.clock_jumps += 1
        self._world.wall_ms += by_ms
        self._world.tell(f"the wall clock jumps {by_ms // 1_000} s forward")

    def _step_back(self) -> None:
        by_ms = self._random.choice((1_000, MINUTE_MS, HOUR_MS, DAY_MS))
        self._world.tally.clock_steps_back += 1
        self._world.wall_ms -= by_ms
        self._world.tell(f"the wall clock steps {by_ms // 1_000} s back")

    def _reconfigure(self) -> None:
        """From now on workers start with other settings."""
        self._world.config = self._random.choice(CONFIGS)
        self._world.tally.reconfigured += 1
        self._world.tell(f"settings {CONFIGS.index(self._world.config)} hold for who starts from now on")
