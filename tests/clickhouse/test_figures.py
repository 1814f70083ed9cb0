from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from schemas.outputs import CELLS, Cell
from sinks.clickhouse import ClickHouseSink
from streams.figures import FIGURES, MINUTE_WINDOWS, WINDOWS_SECONDS
from tests.clickhouse.records import (
    HOUR_MS,
    MINUTE_MS,
    NOW_MS,
    batches,
    figures_by,
    last_of_each,
    of_cells,
    random_cells,
    rows,
    totals,
)

DAY_MS = 24 * HOUR_MS


def assert_figures(found: Mapping[str, Any], cells: list[Cell]) -> None:
    summed = totals(cells)
    assert found == {figure.name: figure.value(summed) for figure in FIGURES}


def in_window(cells: list[Cell], seconds: int, pane_ms: int) -> list[Cell]:
    last = NOW_MS // pane_ms * pane_ms
    return [cell for cell in cells if last - 1000 * seconds < cell.pane_at_ms <= last]


def test_every_figure_of_every_window_is_what_python_makes_of_the_same_cells(database: tuple[Client, str]) -> None:
    client, name = database
    sink = ClickHouseSink(client, name)
    dice = random.Random(20260601)
    cells = {
        0: [
            *random_cells(dice, 40, "minute", 6 * MINUTE_MS, MINUTE_MS),
            *random_cells(dice, 120, "minute", DAY_MS + HOUR_MS, MINUTE_MS),
            *random_cells(dice, 120, "hour", 31 * DAY_MS, HOUR_MS),
        ],
        1: [
            *random_cells(dice, 60, "minute", 2 * HOUR_MS, MINUTE_MS),
            *random_cells(dice, 60, "hour", 8 * DAY_MS, HOUR_MS),
        ],
    }
    for partition, of_partition in cells.items():
        sink.insert(CELLS, partition, of_cells(of_partition))
    held = [cell for of_partition in cells.values() for cell in last_of_each(of_partition)]

    for window, seconds in WINDOWS_SECONDS.items():
        resolution, pane_ms = ("minute", MINUTE_MS) if window in MINUTE_WINDOWS else ("hour", HOUR_MS)
        inside = in_window([cell for cell in held if cell.resolution == resolution], seconds, pane_ms)
        assert_figures(figures_by(client, "all", seconds)[""], inside)
        by_channel = figures_by(client, "channel", seconds)
        assert set(by_channel) == {cell.dimensions["channel"] for cell in inside}
        for channel, found in by_channel.items():
            assert_figures(found, [cell for cell in inside if cell.dimensions["channel"] == channel])


def test_batches_repetition_and_merges_change_no_figure(database: tuple[Client, str]) -> None:
    client, name = database
    sink = ClickHouseSink(client, name)
    dice = random.Random(7)
    records = of_cells(random_cells(dice, 150, "hour", 2 * DAY_MS, HOUR_MS))
    assert sum(sink.insert(CELLS, 3, batch) for batch in batches(dice, records)) > 0
    once = figures_by(client, "team", WINDOWS_SECONDS["7d"])
    assert once

    for _ in range(3):
        start = dice.randrange(len(records))
        for batch in batches(dice, records[start:]):
            sink.insert(CELLS, 3, batch)
    assert figures_by(client, "team", WINDOWS_SECONDS["7d"]) == once
    client.command("OPTIMIZE TABLE cells_hour FINAL")
    assert figures_by(client, "team", WINDOWS_SECONDS["7d"]) == once
    assert rows(client, "SELECT count() AS n FROM cells") == rows(client, "SELECT count() AS n FROM cells_hour")


def test_what_was_taken_back_counts_no_longer(database: tuple[Client, str]) -> None:
    client, name = database
    sink = ClickHouseSink(client, name)
    pane = NOW_MS // MINUTE_MS * MINUTE_MS

    def cell(**measures: int) -> Cell:
        dimensions = {"channel": "email"}
        return Cell(
            resolution="minute", pane_at_ms=pane, as_of_ms=NOW_MS, dimensions=dimensions, measures=dict(measures)
        )

    sink.insert(CELLS, 0, of_cells([cell(created=2, first_reply_ms=100, first_reply_b5=2)]))
    assert figures_by(client, "all", 300)[""]["first_reply_count"] == 2
    sink.insert(CELLS, 0, of_cells([cell()], first_offset=1))
    assert_figures(figures_by(client, "all", 300)[""], [])


def test_without_anything_counts_are_zero_and_ratios_have_no_value(database: tuple[Client, str]) -> None:
    client, _ = database
    found = figures_by(client, "all", 3600)[""]
    assert found["created"] == 0
    assert found["fcr_ratio"] is None
    assert found["first_reply_seconds_mean"] is None
    assert found["first_reply_seconds_p50"] is None
    assert_figures(found, [])
    assert figures_by(client, "channel", 3600) == {}


def figures_of(database: tuple[Client, str], **measures: int) -> Mapping[str, Any]:
    client, name = database
    pane = NOW_MS // MINUTE_MS * MINUTE_MS
    cell = Cell(resolution="minute", pane_at_ms=pane, as_of_ms=NOW_MS, dimensions={}, measures=measures)
    ClickHouseSink(client, name).insert(CELLS, 0, of_cells([cell]))
    return figures_by(client, "all", 300)[""]


def test_the_interval_of_csat_is_that_of_the_literature(database: tuple[Client, str]) -> None:
    # Newcombe, Two-sided confidence intervals for the single proportion, Statist. Med. 17 (1998), table I, method 3.
    found = figures_of(database, csat_answers=263, csat_satisfied=81)
    assert (round(found["csat_ratio_low"], 4), round(found["csat_ratio_high"], 4)) == (0.2553, 0.3662)


def test_the_net_flow_is_what_came_less_what_went_and_can_be_negative(database: tuple[Client, str]) -> None:
    assert figures_of(database, created=5, reopens=2, solves=11)["net_flow"] == -4


def test_attainment_is_what_was_met_of_what_was_decided(database: tuple[Client, str]) -> None:
    found = figures_of(database, sla_resolution_met=3, sla_resolution_breached=1, sla_next_reply_breached=2)
    assert (found["sla_resolution_met"], found["sla_resolution_breached"]) == (3, 1)
    assert found["sla_resolution_attainment_ratio"] == 0.75
    assert found["sla_next_reply_attainment_ratio"] == 0
    assert found["sla_first_reply_attainment_ratio"] is None


def test_figures_over_time_are_those_of_each_step(database: tuple[Client, str]) -> None:
    client, name = database
    sink = ClickHouseSink(client, name)
    dice = random.Random(11)
    minutes = last_of_each(random_cells(dice, 50, "minute", HOUR_MS, MINUTE_MS))
    hours = last_of_each(random_cells(dice, 50, "hour", DAY_MS, HOUR_MS))
    sink.insert(CELLS, 0, of_cells([*minutes, *hours]))
    for cells, step, span in ((minutes, 300, HOUR_MS), (hours, 4 * 3600, DAY_MS)):
        first = (NOW_MS - span) // (1000 * step) * 1000 * step
        found = rows(
            client,
            f"SELECT toUnixTimestamp(pane) * 1000 AS pane_ms, * EXCEPT pane FROM figures_over_time(dimension = 'team', "
            f"step = {step}, since = fromUnixTimestamp64Milli({first}), until = NOW)",
        )
        assert len(found) > 4
        for row in found:
            pane, team = row.pop("pane_ms"), row.pop("value")
            assert_figures(
                row,
                [
                    cell
                    for cell in cells
                    if cell.pane_at_ms // (1000 * step) * 1000 * step == pane and cell.dimensions["team"] == team
                ],
            )


def test_a_dimension_that_does_not_exist_is_refused_with_those_that_do(database: tuple[Client, str]) -> None:
    client, _ = database
    for view in (
        "figures_by(dimension = 'chanel', seconds = 60, at = now())",
        "figures_over_time(dimension = 'chanel', step = 60, since = now(), until = now())",
        "backlog_by(dimension = 'chanel', at = now())",
    ):
        with pytest.raises(DatabaseError, match="no such dimension; expected one of all, channel, priority"):
            client.query(f"SELECT * FROM {view}")


def test_now_is_now_whatever_the_time_zone_of_the_reader(database: tuple[Client, str]) -> None:
    client, _ = database
    client.command("INSERT INTO cells_minute (pane_at, created, _offset) VALUES (toStartOfMinute(now()), 1, 1)")
    for zone in ("America/New_York", "Asia/Kolkata"):
        found = client.query(
            "SELECT created FROM figures_by(dimension = 'all', seconds = 300, at = now())",
            settings={"session_timezone": zone},
        )
        assert found.result_rows == [(1,)], zone
