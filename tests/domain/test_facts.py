"""The batch computation: facts and agreements of whole histories are those of the oracle."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import AnyEvent
from streams.batch import batch
from streams.config import DomainConfig
from streams.sla import Instance
from tests import oracle
from tests.strategies import configs, deliveries, histories, nows_ms

pytestmark = pytest.mark.timeout(600)
"""What fails is made small for up to five minutes."""


def told(instance: Instance) -> dict[str, Any]:
    """An instance in the oracle's form."""
    return {
        "target": instance.target,
        "policy": instance.policy,
        "started_at_ms": instance.started_at,
        "number": instance.number,
        "due_at_ms": instance.due_at,
        "at_risk_at_ms": instance.at_risk_at,
        "at_risk_raised": instance.at_risk_raised,
        "ended_at_ms": instance.ended_at,
        "outcome": instance.outcome,
        "breached_at_ms": instance.breached_at,
        "overrun_ms": instance.overrun_ms,
        "remaining_ms": instance.remaining_ms,
    }


def delivered(data: st.DataObject, events: list[AnyEvent]) -> list[AnyEvent]:
    return [event for some in data.draw(deliveries(events)) for event in some]


@settings(max_examples=250)
@given(histories(), configs(), st.data())
def test_facts_and_the_instances_of_targets_are_those_of_the_oracle(
    events: list[AnyEvent], config: DomainConfig, data: st.DataObject
) -> None:
    now_ms = data.draw(nows_ms(events))
    found = batch(delivered(data, events), now_ms, config)
    assert {ticket: oracle.comparable(one.record) for ticket, one in found.items()} == oracle.facts(
        events, now_ms, config
    )
    assert {ticket: [told(instance) for instance in one.facts.sla] for ticket, one in found.items()} == oracle.sla(
        events, now_ms, config
    )
