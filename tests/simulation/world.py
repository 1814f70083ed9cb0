"""What one seed is about: two workers, their log, their tables, their clocks."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random

from schemas.events import INPUT_TOPICS, at_ms
from schemas.outputs import CHANGELOGS, INNER_TOPICS, OUTPUT_TOPICS
from streams.commit import CommitError
from tests.simulation.broker import Broker
from tests.simulation.clients import PROCESSOR_GROUP, SINK_GROUP, Tables
from tests.simulation.clockwork import Clockwork
from tests.simulation.defects import Defect
from tests.simulation.disks import Disks
from tests.simulation.faults import ERRORS, Faults, draw
from tests.simulation.role import Role
from tests.simulation.steps import Step, Tally
from tests.simulation.stories import CONFIGS, plan
from tests.simulation.worker import Process
from tests.strategies import HOUR_MS, MINUTE_MS, START

TRANSACTION_SECONDS = 4.0
ON_THE_LOOP = (Step.RESTORING, Step.COMMITTED)
"""Steps of the event loop's, not of a thread's: they can't take long."""
DEAF_SECONDS = (0, 0, 5, 20)
"""How long a worker that was expelled does not notice it."""
SKEWS_MS = (0, 400, -2 * MINUTE_MS, HOUR_MS)


class World:
    """Everything that a seed's happenings are about; ``tally`` and ``story`` say what they were."""

    go_on: Callable[[], None]
    """Lets one thing more happen (``happenings.Happenings``)."""

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
        """What ended a process and was not to be expected."""
        self.quiet = True
        """Nothing goes wrong."""
        self.faults = draw(random) if faults is None else faults
        self.config = random.choice(CONFIGS)
        self.plan = plan(
            random,
            disorder=self.faults.disorder_share,
            duplicates=self.faults.duplicate_share,
            bad=self.faults.bad_share,
        )
        self.loop = Clockwork()
        self.wall_ms = self.latest_wall_ms = at_ms(START)
        """The wall clock, and the latest that any worker has read off its own."""
        self.tables = Tables()
        self.disks = Disks()
        self.is_away = False
        """ClickHouse is."""
        self.broker = Broker(
            (*INPUT_TOPICS, *OUTPUT_TOPICS, *INNER_TOPICS, *CHANGELOGS),
            random.randint(2, 4),
            (PROCESSOR_GROUP, SINK_GROUP),
            random,
            lambda: self.wall_ms,
            self.loop.time,
            self.tell,
            defect,
        )
        self.processes: list[Process] = []
        self.lives = {"a": 0, "b": 0}
        """How often each of the workers was started."""
        self._depth = 0

    @property
    def alive(self) -> list[Process]:
        """The processes that have not ended."""
        return [process for process in self.processes if process.alive]

    @property
    def is_whole(self) -> bool:
        """Whether each of the workers is there, once."""
        return sorted((process.name, process.life) for process in self.alive) == sorted(self.lives.items())

    def tell(self, what: str) -> None:
        """Note what happened."""
        if self.story is not None:
            self.story.append(f"{self.loop.seconds:8.2f} s  {'  ' * self._depth}{what}")

    # -- what a process asks (``worker.Surroundings``)

    def clock_ms(self, process: Process) -> int:
        clock_ms = self.wall_ms + process.skew_ms
        self.latest_wall_ms = max(self.latest_wall_ms, clock_ms)
        return clock_ms

    def any_of(self, number: int) -> int:
        return self.random.randrange(number)

    def insert_times(self) -> int:
        if self.is_away and self.defect is Defect.SINK_COMMITS_UNINSERTED:
            return 0
        doubled = not self.quiet and self.random.random() < self.faults.doubled_share
        self.tally.doubled_inserts += doubled
        return 1 + doubled

    def insert_fails(self) -> bool:
        fails = self.is_away and self.defect is not Defect.SINK_COMMITS_UNINSERTED
        self.tally.failed_inserts += fails
        return fails

    def at(self, process: Process, step: Step, group: str) -> None:
        if self.quiet:
            return
        faults, chance = self.faults, self.random.random()
        if step in (Step.STARTING, Step.RESTORING):
            chance *= 4  # A worker that never gets on its feet shows little.
        errors_to = faults.crash_share + faults.error_share
        if chance < faults.crash_share:
            self.kill(process, step)
        elif chance < errors_to and step in ERRORS:
            self.tally.errors[step] += 1
            self.tell(f"{process} for {group}: error {step}")
            raise self.random.choice(ERRORS[step])()
        elif errors_to <= chance < errors_to + faults.stall_share and self._depth < 2 and step not in ON_THE_LOOP:
            self._stall(process, step, group)

    def _stall(self, process: Process, step: Step, group: str) -> None:
        """The step takes long: others go on, and so does the process itself beside this thread."""
        self.tally.stalls[step] += 1
        self.tell(f"{process} for {group}: held up {step}")
        self._depth += 1
        if self.random.random() < 0.5:
            self.expel(next(role for role in process.roles if role.group.name == group))
        for _ in range(self.random.choice((3, 10, 30, 60, 90))):
            self.go_on()
        self._depth -= 1
        self.tell(f"{process} for {group}: goes on {step}")

    def failed(self, process: Process, error: BaseException) -> None:
        self.tell(f"{process} ends: {error}")
        if not isinstance(error, CommitError):
            self.errors.append("".join(traceback.format_exception(error)))
        for role in process.roles:
            role.abandon()
        process.kill()

    # -- what others do to processes

    def start(self, name: str) -> None:
        """Start a worker."""
        self.lives[name] += 1
        skew_ms = self.random.choice(SKEWS_MS) if self.faults.skewed and not self.quiet else 0
        # A second one is on another machine, with a disk of its own.
        folder = Path(f"{name}{self.lives[name]}" if any(one.name == name for one in self.alive) else name)
        process = Process(self, name, self.lives[name], skew_ms, folder)
        self.processes = [*self.alive, process]
        self.tell(f"{process} starts")
        process.start()

    def restart(self) -> None:
        """Start a worker that is gone, where there is one."""
        there = [process.name for process in self.alive if process.life == self.lives[process.name]]
        gone = [name for name in self.lives if name not in there]
        if gone:
            self.start(gone[0])

    def kill(self, process: Process, step: Step) -> None:
        """Kill a process at a step."""
        self.tally.crashes[step] += 1
        self.tell(f"{process} is killed {step}")
        process.kill()

    def expel(self, role: Role) -> None:
        """Let the group think that a member is gone which is not."""
        if role.member is not None and role.member.id in role.group.members:
            self.tally.expelled += 1
            self.tell(f"group {role.group.name} thinks that {role.member.id} is gone")
            role.group.leave(role.member.id)
            role.deaf_until = self.loop.seconds + self.random.choice(DEAF_SECONDS)

    def notice(self) -> None:
        """Let the brokers notice who is gone: members without a heartbeat, transactions that are open for long."""
        there = {str(process) for process in self.alive}
        for group in self.broker.groups.values():
            for member in [member for member in group.members if member.split(".")[0] not in there]:
                self.tell(f"group {group.name} misses {member}")
                group.leave(member)
        self.loop.pass_time(1.0)
        timed_out = self.broker.time_out(TRANSACTION_SECONDS)
        if timed_out:
            self.tally.timed_out += timed_out
            self.tell(f"the coordinator aborts {timed_out} transactions that are open for too long")
