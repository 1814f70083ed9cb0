"""The parts of Grafana dashboards, as the JSON of Grafana's schema."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any, Final, TypeAlias

from sinks.benchmarks import Benchmark

Json: TypeAlias = dict[str, Any]

PROMETHEUS: Final[Json] = {"type": "prometheus", "uid": "prometheus"}
CLICKHOUSE: Final[Json] = {"type": "grafana-clickhouse-datasource", "uid": "clickhouse"}
WIDTH: Final = 24
"""Columns of a dashboard."""


def query(expression: str, legend: str = "", *, instant: bool = False, ref: str = "A") -> Json:
    """A question to Prometheus; ``instant`` for one moment instead of a course."""
    return {
        "datasource": PROMETHEUS,
        "refId": ref,
        "expr": expression,
        "legendFormat": legend or "__auto",
        "instant": instant,
        "range": not instant,
    }


def sql(statement: str, *, table: bool = False) -> Json:
    """A question to ClickHouse; a time series has a column ``time``."""
    # The plugin's own numbers: format 0 is a time series, 1 a table.
    return {
        "datasource": CLICKHOUSE,
        "refId": "A",
        "editorType": "sql",
        "queryType": "table" if table else "timeseries",
        "format": 1 if table else 0,
        "rawSql": statement,
    }


def steps(band: Benchmark | None) -> Json:
    """Colours by the benchmark: green from best practice on, blue for usual, orange beyond."""
    if band is None:
        return {"mode": "absolute", "steps": [{"color": "text", "value": None}]}
    if band.lower_is_better:
        steps: list[Json] = [{"color": "green", "value": None}]
        if band.best is not None:
            steps.append({"color": "blue", "value": band.best})
        steps.append({"color": "orange", "value": band.industry_high})
    else:
        steps = [{"color": "orange", "value": None}, {"color": "blue", "value": band.industry_low}]
        if band.best is not None:
            steps.append({"color": "green", "value": band.best})
    return {"mode": "absolute", "steps": steps}


def panel(kind: str, title: str, targets: Sequence[Json], size: tuple[int, int], **more: Any) -> Json:
    """A panel of ``kind`` with the answers to ``targets``, ``size`` columns and rows large.

    ``unit``, ``told`` (its description), ``band``, ``custom`` and ``options`` as Grafana has them; what else is given
    is a default of its fields.
    """
    unit, told, band = more.pop("unit", "short"), more.pop("told", ""), more.pop("band", None)
    custom, options = more.pop("custom", {}), more.pop("options", {})
    defaults: Json = {"unit": unit, "thresholds": steps(band), "custom": custom, "noValue": "–", **more}  # noqa: RUF001
    return {
        "type": kind,
        "title": title,
        "description": told,
        "datasource": targets[0]["datasource"],
        "targets": list(targets),
        "gridPos": {"w": size[0], "h": size[1]},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }


def stat(title: str, expression: str, unit: str, band: Benchmark | None = None, told: str = "", **more: Any) -> Json:
    """One number, coloured by its band."""
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False},
        "textMode": "value",
    }
    return panel("stat", title, [query(expression)], (3, 4), unit=unit, band=band, told=told, options=options, **more)


def series(title: str, targets: Sequence[Json], unit: str, width: int = 12, **more: Any) -> Json:
    """The course of some values."""
    custom = {"lineWidth": 2, "fillOpacity": 8, "showPoints": "never", "spanNulls": False} | more.pop("custom", {})
    options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, targets, (width, 8), unit=unit, custom=custom, options=options, **more)


def bars(title: str, expression: str, legend: str, unit: str, band: Benchmark | None = None) -> Json:
    """A bar for each value, the largest first."""
    options = {
        "orientation": "horizontal",
        "displayMode": "basic",
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False},
        "showUnfilled": True,
    }
    return panel(
        "bargauge", title, [query(f"sort_desc({expression})", legend, instant=True)], (8, 9),
        unit=unit, band=band, options=options, min=0,
    )  # fmt: skip


def row(title: str) -> Json:
    """A heading."""
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": WIDTH, "h": 1}}


def placed(panels: Iterable[Json]) -> list[Json]:
    """The panels from left to right, line by line, numbered."""
    x = y = tallest = 0
    numbers = count(1)
    placed = []
    for panel in panels:
        width, height = panel["gridPos"]["w"], panel["gridPos"]["h"]
        if x + width > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        placed.append({"id": next(numbers), **panel, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
        x, tallest = x + width, max(tallest, height)
    return placed


def choice(name: str, label: str, values: Iterable[str], chosen: str) -> Json:
    """A variable with some values."""
    listed = list(values)
    options = [{"text": value, "value": value, "selected": value == chosen} for value in listed]
    return {
        "type": "custom",
        "name": name,
        "label": label,
        "query": ",".join(listed),
        "options": options,
        "current": {"text": chosen, "value": chosen},
    }


def asked(name: str, label: str, query: str, chosen: str) -> Json:
    """A variable with the values that Prometheus gives."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": PROMETHEUS,
        "query": {"qryType": 1, "query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "current": {"text": chosen, "value": chosen},
    }
