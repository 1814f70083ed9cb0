"""The cells of ClickHouse as they lie there: by pane and values of the dimensions."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.client import Client

from schemas.outputs import ATTRIBUTES
from sinks.tables import BUCKET_COLUMNS, COUNT_COLUMNS, MEASURE_COLUMNS, SUM_COLUMNS
from streams.attributes import Dimensions

_PLAIN: Final = [column.name for column in (*COUNT_COLUMNS, *SUM_COLUMNS)]
_BUCKETS: Final = [(column.name, column.name.removesuffix("uckets")) for column in BUCKET_COLUMNS]
"""Columns of buckets, and what the names of their measures begin with."""
_FIXED: Final = ("toUnixTimestamp64Milli(pane_at)", "_offset", *ATTRIBUTES)
_TIMES: Final = """\
SELECT _partition, max(toUnixTimestamp64Milli(as_of)) FROM
(SELECT _partition, as_of FROM cells_minute UNION ALL SELECT _partition, as_of FROM cells_hour) GROUP BY _partition"""
_NO_END: Final = 2**62

Values = tuple[str, ...]
"""Of every attribute, empty where it is no dimension."""


class HeldCell(NamedTuple):
    """One row."""

    offset: int
    measures: dict[str, int]
    """Those that are not zero, by their names."""


Panes = dict[int, dict[Values, HeldCell]]
"""The cells by the beginning of their pane in milliseconds since 1970."""


def times(client: Client) -> dict[int, int]:
    """How far the time of each partition had come, at least: as its newest cells say, milliseconds since 1970."""
    return {int(partition): int(at) for partition, at in client.query(_TIMES).result_rows}


def partitions(client: Client) -> set[int]:
    """The partitions that have cells."""
    return set(times(client))


def read(client: Client, resolution: str, partition: int, since_ms: int, until_ms: int = _NO_END) -> Panes:
    """The cells of one partition with ``since_ms <= pane_at < until_ms``."""
    measures = [column.name for column in MEASURE_COLUMNS]
    # The SQL is made of this program's own constants.
    query = f"""SELECT {", ".join((*_FIXED, *measures))} FROM cells_{resolution} FINAL
WHERE _partition = {{partition:Int32}} AND pane_at >= fromUnixTimestamp64Milli({{since:Int64}})
    AND toUnixTimestamp64Milli(pane_at) < {{until:Int64}}"""  # noqa: S608
    parameters = {"partition": partition, "since": since_ms, "until": until_ms}
    panes: Panes = {}
    for row in client.query(query, parameters=parameters).result_rows:
        held = _measures(dict(zip(measures, row[len(_FIXED) :], strict=True)))
        panes.setdefault(row[0], {})[tuple(row[2 : len(_FIXED)])] = HeldCell(row[1], held)
    return panes


def _measures(row: dict[str, Any]) -> dict[str, int]:
    found = {name: row[name] for name in _PLAIN if row[name]}
    for column, prefix in _BUCKETS:
        if row[column]:
            found.update({f"{prefix}{bucket}": number for bucket, number in row[column].items()})
    return found


def whole(dimensions: Dimensions, number: int) -> Values:
    """A combination of dimensions as it stands in a row."""
    named = dimensions.named(number)
    return tuple([named.get(name, "") for name in ATTRIBUTES])


def told(values: Values) -> str:
    """A combination of dimensions for people."""
    return (
        ", ".join(f"{name}={value}" for name, value in zip(ATTRIBUTES, values, strict=True) if value) or "no dimensions"
    )
