"""What would become of a dead letter today: where it would be sent, and whether a worker would take it."""

from __future__ import annotations

from typing import Final, NamedTuple

from deskpulse.dlq.letters import Letter
from schemas.events import INPUT_TOPICS, TOPIC_OF_TYPE
from sinks.rows import SINK_TOPICS
from streams.dead_letters import judge

CLICKHOUSE: Final = "ClickHouse"
"""Where a letter of the sink goes: its row into its table."""
ROW_CODES: Final = frozenset({"clickhouse_refused", "unreadable_output"})
"""Why the sink refuses records. Whether it takes them now is known when it has tried."""
NO_INPUT: Final = "no_input"
"""The code of a letter that comes from no input topic, so that there is nowhere to send it to."""


class Verdict(NamedTuple):
    """Today's judgement of one letter."""

    topic: str
    """Where it belongs, or :data:`CLICKHOUSE`; empty where that is not known."""
    key: bytes | None
    """The key that it would be sent with: its own, or the ticket's id for a line of a file, which has none."""
    code: str
    """Why it would not be taken; empty where it would."""
    reason: str
    """In full; what the record held may be in it."""

    @property
    def accepted(self) -> bool:
        """Whether a worker would take it, as far as the record alone tells (its ticket may have left the horizon).

        Of a row: that it will be tried.
        """
        return not self.code


def verdict(letter: Letter, latest_ms: int | None) -> Verdict:
    """Judge a letter by today's code; ``latest_ms``: an event later than that can't be true."""
    if letter.is_of_file:
        return _of_line(letter.value, latest_ms)
    if letter.code in ROW_CODES and letter.origin_topic in SINK_TOPICS:
        return Verdict(CLICKHOUSE, letter.key, "", "")
    if letter.origin_topic not in INPUT_TOPICS:
        return Verdict("", letter.key, NO_INPUT, f"it comes from no input topic ({', '.join(INPUT_TOPICS)})")
    judged = judge(letter.key, letter.value, latest_ms)
    return Verdict(letter.origin_topic, letter.key, judged.code, judged.reason)


def _of_line(value: bytes | None, latest_ms: int | None) -> Verdict:
    """A line of a file has no key and no topic: they are the event's, where it is one."""
    judged = judge(None, value)
    event = judged.event
    if event is None:
        return Verdict("", None, judged.code, judged.reason)
    key = event.ticket_id.encode()
    judged = judge(key, value, latest_ms)
    return Verdict(TOPIC_OF_TYPE[str(event.__struct_config__.tag)], key, judged.code, judged.reason)
