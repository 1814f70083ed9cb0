"""``python -m tests.domain.publishing``: where the facts' code lies, and a hash of all that a partition publishes."""

from __future__ import annotations

from hashlib import sha256

from schemas.events import INPUT_TOPICS
from schemas.outputs import CUSTOMERS
from sources.simulator import SimulatorConfig, simulate
from streams import facts
from streams.calendars import Calendar
from streams.config import DAY_MS, DomainConfig
from streams.customers import Customers
from streams.measures import TARGETS
from streams.partition import Partition
from streams.policies import Policies, Policy
from streams.watermark import Watermark
from tests.domain.partitions import Record

HOUR_MS = 3_600_000
BERLIN = Calendar("Europe/Berlin", (((9 * HOUR_MS, 17 * HOUR_MS),),) * 5 + ((), ()), name="berlin")
POLICIES = Policies([Policy("all", BERLIN, targets=dict.fromkeys(TARGETS, 2 * HOUR_MS))])


def main() -> None:
    config = DomainConfig(policies=POLICIES)
    partition = Partition(0, config, Watermark(INPUT_TOPICS, 0, event_clock=True))
    customers = Customers(7 * DAY_MS)
    told = sha256()
    by_topic: dict[str, list[Record]] = {topic: [] for topic in INPUT_TOPICS}
    simulated = simulate(SimulatorConfig(1_780_000_000_000, tickets=400, days=3, late=0.05, duplicates=0.05))
    for number, (_, topic, key, value) in enumerate(simulated, 1):
        by_topic[topic].append(Record(value, key))
        if number % 500 == 0:
            for of, records in by_topic.items():
                partition.apply(of, records)
                records.clear()
            partition.advance((), 0)
            made = partition.cut().records
            customers.apply([(key, value or b"") for key, value in made.get(CUSTOMERS, [])])
            for of, outputs in (*sorted(made.items()), *enumerate(customers.cut())):
                told.update(f"{of} {outputs!r}".encode())
    print(facts.__file__, told.hexdigest())


if __name__ == "__main__":
    main()
