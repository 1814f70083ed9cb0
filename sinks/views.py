"""The views of ClickHouse: every figure of ``streams.figures`` as a column, over any window, by any dimension.

The SQL is generated, formula by formula, from the same :data:`FIGURES` that Python evaluates for Prometheus and the
page. ``deploy/clickhouse/views.sql`` is what comes out, for people to read.
"""

# The SQL is made of this program's own constants; what a reader gives is a query parameter.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from schemas.outputs import ATTRIBUTES
from sinks.formulas import formula
from sinks.tables import MEASURE_COLUMNS, TABLES
from streams import buckets, measures
from streams.figures import FIGURES, MINUTE_WINDOWS, WINDOWS_SECONDS
from streams.live import ALL

LONGEST_OF_MINUTES: Final = max(WINDOWS_SECONDS[name] for name in MINUTE_WINDOWS)
"""A window of more seconds is made of hours."""
OPEN_STATUSES: Final = ("new", "open", "pending", "on_hold")


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _listed(items: Iterable[str], indent: int) -> str:
    return (",\n" + " " * indent).join(items)


def _of_dimension() -> str:
    """The value of the asked dimension; empty for ``all``."""
    cases = ", ".join(f"{{dimension:String}} = '{name}', toString({name})" for name in ATTRIBUTES)
    return f"multiIf({cases}, '')"


def _known_dimension() -> str:
    names = (ALL, *ATTRIBUTES)
    message = f"no such dimension; expected one of {', '.join(names)}"
    # A subquery is evaluated always; a plain condition only where there are rows.
    return f"(SELECT throwIf({{dimension:String}} NOT IN ({_quoted(names)}), '{message}')) = 0"


def _figures(group: tuple[str, ...], cells: str) -> str:
    """All figures of the rows of ``cells``, by the columns ``group``."""
    keys = ", ".join(group)
    sums = [f"sum({name}) AS n_{name}" for name in measures.COUNTS]
    for name in measures.DURATIONS:
        sums += [f"sum({name}_ms) AS ms_{name}", f"sumMap({name}_buckets) AS buckets_{name}"]
    ranks = [
        part
        for name in measures.DURATIONS
        for part in (
            f"arrayCumSum(mapValues(buckets_{name})) AS ranks_{name}",
            f"arraySum(mapValues(buckets_{name})) AS total_{name}",
        )
    ]
    return f"""WITH (SELECT middles_ms FROM bucket_middles) AS middles_ms
SELECT
    {_listed([*group, *(f"{formula(figure)} AS {figure.name}" for figure in FIGURES)], 4)}
FROM
(
    SELECT *,
        {_listed(ranks, 8)}
    FROM
    (
        SELECT {keys},
            {_listed(sums, 12)}
        FROM
        (
{cells}
        )
        GROUP BY {keys}
    )
)
ORDER BY {keys}"""


_MEASURES: Final = ", ".join(column.name for column in MEASURE_COLUMNS)
_ZEROS: Final = ", ".join(f"{column.zero} AS {column.name}" for column in MEASURE_COLUMNS)


def _figures_by() -> str:
    value = _of_dimension()

    def window(resolution: str, pane: str, condition: str) -> str:
        last = f"{pane}({{at:DateTime64(3)}}, 'UTC')"
        return f"""            SELECT {value} AS value, {_MEASURES}
            FROM cells_{resolution} FINAL
            WHERE {_known_dimension()} AND {condition}
                AND pane_at > {last} - toIntervalSecond({{seconds:UInt32}}) AND pane_at <= {last}"""

    cells = f"""{window("minute", "toStartOfMinute", f"{{seconds:UInt32}} <= {LONGEST_OF_MINUTES}")}
            UNION ALL
{window("hour", "toStartOfHour", f"{{seconds:UInt32}} > {LONGEST_OF_MINUTES}")}
            UNION ALL
            SELECT '' AS value, {_ZEROS}
            WHERE {_known_dimension()} AND {{dimension:String}} = '{ALL}'"""
    return _figures(("value",), cells)


def _figures_over_time() -> str:
    value = _of_dimension()
    pane = "toStartOfInterval(pane_at, toIntervalSecond({step:UInt32}), 'UTC')"

    def panes(resolution: str, condition: str) -> str:
        return f"""            SELECT {pane} AS pane, {value} AS value, {_MEASURES}
            FROM cells_{resolution} FINAL
            WHERE {_known_dimension()} AND {condition}
                AND pane_at >= {{since:DateTime64(3)}} AND pane_at < {{until:DateTime64(3)}}"""

    cells = f"""{panes("minute", "{step:UInt32} % 3600 != 0")}
            UNION ALL
{panes("hour", "{step:UInt32} % 3600 = 0")}"""
    return _figures(("pane", "value"), cells)


_NOW: Final = "now64(3)"
_AT: Final = "{at:DateTime64(3)}"


def _elapsed_seconds(since: str, now: str) -> str:
    return f"greatest(0, toUnixTimestamp64Milli({now}) - toUnixTimestamp64Milli({since})) / 1000"


_RUNS_IN: Final = {
    "requester_wait_seconds": ("new", "open", "on_hold"),
    "agent_work_seconds": ("new", "open"),
}
"""The sums of times in statuses, and in which."""


def _tickets(now: str) -> str:
    """Every ticket that is not deleted, once; the time in its status and its age go on to ``now`` while it is open."""
    names = [column.name for column in (*TABLES["ticket_facts"].identity, *TABLES["ticket_facts"].columns)]
    kept = [f"facts.{name} AS {name}" for name in names if name not in ("deleted", "status_seconds", *_RUNS_IN)]
    since = _elapsed_seconds("facts.as_of", now)
    running_map = f"map(toString(facts.status), facts.status_seconds[facts.status] + {since})"
    sums = [
        f"facts.{name} + if(is_open AND facts.status IN ({_quoted(statuses)}), {since}, 0) AS {name}"
        for name, statuses in _RUNS_IN.items()
    ]
    is_open = (
        f"facts.created_at IS NOT NULL AND facts.merged_into IS NULL AND facts.status IN ({_quoted(OPEN_STATUSES)})"
    )
    return f"""SELECT
    {_listed(kept, 4)},
    {is_open} AS is_open,
    if(is_open, mapUpdate(CAST(facts.status_seconds, 'Map(String, Float64)'), {running_map}),
        CAST(facts.status_seconds, 'Map(String, Float64)')) AS status_seconds,
    {_listed(sums, 4)},
    if(is_open, {_elapsed_seconds("facts.created_at", now)}, NULL) AS age_seconds
FROM ticket_facts AS facts FINAL
WHERE NOT facts.deleted"""


def _backlog_by() -> str:
    open_now = " OR ".join(f"status = '{status}'" for status in OPEN_STATUSES)
    by_status = [f"countIf(status = '{status}') AS {status}_tickets" for status in OPEN_STATUSES]

    def quantile(q: float) -> str:
        return f"if(empty(ages), NULL, ages[toUInt64(greatest(1, ceil({q} * length(ages))))])"

    return f"""SELECT
    value,
    {_listed([f"{status}_tickets" for status in OPEN_STATUSES], 4)},
    length(ages) AS tickets,
    unanswered_tickets,
    if(empty(ages), NULL, ages[-1]) AS oldest_age_seconds,
    {quantile(0.5)} AS p50_age_seconds,
    {quantile(0.9)} AS p90_age_seconds
FROM
(
    SELECT value,
        {_listed(by_status, 8)},
        countIf(unanswered) AS unanswered_tickets,
        arraySort(groupArrayIf(age, status != '')) AS ages
    FROM
    (
        SELECT {_of_dimension()} AS value, toString(status) AS status, unanswered,
            {_elapsed_seconds("assumeNotNull(created_at)", _AT)} AS age
        FROM ticket_facts FINAL
        WHERE {_known_dimension()}
            AND NOT deleted AND created_at IS NOT NULL AND merged_into IS NULL AND ({open_now})
        UNION ALL
        SELECT '' AS value, '' AS status, false AS unanswered, 0 AS age
        WHERE {_known_dimension()} AND {{dimension:String}} = '{ALL}'
    )
    GROUP BY value
)
ORDER BY value"""


def _sla_log() -> str:
    """Of each instance and kind the newest row, raised or withdrawn; those withdrawn are left out."""
    table = TABLES["sla_events"]
    key = [column.name for column in table.identity if column.name not in ("kind", "withdraws")]
    # In a tuple, since argMax passes over a NULL and would tell an older due time.
    told = [column.name for column in (*table.columns, *table.provenance)]
    newest = [f"tupleElement(newest, {place}) AS {name}" for place, name in enumerate(told, 1)]
    return f"""SELECT
    {_listed([*key, "raised AS kind", *newest], 4)}
FROM
(
    SELECT {", ".join(key)}, if(kind = 'retracted', withdraws, kind) AS raised,
        argMax(kind, _offset) AS newest_kind,
        argMax(({", ".join(told)}), _offset) AS newest
    FROM sla_events
    GROUP BY {", ".join(key)}, raised
)
WHERE newest_kind != 'retracted'"""


def _all_cells() -> str:
    names = ", ".join(column.name for column in (*TABLES["cells_hour"].identity, *TABLES["cells_hour"].columns))
    return "\nUNION ALL\n".join(
        f"SELECT '{resolution}' AS resolution, {names}\nFROM cells_{resolution} FINAL"
        for resolution in ("minute", "hour")
    )


_TOLD: Final[dict[str, tuple[str, str]]] = {
    "bucket_middles": (
        "What each bucket of durations stands for, in milliseconds: bucket b is middles_ms[b + 1].",
        f"SELECT [{', '.join(repr(ms) for ms in buckets.MIDDLES_MS)}] AS middles_ms",
    ),
    "cells": ("What was counted, every cell once.", _all_cells()),
    "figures_by": (
        "Every figure over the window that ends with the pane of `at`, by one dimension (`all`: over everything).\n"
        f"Windows up to {LONGEST_OF_MINUTES} seconds are made of whole minutes, longer ones of whole hours.\n"
        "SELECT * FROM figures_by(dimension = 'channel', seconds = 3600, at = now())",
        _figures_by(),
    ),
    "figures_over_time": (
        "Every figure of each `step` seconds from `since` to before `until`, by one dimension.\n"
        "A step of whole hours is made of hours, any other of minutes.\n"
        "SELECT * FROM figures_over_time(dimension = 'all', step = 300, since = now() - 3600, until = now())",
        _figures_over_time(),
    ),
    "tickets": (
        "The facts of every ticket, once, without the deleted. The elapsed clocks of open ones go on to now; those\n"
        "within opening hours are as of the ticket's last event.",
        _tickets(_NOW),
    ),
    "tickets_at": ("The same with the clocks of open tickets as of `at`.", _tickets(_AT)),
    "backlog_by": (
        "The open tickets and their ages as of `at`, by one dimension.\n"
        "SELECT * FROM backlog_by(dimension = 'team', at = now())",
        _backlog_by(),
    ),
    "sla_log": (
        "What happened to service-level targets, each once, without what was withdrawn since.",
        _sla_log(),
    ),
    "archive": (
        "Every accepted record of the inputs, once as often as it was published.",
        "SELECT * FROM events FINAL",
    ),
}

VIEWS: Final[dict[str, str]] = {name: f"CREATE OR REPLACE VIEW {name} AS\n{sql}" for name, (_, sql) in _TOLD.items()}
"""Name to statement, in the order in which they can be made."""


def views_sql() -> str:
    """All views as SQL with what they are for: ``deploy/clickhouse/views.sql``."""
    parts = ["-- Generated by `deskpulse generate` from streams/figures.py; `deskpulse migrate` makes these views.\n"]
    for name, (told, _) in _TOLD.items():
        comment = "\n".join(f"-- {line}" for line in told.splitlines())
        parts.append(f"{comment}\n{VIEWS[name]};\n")
    return "\n".join(parts)
