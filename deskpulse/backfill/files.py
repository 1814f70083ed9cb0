"""Events from files: what the archive lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from schemas.bad_records import BadRecordError, UnknownTypeError
from schemas.events import decode
from sources.files import read_batches
from streams.pseudonyms import Pseudonyms

OnBad = Callable[[str, int, str], None]


class FromFiles(NamedTuple):
    """What some files hold."""

    tickets: dict[str, list[bytes]]
    """Ticket to its events as they stand there."""
    events: int
    bad: int
    """Lines that are no event."""


def read(names: Sequence[str], pseudonyms: Pseudonyms | None, on_bad: OnBad) -> FromFiles:
    """All events of some files (``-`` is standard input). Raises ``sources.files.InputError``.

    ``pseudonyms`` replaces persons' ids. ``on_bad`` is told the file, the number of the line and what is wrong with it.
    """
    tickets: dict[str, list[bytes]] = {}
    events = bad = 0
    for name in names:
        for batch in read_batches(name):
            for number, line in enumerate(batch.lines, batch.first_line):
                if not line.strip():
                    continue
                try:
                    event = decode(line)
                except BadRecordError as error:
                    bad += 1
                    on_bad(name, number, str(error))
                except UnknownTypeError:
                    continue
                else:
                    events += 1
                    kept = line if pseudonyms is None else msgspec.json.encode(pseudonyms.hide(event))
                    tickets.setdefault(event.ticket_id, []).append(kept)
    return FromFiles(tickets, events, bad)
