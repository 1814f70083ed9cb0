"""The live figures of the partitions that one worker owns, as values to export: read by Prometheus and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ALL = "all"
"""The name of the dimension that is none: the figure over everything. Its value is empty."""
OTHER = "other"
"""What the values of a dimension beyond the configured limit are added up under."""


SLA_STATES: Final = ("in_time", "at_risk", "breached")
"""Of an instance that runs."""


@dataclass(frozen=True)
class SlaLabels:
    """What breaches and the like are counted by since the worker began; beyond the limit values are `other`."""

    kind: str
    """As in ``schemas.outputs.SlaEvent``; a withdrawn breach is ``retracted``."""
    target: str
    policy: str
    channel: str
    priority: str


@dataclass(frozen=True)
class Group:
    """One value of one dimension, like ``channel`` ``email``; ``all`` with an empty value is everything."""

    dimension: str
    value: str


@dataclass(frozen=True)
class BacklogAge:
    """How old the open tickets of a group are, in seconds; None where there is none."""

    oldest_seconds: float | None
    p50_seconds: float | None
    p90_seconds: float | None


@dataclass(frozen=True)
class LiveFigures:
    """A picture of the figures at ``now_ms``, over the partitions that a worker owns."""

    now_ms: int
    totals: Mapping[str, Mapping[Group, Mapping[int, int]]]
    """Window (``streams.figures.WINDOWS_SECONDS``) to group to totals; evaluate with ``Figure.value``."""
    backlog: Mapping[Group, Mapping[str, int]]
    """Group to status to how many open tickets."""
    ages: Mapping[Group, BacklogAge]
    history: tuple[Mapping[int, int], ...] = field(default=())
    """The minute panes of the last hour over everything, oldest first: what the page draws."""
    unanswered: Mapping[Group, int] = field(default_factory=dict)
    """Group to how many open tickets wait for a reply."""
    sla: Mapping[Group, Mapping[tuple[str, str], int]] = field(default_factory=dict)
    """Group to target and state (:data:`SLA_STATES`) to how many instances run."""


@dataclass(frozen=True)
class Health:
    """Counters and lags of one worker since it started."""

    events: Mapping[str, int]
    """Events read, by input topic."""
    duplicates: int
    dead_letters: Mapping[str, int]
    """By reason code."""
    late: int
    skipped_types: int
    """Events of a type that deskpulse does not know."""
    tracked_tickets: int
    partitions: tuple[int, ...]
    watermark_lag_seconds: Mapping[int, float]
    """Partition to how far its watermark is behind the clock."""
    commit_age_seconds: float
    """How long ago the last transaction was committed."""
    commits: int
    input_lag: int
    """Records of the inputs that are not applied yet."""
    sink_lag: int = 0
    """Output records that are not in ClickHouse yet."""
    published: int = 0
    """Records of facts, cells and SLA events committed since the worker began."""
    sink_records: int = 0
    """Records of inputs and outputs that the sink has put into ClickHouse, or into the dead letters, since it began."""
    inner_lag: int = 0
    """Records of the customer step that this worker has published, less those that it has read."""
    sla_events: Mapping[SlaLabels, int] = field(default_factory=dict)
    """SLA events raised since the worker began."""
    dead_letter_shares: Mapping[str, float] = field(default_factory=dict)
    """Input topic to the share of refused records among its last ones, 0 to 1."""
    sink_failures: int = 0
    """Attempts to write into ClickHouse that failed since the last one that did not."""
    sink_failing_seconds: float = 0.0
    """Since the first of them; 0 when the last attempt did not fail."""
    sink_insert_age_seconds: float = 0.0
    """Since ClickHouse last took rows; before the first, since the sink began."""
    sink_oldest_age_seconds: float = 0.0
    """How long ago the oldest record that the sink has in hand was published; 0 when it has none."""
    replacements: int = 0
    """How often the worker has replaced its process after a failure, since somebody started it."""
