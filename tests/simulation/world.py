"""One seed: two workers, their log, their tables, and all that goes wrong."""

from __future__ import annotations

import random as randoms
import traceback
from collections.abc import Callable
from itertools import accumulate
from random import Random

from schemas.events import INPUT_TOPICS, at_ms
from schemas.outputs import CHANGELOGS, INNER_TOPICS, OUTPUT_TOPICS
from streams.commit import ANY_PARTITION, CommitError
from tests.simulation.broker import Broker
from tests.simulation.clients import PROCESSOR_GROUP, SINK_GROUP, Tables
from tests.simulation.clockwork import Clockwork
from tests.simulation.defects import Defect
from tests.simulation.faults import ERRORS, Faults, draw
from tests.simulation.steps import Step, Tally
from tests.simulation.stories import CONFIGS, plan
from tests.simulation.worker import Process, Role
from tests.strategies import DAY_MS, HOUR_MS, MINUTE_MS, START

TRANSACTION_SECONDS = 4.0
ROUNDS_TO_BEGIN = 3
"""After so many both workers have what is theirs."""
MOST_ROUNDS = 80
"""Rounds in which everything that is left has to be done when nothing goes wrong any more."""
RESTING_ACTIONS = 40
"""So many things more happen after the last record was published."""


ON_THE_LOOP = (Step.RESTORING, Step.COMMITTED)
"""Steps of the event loop's, not of a thread's: they can't take long."""


class StuckError(Exception):
    """The workers do not come to an end although nothing disturbs them."""


class World:
    """Everything that one seed brings about. ``tally`` and ``story`` say what it was."""

    def __init__(
        self, seed: int, defect: Defect = Defect.NONE, faults: Faults | None = None, *, told: bool = False
    ) -> None:
        """Without ``faults`` they are the seed's, too; ``told``: the story is kept."""
        self.seed = seed
        self.defect = defect
        self.random = random = Random(seed)
        self.tally = Tally(seeds=1)
        self.story: list[str] | None = [] if told else None
        self.errors: list[str] = []
        """What ended a process and was no fault of ours."""
        self.loop = Clockwork()
        self.faults = draw(random) if faults is None else faults
        self.config = random.choice(CONFIGS)
        self.plan = plan(
            random,
            disorder=self.faults.disorder_share,
            duplicates=self.faults.duplicate_share,
            bad=self.faults.bad_share,
        )
        self.tables = Tables()
        self.broker = Broker(
            (*INPUT_TOPICS, *OUTPUT_TOPICS, *INNER_TOPICS, *CHANGELOGS),
            random.randint(2, 4),
            (PROCESSOR_GROUP, SINK_GROUP),
            random,
            lambda: self.wall_ms,
            self.loop.time,
            defect,
        )
        self.wall_ms = at_ms(START)
        self.newest_wall_ms = self.wall_ms
        self._published = 0
        self._lives = {"a": 0, "b": 0}
        self.processes: list[Process] = []
        self._quiet = False
        self._depth = 0
        self._away = False
        self._most_records = random.choice((2, 6, 12, 40))
        self.broker.lazy_markers = self.faults.markers is not None
        self._weigh_actions()

    def _weigh_actions(self) -> None:
        faults = self.faults
        weights: list[tuple[float, Callable[[], None]]] = [
            (5, self._publish),
            (26, self._poll_processor),
            (6, self._poll_sink),
            (5, self._tick),
            (10, self._commit),
            (20, self._work),
            (10, self._hear),
            (4, self._pass_time),
            (3, self._restart),
            (2, self._notice),
            (faults.markers or 0.0, self._marker),
            (faults.crash, self._crash),
            (faults.stop, self._stop),
            (faults.expel, self._expel),
            (faults.replace, self._replace),
            (faults.outage, self._outage),
            (faults.jump, self._jump),
            (faults.step_back, self._step_back),
        ]
        self._actions = [action for _, action in weights]
        self._weights = list(accumulate(weight for weight, _ in weights))

    # -- what a process asks (``worker.Surroundings``)

    def tell(self, what: str) -> None:
        """Note what happened."""
        if self.story is not None:
            self.story.append(f"{'  ' * self._depth}{self.loop.seconds:8.2f} s  {what}")

    def clock_ms(self, process: Process) -> int:
        clock_ms = self.wall_ms + process.skew_ms
        self.newest_wall_ms = max(self.newest_wall_ms, clock_ms)
        return clock_ms

    def any_of(self, number: int) -> int:
        return self.random.randrange(number)

    def insert_times(self) -> int:
        if self._away and self.defect is Defect.SINK_COMMITS_UNINSERTED:
            return 0
        doubled = not self._quiet and self.random.random() < self.faults.doubled_share
        self.tally.doubled_inserts += doubled
        return 1 + doubled

    def insert_fails(self) -> bool:
        fails = self._away and self.defect is not Defect.SINK_COMMITS_UNINSERTED
        self.tally.failed_inserts += fails
        return fails

    def at(self, process: Process, step: Step, group: str) -> None:
        if self._quiet:
            return
        chance = self.random.random()
        if step in (Step.STARTING, Step.RESTORING):
            chance *= 4  # A worker that never gets on its feet shows little.
        if chance < self.faults.crash_share:
            self._kill(process, step)
        elif (chance := chance - self.faults.crash_share) < self.faults.error_share and step in ERRORS:
            self.tally.errors[step] += 1
            self.tell(f"{process}: error {step}")
            raise ERRORS[step]()
        elif chance - self.faults.error_share < self.faults.stall_share and self._depth < 2 and step not in ON_THE_LOOP:
            self._stall(process, step, group)

    def failed(self, process: Process, error: BaseException) -> None:
        self.tell(f"{process} ends: {error}")
        if not isinstance(error, CommitError):
            self.errors.append("".join(traceback.format_exception(error)))
        for role in process.roles:
            role.abandon()
        process.kill()

    # -- what happens

    def run(self) -> None:
        """Let everything happen, then wait until nothing is left to be done. Raises :class:`StuckError`."""
        kept = randoms.getstate()
        randoms.seed(self.seed)  # The sink's pauses have jitter.
        try:
            with self.loop.running():
                self._quiet = True
                for _ in range(ROUNDS_TO_BEGIN):
                    self._round()
                self._quiet = False
                for group in self.broker.groups.values():
                    group.rebalances = 0
                while self._published < len(self.plan.deliveries):
                    self._act()
                for _ in range(RESTING_ACTIONS):
                    self._act()
                self._drain()
        finally:
            randoms.setstate(kept)
        self.tally.events = len(self.plan.deliveries)
        self.tally.duplicates = self.plan.duplicates
        self.tally.rebalances = sum(group.rebalances for group in self.broker.groups.values())
        self.tally.fenced = self.broker.fenced
        self.tally.commits = self.broker.commits
        self.errors += ["".join(traceback.format_exception(error)) for error in self.loop.errors]

    def _act(self) -> None:
        self.random.choices(self._actions, cum_weights=self._weights)[0]()
        self.loop.settle()

    def _stall(self, process: Process, step: Step, group: str) -> None:
        """The step takes long: others go on, and so does the process itself beside this thread."""
        self.tally.stalls[step] += 1
        self.tell(f"{process}: stalls {step}")
        self._depth += 1
        if self.random.random() < 0.5:
            self._expel_from(next(role for role in process.roles if role.group.name == group))
        for _ in range(self.random.choice((3, 10, 30, 60, 90))):
            self._act()
        self._depth -= 1
        self.tell(f"{process}: goes on {step}")

    def _any(self) -> Process | None:
        ready = [process for process in self.processes if process.ready]
        return self.random.choice(ready) if ready else None

    def _publish(self) -> None:
        for delivery in self.plan.deliveries[self._published : self._published + self.random.randint(1, 6)]:
            self._published += 1
            self.broker.append(delivery.topic, ANY_PARTITION, delivery.key, delivery.value)
            if delivery.at_ms > self.wall_ms and self.random.random() < 0.7:
                self.wall_ms = delivery.at_ms

    def _poll_processor(self) -> None:
        process = self._any()
        if process is not None:
            process.of_processor.poll(self.any_of(64), 1 + self.any_of(self._most_records))

    def _poll_sink(self) -> None:
        process = self._any()
        if process is not None:
            process.of_sink.poll(self.any_of(64), 1 + self.any_of(self._most_records))

    def _tick(self) -> None:
        process = self._any()
        if process is not None:
            process.processor.advance()

    def _commit(self) -> None:
        process = self._any()
        if process is not None and process.of_processor.flowing:
            process.commit()

    def _work(self) -> None:
        for _ in range(self.random.choice((1, 1, 2, 8))):
            jobs = self.loop.jobs()
            if jobs:
                self.loop.work(self.random.choice(jobs))

    def _hear(self) -> None:
        process = self._any()
        if process is not None:
            self.random.choice(process.roles).hear()

    def _marker(self) -> None:
        self.broker.send_marker()

    def _pass_time(self) -> None:
        self.loop.pass_time(self.random.choice((0.1, 0.5, 2.0)))
        self.wall_ms += self.random.choice((0, 100, 1_000, MINUTE_MS))

    def _restart(self) -> None:
        """A supervisor starts a worker that is gone."""
        for name in self._lives:
            if not any(process.name == name and process.life == self._lives[name] for process in self.alive):
                self._start(name)
                return

    def _start(self, name: str) -> None:
        self._lives[name] += 1
        skew_ms = self.random.choice((0, 400, -2 * MINUTE_MS, HOUR_MS)) if self.faults.skewed and not self._quiet else 0
        process = Process(self, name, self._lives[name], skew_ms)
        self.processes = [*self.alive, process]
        self.tell(f"{process} starts")
        process.start()

    def _notice(self) -> None:
        """The brokers notice who is gone: members without a heartbeat, transactions that are open for long."""
        for group in self.broker.groups.values():
            for member in list(group.members):
                if not self._is_there(member):
                    self.tell(f"group {group.name} misses {member}")
                    group.leave(member)
        self.loop.pass_time(1.0)
        timed_out = self.broker.time_out(TRANSACTION_SECONDS)
        if timed_out:
            self.tally.timed_out += timed_out
            self.tell(f"{timed_out} transactions are aborted: open for {TRANSACTION_SECONDS:g} s")

    def _is_there(self, member: str) -> bool:
        return any(str(process) == member.split(".")[0] and process.alive for process in self.processes)

    # -- faults

    def _kill(self, process: Process, step: Step) -> None:
        self.tally.crashes[step] += 1
        self.tell(f"{process} is killed {step}")
        process.kill()

    def _crash(self) -> None:
        process = self._any()
        if process is not None:
            self._kill(process, Step.RESTING)

    def _stop(self) -> None:
        process = self._any()
        if process is not None:
            self.tally.stops += 1
            self.tell(f"{process} is stopped")
            process.spawn(process.stop())

    def _expel(self) -> None:
        process = self._any()
        if process is not None:
            self._expel_from(self.random.choice(process.roles))

    def _expel_from(self, role: Role) -> None:
        if role.member is not None and role.member.id in role.group.members:
            self.tally.expelled += 1
            self.tell(f"group {role.group.name} thinks that {role.member.id} is gone")
            role.group.leave(role.member.id)

    def _replace(self) -> None:
        """A worker is started under the name of one that is still there."""
        process = self._any()
        if process is not None and process.life == self._lives[process.name]:
            self.tally.replaced += 1
            self.tell(f"{process} is thought to be gone by whoever starts workers")
            self._start(process.name)

    def _outage(self) -> None:
        self._away = not self._away
        self.tally.outages += self._away
        self.tell(f"ClickHouse is {'away' if self._away else 'back'}")

    def _jump(self) -> None:
        by_ms = self.random.choice((MINUTE_MS, HOUR_MS, 9 * HOUR_MS, DAY_MS, 8 * DAY_MS))
        self.tally.clock_jumps += 1
        self.wall_ms += by_ms
        self.tell(f"the wall clock jumps {by_ms // 1_000} s forward")

    def _step_back(self) -> None:
        by_ms = self.random.choice((1_000, MINUTE_MS, HOUR_MS, DAY_MS))
        self.tally.clock_steps_back += 1
        self.wall_ms -= by_ms
        self.tell(f"the wall clock steps {by_ms // 1_000} s back")

    # -- the end

    @property
    def alive(self) -> list[Process]:
        """The workers at the end."""
        return [process for process in self.processes if process.alive]

    def _drain(self) -> None:
        self.tell("nothing goes wrong any more")
        self._quiet, self._away = True, False
        self.broker.lazy_markers = False
        for process in self.processes:
            if process.life < self._lives[process.name]:
                process.kill()
        latest_ms = max(self.newest_wall_ms, self.wall_ms, *(delivery.at_ms for delivery in self.plan.deliveries))
        self.wall_ms = latest_ms + self.random.choice((0, 1, 15 * MINUTE_MS, 2 * HOUR_MS, 7 * DAY_MS, 31 * DAY_MS))
        before = None
        for _ in range(MOST_ROUNDS):
            self._round()
            state = (
                [log.end for log in self.broker.logs.values()],
                [dict(group.offsets) for group in self.broker.groups.values()],
            )
            if state == before and self._is_settled():
                return
            before = state
        raise StuckError(f"after {MOST_ROUNDS} rounds without a fault: {self._left()}")

    def _round(self) -> None:
        """Everybody does once what is to be done."""
        self._restart()
        self._restart()
        self.loop.settle()
        while self.broker.send_marker():
            pass
        self._notice()
        for process in self.alive:
            process.skew_ms = 0
            self.loop.settle()
            for role in process.roles if process.ready else ():
                role.hear()
                for place in range(len(role.owned)):
                    while role.poll(place, 1_000):
                        pass
            if process.of_processor.flowing:
                process.processor.advance()
                process.commit()
                self.loop.settle()
        self.loop.pass_time(1.0)
        while jobs := self.loop.jobs():
            self.loop.work(jobs[0])

    def _is_settled(self) -> bool:
        return (
            len(self.alive) == len(self._lives)
            and all(process.ready and role.is_settled for process in self.alive for role in process.roles)
            and all(process.committing is None for process in self.alive)
            and all(process.processor.input_lag() == process.sink.lag() == 0 for process in self.alive)
        )

    def _left(self) -> str:
        unsettled = [
            f"{process} in {r.group.name}" for process in self.alive for r in process.roles if not r.is_settled
        ]
        lags = [f"{process} {process.sink.lag()}" for process in self.alive]
        return f"not settled: {', '.join(unsettled) or 'nobody'}; lags of the sinks: {', '.join(lags)}"
