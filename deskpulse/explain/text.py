"""An explained ticket on a terminal."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deskpulse.explain.explanation import Explanation, Promise
from deskpulse.explain.reasons import Fact

STYLES: Final = {
    "event": "bold",
    "at_risk": "yellow",
    "breached": "red",
    "met": "green",
    "stopped": "red",
    "started": "cyan",
    "resumed": "cyan",
}
_NO_WIDTH: Final = 10_000
_OUTCOMES: Final = {"met": "green", "breached": "red", "active": "cyan"}


def show(console: Console, ticket: Explanation) -> None:
    """Print the timeline, the service-level targets and the facts of one ticket."""
    # What is not a terminal has no width, and is searched by lines.
    if not console.is_terminal:
        console.width = _NO_WIDTH
    console.print(Text(f"{ticket.ticket_id} as of {ticket.as_of} ({ticket.zone})", style="bold underline"))
    console.print(_timeline(ticket))
    if ticket.promises:
        console.print(_promises(ticket.promises))
    console.print(_facts(ticket.facts))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", show_header=any(columns))
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _timeline(ticket: Explanation) -> Table:
    table = _table("", "")
    before = ""
    for row in ticket.timeline:
        mark = "" if row.kind == "event" else "  · "
        table.add_row(Text(row.at if row.at != before else "", style="dim"), Text(mark + row.text, _style(row.kind)))
        before = row.at
    return table


def _style(kind: str) -> str:
    return STYLES.get(kind, "")


def _promises(promises: list[Promise]) -> Table:
    table = _table("\ntarget", "\ntimes", "\nwhy")
    for one in promises:
        told = Text.assemble(one.target, "\n", (one.outcome, _OUTCOMES.get(one.outcome, "")), f"\npolicy {one.policy}")
        table.add_row(told, f"started {one.started}\n    due {one.due}\n  ended {one.ended}", Text(one.why))
    return table


def _facts(facts: list[Fact]) -> Table:
    table = _table("\nfact", "\nvalue", "\nopening hours", "\nwhy")
    for fact in facts:
        table.add_row(fact.name, Text(fact.value), fact.business, Text(fact.why))
    return table
