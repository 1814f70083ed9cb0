"""What is told of a late event: what it can touch, and nothing of a person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deskpulse.settings import load
from schemas.events import AnyEvent, SurveyAnswered, TicketDeleted, TicketUpdated, at_ms, decode
from schemas.outputs import WouldChange
from sources.simulator import SimulatorConfig, simulate
from streams.config import DAY_MS, DomainConfig
from streams.late import would_change
from streams.measures import COUNTS
from tests import oracle

START_MS = 1_780_272_000_000
"""2026-06-01T00:00Z."""
AT = datetime(2026, 6, 3, 10, 20, 30, tzinfo=UTC)
LEFT_MS = START_MS + 40 * DAY_MS
CONFIG = DomainConfig()
SETTINGS = Path(__file__).parents[2] / "deskpulse" / "demo.toml"


def told(event: AnyEvent, config: DomainConfig = CONFIG) -> WouldChange:
    return would_change(event, at_ms(event.at), LEFT_MS, LEFT_MS + 500, config)


def answered(**more: Any) -> SurveyAnswered:
    return SurveyAnswered(id="E", ticket_id="T", at=AT, survey_id="S", **more)


@pytest.mark.parametrize(
    ("event", "measures"),
    [
        (answered(kind="csat", score=5), ["csat_answers", "csat_satisfied", "csat_score_milli", "recovered_tickets"]),
        (answered(kind="csat", score=1), ["csat_answers", "csat_score_milli", "failed_tickets"]),
        (answered(kind="nps", score=7), ["nps_answers", "nps_passives"]),
        (answered(kind="ces", score=7), ["ces_answers", "ces_easy", "ces_score_milli"]),
    ],
)
def test_an_answer_tells_its_hour_and_the_counts_of_its_score(event: AnyEvent, measures: list[str]) -> None:
    found = told(event)
    assert found.measures == measures
    assert found.pane_at_ms == at_ms(AT.replace(minute=0, second=0))
    assert found.left_at_ms == LEFT_MS
    assert found.late_seconds == (LEFT_MS + 500 - at_ms(AT)) / 1000


def test_an_update_tells_which_dimensions_move_and_not_who_it_is_about() -> None:
    event = TicketUpdated(id="E", ticket_id="T", at=AT, team="secret-team", customer_id="C1", agent_id="A1", actor="A2")
    found = told(event)
    assert found.dimensions == ["team"]
    assert "no_repeat" in found.measures
    header = msgspec.json.encode(found)
    assert not any(word in header for word in (b"secret", b"C1", b"A1", b"A2"))


def test_a_deletion_puts_the_whole_ticket_at_stake() -> None:
    assert told(TicketDeleted(id="E", ticket_id="T", at=AT)).whole_ticket


def tickets() -> Iterator[list[AnyEvent]]:
    config = SimulatorConfig(START_MS, tickets=60, days=3, seed=4, complete=True)
    events = sorted((decode(value) for _, _, _, value in simulate(config)), key=lambda event: event.ticket_id)
    for _, some in groupby(events, key=lambda event: event.ticket_id):
        yield list(some)


def test_whatever_a_missing_event_changes_was_told() -> None:
    """Of every event of simulated tickets with agreements: the oracle's figures with it and without it."""
    config = load(SETTINGS).domain()
    now_ms, changed = START_MS + 60 * DAY_MS, 0
    for events in tickets():
        whole = oracle.cells(events, now_ms, "hour", config)
        for event in events:
            found = told(event, config)
            if found.whole_ticket or found.dimensions:
                continue
            rest = oracle.cells([other for other in events if other is not event], now_ms, "hour", config)
            panes = [pane for pane in whole.keys() | rest.keys() if whole.get(pane) != rest.get(pane)]
            names = {name for pane in panes for name in differing(whole.get(pane, {}), rest.get(pane, {}))}
            assert names <= set(found.measures), (event, names - set(found.measures))
            assert found.other_panes or all(pane_at == found.pane_at_ms for pane_at, _ in panes), event
            changed += bool(names)
    assert changed > 100


def differing(one: dict[str, int], other: dict[str, int]) -> set[str]:
    """The measures in which two cells differ; of a duration its name alone."""
    found = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    return {base(name) for name in found}


def base(name: str) -> str:
    if name in COUNTS:
        return name
    return re.sub(r"_b\d+$", "", name.removesuffix("_ms"))
