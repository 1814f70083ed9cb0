"""The begin and the end of a seed, when nothing goes wrong: everybody does what is to be done, in rounds."""

from __future__ import annotations

from tests.simulation.world import World
from tests.strategies import DAY_MS, HOUR_MS, MINUTE_MS

ROUNDS_TO_BEGIN = 3
"""After so many both workers have what is theirs."""
MOST_ROUNDS = 80
LATER_MS = (0, 1, 15 * MINUTE_MS, 2 * HOUR_MS, 7 * DAY_MS, 31 * DAY_MS)
"""How long after all that is known the figures are looked at."""


class StuckError(Exception):
    """The workers do not come to an end although nothing disturbs them."""


def begin(world: World) -> None:
    """Let the workers start and take their partitions."""
    for _ in range(ROUNDS_TO_BEGIN):
        _round(world)
    for group in world.broker.groups.values():
        group.rebalances = 0


def end(world: World) -> None:
    """Let the workers do all that is left. Raises :class:`StuckError`."""
    world.tell("nothing goes wrong any more")
    world.is_away = False
    for process in world.alive:
        process.skew_ms = 0
        for role in process.roles:
            role.deaf_until = 0.0
        if process.life < world.lives[process.name] or process.config != world.config:
            process.kill()
    known_ms = max(world.latest_wall_ms, world.wall_ms, *(delivery.at_ms for delivery in world.plan.deliveries))
    world.wall_ms = known_ms + world.random.choice(LATER_MS)
    before = None
    for _ in range(MOST_ROUNDS):
        _round(world)
        ends = [log.end for log in world.broker.logs.values()]
        offsets = [dict(group.offsets) for group in world.broker.groups.values()]
        if (ends, offsets) == before and _is_settled(world):
            return
        before = ends, offsets
    raise StuckError(f"after {MOST_ROUNDS} rounds without a fault: {_left(world)}")


def _round(world: World) -> None:
    loop = world.loop
    for _ in world.lives:
        world.restart()
    while world.broker.send_marker():
        pass
    world.notice()
    loop.settle()
    for process in world.alive:
        for role in process.roles if process.ready else ():
            role.hear()
            for place in range(len(role.owned)):
                while role.poll(place, 1_000):
                    pass
        if process.of_processor.flowing:
            process.processor.advance()
            process.commit()
            loop.settle()
    loop.pass_time(1.0)
    while jobs := loop.jobs():
        loop.work(jobs[0])


def _is_settled(world: World) -> bool:
    return world.is_whole and all(
        process.ready
        and process.committing is None
        and all(role.is_settled for role in process.roles)
        and process.processor.input_lag() == process.sink.lag() == 0
        for process in world.alive
    )


def _left(world: World) -> str:
    return "; ".join(
        f"{process}: {'ready' if process.ready else 'not ready'}, "
        f"not settled in {[role.group.name for role in process.roles if not role.is_settled]}, "
        f"lag {process.processor.input_lag()}, of the sink {process.sink.lag()}"
        for process in world.alive
    )
