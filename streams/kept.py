"""Where the state of a worker's partitions lies: in memory, or in a folder of this machine as well.

With a folder (``streams.disk``) what was committed is there, too, and only what came after it is read from Kafka when
partitions are assigned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from faust.types import TP

from schemas.outputs import CUSTOMER_TICKETS, HISTORIES
from streams import changelog, customers
from streams.config import DAY_MS, DomainConfig
from streams.customers import Customers
from streams.partition import Partition
from streams.published import Output
from streams.restore import Records
from streams.shelf import Store
from streams.telling import Teller
from streams.watermark import Watermark

if TYPE_CHECKING:
    from streams.disk import Disk

_TICKETS: Final = b"t"
_CUSTOMERS: Final = b"u"
_NOTES: Final = b"n"
_CUSTOMER_NOTES: Final = b"o"
_FINGERPRINT: Final = "fingerprint"


OpenDisk: TypeAlias = "Callable[[Path, int, Mapping[str, str], int], Disk]"
"""See :func:`open_disk`."""


class KeptPartition:
    """The state of one partition number, tickets and customers, with what is on the disk of it, if anything is."""

    def __init__(
        self,
        number: int,
        config: DomainConfig,
        watermark: Watermark,
        disk: Disk | None,
        teller: Teller | None = None,
    ) -> None:
        """``teller``: by default one of its own, see ``Partition``."""
        self._number = number
        self._disk = disk
        self._all_derived = False
        """Whether all of what is committed was derived by the rules of now."""
        tickets: Store | None = None
        of_customers: Store | None = None
        if disk is not None:
            from streams.disk import DiskShelf

            tickets, of_customers = DiskShelf(disk, _TICKETS), DiskShelf(disk, _CUSTOMERS)
        self.partition = Partition(number, config, watermark, teller, tickets)
        self.customers = Customers(config.fcr_days * DAY_MS, of_customers)
        if disk is None:
            return
        self.partition.restore(disk.items(_NOTES))
        self.customers.restore(disk.items(_CUSTOMER_NOTES))
        if disk.offset(HISTORIES) and disk.about(_FINGERPRINT) != self.partition.config.fingerprint:
            self.partition.outdate()

    def wanted(self) -> dict[TP, tuple[int, Callable[[Records], None]]]:
        """The changelogs that are to be read, from which offsets, and what takes them in."""
        starts = (0, 0) if self._disk is None else (self._disk.offset(HISTORIES), self._disk.offset(CUSTOMER_TICKETS))
        return {
            TP(HISTORIES, self._number): (starts[0], self._restore_tickets),
            TP(CUSTOMER_TICKETS, self._number): (starts[1], self._restore_customers),
        }

    def _restore_tickets(self, records: Records) -> None:
        self.partition.restore(records)
        self._note(_NOTES, changelog.is_note, records)

    def _restore_customers(self, records: Records) -> None:
        self.customers.restore(records)
        self._note(_CUSTOMER_NOTES, customers.is_note, records)

    def _note(self, place: bytes, is_note: Callable[[bytes, bytes | None], bool], records: Records) -> None:
        if self._disk is not None:
            for key, value in records:
                if is_note(key, value):
                    self._disk.put(place + key, value)

    def restored(self) -> None:
        """The changelogs were read."""
        if self._disk is not None:
            self._disk.restored()
        self.partition.restored()
        self.customers.restored()
        self._all_derived = not self.partition.outdated

    def cut(self, histories: Iterable[Output], customer_tickets: Iterable[Output]) -> None:
        """A cut was made, with these records for the changelogs."""
        if self._disk is not None:
            self._note(_NOTES, changelog.is_note, histories)
            self._note(_CUSTOMER_NOTES, customers.is_note, customer_tickets)
            self._disk.freeze()
            # A cut holds all that was woken to be derived anew; what is woken after it is in the next one.
            self._all_derived = not self.partition.outdated

    def committed(self) -> None:
        """The cuts that were made are committed."""
        if self._disk is not None:
            self._disk.committed()

    def settle(self, ends: Mapping[TP, int], now_ms: int) -> None:
        """Nothing is under way, and the changelogs end here: from here they are to be read the next time."""
        if self._disk is not None:
            # Derived by several rules it is under none: with those of before, too, all of it is to be derived anew.
            about = {_FINGERPRINT: self.partition.config.fingerprint if self._all_derived else b""}
            offsets = {tp.topic: end for tp, end in ends.items() if tp.partition == self._number}
            self._disk.settle(offsets, about, now_ms)

    def tidy(self) -> bool:
        """Let the state take less memory, for some milliseconds; whether that did anything."""
        return self.partition.tidy() or self.customers.tidy()

    def let_go(self) -> None:
        """Drop what can be made again, and what holds the memory of a backlog that is done with."""
        self.partition.let_go()
        self.customers.let_go()

    def renew(self) -> object:
        """See ``Partition.renew``; after all have let go."""
        return self.partition.renew()

    def close(self) -> None:
        """Let go of the disk."""
        if self._disk is not None:
            self._disk.close()


def open_disk(folder: Path, number: int, identities: Mapping[str, str], now_ms: int) -> Disk:
    """The database of one partition under ``folder``. ``identities``: of each changelog, what no other topic has.

    Raises ``RuntimeError`` where the package ``rocksdict`` is not installed, or another process has the folder.
    """
    try:
        from streams.disk import Disk
    except ImportError as error:
        raise RuntimeError(f"{error}; install the extra for it: pip install 'deskpulse[disk]'") from error
    return Disk(folder / f"partition-{number}", f"{sorted(identities.items())} {number}", now_ms)
