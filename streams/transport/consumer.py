"""The consumer: Faust's interface on the main loop."""

from __future__ import annotations

import confluent_kafka
from faust.types import TP


class Batch(list[confluent_kafka.Message]):
    """Records of one partition in the order of their offsets: the value that an agent receives. Never empty."""

    tp: TP
    start: int
    """Where the batch before it ended (its ``end``), or where reading began: equal to the offset applied so far."""
    end: int
    """The next offset to read after this batch; the offset to commit once it is applied."""


class Consumer:
    """Reads the partitions assigned by the group; ``app.consumer``."""

    def at_end(self, tp: TP) -> bool:
        """Whether ``tp`` was read to its end and its agent has finished all batches that were read."""
        raise NotImplementedError

    def group_metadata(self) -> object:
        """The member's generation, for ``TransactionalCommitter.commit``; take it when the cut is made."""
        raise NotImplementedError

    def highwater(self, tp: TP) -> int:
        """The next offset that a record of ``tp`` will get, as last heard from the broker."""
        raise NotImplementedError

    def start_offset(self, tp: TP) -> int:
        """The committed offset from which ``tp`` is read since it was assigned (0 without one)."""
        raise NotImplementedError
