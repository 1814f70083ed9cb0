"""State on the local disk is the state in memory, after any crash, and never more than what was committed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import INPUT_TOPICS, TOPIC_OF_TYPE, AnyEvent
from schemas.outputs import CUSTOMER_TICKETS, HISTORIES
from streams.config import DomainConfig
from streams.disk import Disk
from streams.kept import KeptPartition
from streams.live import LiveFigures
from streams.picture import picture
from streams.published import Output
from streams.watermark import Watermark
from tests.domain.partitions import record
from tests.strategies import configs, histories, nows_ms

HAPPENINGS = ("commit", "commit", "commit and note how far", "crash before the commit", "crash after the commit")


class Desk:
    """One partition whose changelogs are lists; what is applied and not committed is read again after a crash."""

    def __init__(self, config: DomainConfig, folder: Path | None) -> None:
        self.config = config
        self.folder = folder
        self.logs: dict[str, list[tuple[bytes, bytes | None]]] = {HISTORIES: [], CUSTOMER_TICKETS: []}
        self.read_again = 0
        self.uncommitted: list[AnyEvent] = []
        self.assign()

    def assign(self) -> None:
        watermark = Watermark(INPUT_TOPICS, 0, event_clock=False)
        disk = None if self.folder is None else Disk(self.folder, "logs", 0)
        self.kept = KeptPartition(0, self.config, watermark, disk)
        for tp, (start, restore) in self.kept.wanted().items():
            self.read_again += len(self.logs[tp.topic]) - start
            restore(self.logs[tp.topic][start:])
        self.kept.restored()

    def read(self, events: list[AnyEvent]) -> None:
        self.uncommitted += events
        for event in events:
            self.kept.partition.apply(TOPIC_OF_TYPE[str(event.__struct_config__.tag)], [record(event)])

    def cut(self, now_ms: int) -> list[Output]:
        self.kept.partition.advance(INPUT_TOPICS, now_ms)
        made = self.kept.partition.cut().records.get(HISTORIES, [])
        self.kept.cut(made, [])
        return made

    def log(self, made: list[Output]) -> None:
        self.logs[HISTORIES] += made
        self.uncommitted = []

    def commit(self, now_ms: int) -> None:
        self.log(self.cut(now_ms))
        self.kept.committed()

    def note(self) -> None:
        self.kept.settle({TP(topic, 0): len(log) for topic, log in self.logs.items()}, 0)

    def crash(self) -> None:
        self.kept.close()
        self.assign()
        again, self.uncommitted = self.uncommitted, []
        self.read(again)

    def live(self, now_ms: int) -> LiveFigures:
        return picture([self.kept.partition], self.config.dimensions, now_ms, 100)


@contextmanager
def desk_on_disk(config: DomainConfig) -> Iterator[Desk]:
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(config, Path(folder) / "state")
        yield desk
        desk.kept.close()


@settings(max_examples=25)
@given(histories(), configs(), st.data())
def test_after_any_crash_the_disk_gives_the_figures_of_memory(
    events: list[AnyEvent], config: DomainConfig, data: st.DataObject
) -> None:
    last_ms = data.draw(nows_ms(events))
    with desk_on_disk(config) as desk:
        plain = Desk(config, None)
        for event in events:
            desk.read([event])
            plain.read([event])
            what = data.draw(st.sampled_from(("go on", *HAPPENINGS)))
            now_ms = min(last_ms, data.draw(nows_ms(events)))
            if what == "crash before the commit":
                desk.cut(now_ms)
                desk.crash()
            elif what == "crash after the commit":
                desk.log(desk.cut(now_ms))
                desk.crash()
            elif what != "go on":
                desk.commit(now_ms)
                if what == "commit and note how far":
                    desk.note()
        desk.crash()
        for one in (desk, plain):
            one.commit(last_ms)
            one.commit(last_ms)
        assert desk.live(last_ms) == plain.live(last_ms)
        assert len(desk.kept.partition) == len(plain.kept.partition)


@given(histories(max_tickets=2), st.data())
@settings(max_examples=5)
def test_what_was_noted_is_not_read_again(events: list[AnyEvent], data: st.DataObject) -> None:
    with desk_on_disk(DomainConfig()) as desk:
        desk.read(events)
        desk.commit(data.draw(nows_ms(events)))
        desk.note()
        desk.crash()
        assert desk.read_again == 0


def test_a_state_of_other_topics_or_a_damaged_one_is_not_used(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "state", "topic 1", 0)
    disk.put(b"tT1", b"value")
    disk.restored()
    disk.settle({HISTORIES: 5}, {}, 0)
    disk.close()
    disk = Disk(tmp_path / "state", "topic 1", 0)
    assert (disk.offset(HISTORIES), [*disk.items(b"t")]) == (5, [(b"T1", b"value")])
    disk.close()
    other = Disk(tmp_path / "state", "topic 2", 0)
    assert (other.offset(HISTORIES), [*other.items(b"t")]) == (0, [])
    other.settle({HISTORIES: 5}, {}, 0)
    other.close()
    for path in (tmp_path / "state").glob("CURRENT"):
        path.write_bytes(b"junk")
    damaged = Disk(tmp_path / "state", "topic 2", 0)
    assert damaged.offset(HISTORIES) == 0
    damaged.close()


def test_a_state_that_was_not_written_for_long_is_not_used(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "state", "topic 1", 0)
    disk.settle({HISTORIES: 5}, {}, 0)
    disk.close()
    assert Disk(tmp_path / "state", "topic 1", 21 * 3_600_000).offset(HISTORIES) == 0


def test_two_workers_can_not_share_a_state(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "state", "topic 1", 0)
    with pytest.raises(RuntimeError, match="is held by another process; give each worker its own"):
        Disk(tmp_path / "state", "topic 1", 0)
    disk.close()
