"""The changelogs of the in-memory log, as ``streams.restore`` reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from faust.types import TP

from streams.restore import Records, Wanted
from tests.simulation.broker import Broker
from tests.simulation.clients import PROCESSOR_GROUP, Process
from tests.simulation.clockwork import Clockwork
from tests.simulation.defects import Defect
from tests.simulation.steps import Step


class SimulatedChangelogs:
    """What a process asks of its changelogs (``streams.restore.Changelogs``)."""

    def __init__(self, broker: Broker, loop: Clockwork, process: Process, defect: Defect) -> None:
        self._broker = broker
        self._loop = loop
        self._process = process
        self._defect = defect

    async def read_to_end(self, wanted: Wanted, deadline_seconds: float) -> dict[TP, int]:
        """It waits for whatever is written, open transactions included."""
        return {tp: await self._read(tp, start, on_records) for tp, (start, on_records) in wanted.items()}

    def ends(self, wanted: Iterable[TP], timeout_seconds: float) -> dict[TP, int]:
        self._process.at(Step.SETTLING, PROCESSOR_GROUP)
        beyond = 5 if self._defect is Defect.DISK_AHEAD else 0
        return {tp: self._broker.logs[tp.topic, tp.partition].end + beyond for tp in wanted}

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        return {topic: topic for topic in topics}

    def partitions(self, topic: str) -> int:
        return sum(of == topic for of, _ in self._broker.logs)

    async def _read(self, tp: TP, start: int, on_records: Callable[[Records], None]) -> int:
        self._process.at(Step.RESTORING, PROCESSOR_GROUP)
        log = self._broker.logs[tp.topic, tp.partition]
        end = log.end
        if self._defect is Defect.RESTORE_TO_STABLE_END:
            end = log.stable_end
        elif self._defect is Defect.RESTORE_UNCOMMITTED:
            on_records([(entry.key or b"", entry.value) for entry in log.entries if not entry.is_marker])
            return end
        while log.stable_end < end:
            await self._broker.change()
        records = [(found.entry.key or b"", found.entry.value) for found in log.committed(start, end)]
        if records and self._process.any_of(2):  # The log was compacted meanwhile.
            records = _compacted(records)
        middle = self._process.any_of(len(records) + 1)
        for part in (records[:middle], records[middle:]):
            if part:
                # As always: of what is read at once only the last of a key.
                await self._loop.run_in_executor(None, on_records, _compacted(part))
                self._process.at(Step.RESTORING, PROCESSOR_GROUP)
        return end


def _compacted(records: list[tuple[bytes, bytes | None]]) -> list[tuple[bytes, bytes | None]]:
    """The last record of each key, in their order."""
    last = {key: number for number, (key, _) in enumerate(records)}
    return [record for number, record in enumerate(records) if last[record[0]] == number]
