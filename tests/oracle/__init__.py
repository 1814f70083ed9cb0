"""A second program that says what the figures must be: plain, slow, written from ``docs/definitions.md`` alone.

It shares no code with ``streams`` but what the settings say (policies, calendars) and the names and numbers of measures
and buckets. Events are structs of ``schemas.events`` or dicts like their JSON, of any number of tickets, in any order,
repeated at will. Every answer is that at ``now_ms``, for the settings of a ``streams.config.DomainConfig``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from streams import measures
from streams.config import DomainConfig
from tests.oracle import counts
from tests.oracle.counts import Amounts, Contribution, Dims, add, amounts_of, by_group, numbered
from tests.oracle.desk import Desk
from tests.oracle.story import DAY_MS, RawEvent
from tests.oracle.ticket_facts import comparable, facts_of
from tests.oracle.waits import is_unanswered

__all__ = [
    "DAY_MS",
    "Amounts",
    "Answers",
    "Contribution",
    "OpenTicket",
    "Running",
    "add",
    "amounts_of",
    "backlog",
    "by_group",
    "cells",
    "comparable",
    "contributions",
    "facts",
    "numbered",
    "running",
    "sla",
    "sla_events",
    "window_totals",
]

DEFAULTS = DomainConfig()

SlaEvent = tuple[str, str, int, int, str, int]
"""Ticket, target, start, number of the instance, kind, time."""


@dataclass(frozen=True)
class OpenTicket:
    """One ticket of the backlog."""

    ticket_id: str
    status: str
    age_ms: int
    attributes: dict[str, str]
    unanswered: bool


@dataclass(frozen=True)
class Running:
    """One instance of a target that runs. Its state is ``in_time``, ``at_risk`` or ``breached``."""

    ticket_id: str
    target: str
    state: str
    attributes: dict[str, str]
    """Those in force now."""


class Answers:
    """Every answer of one question: of these events, at ``now_ms``, for these settings."""

    def __init__(self, events: Iterable[RawEvent], now_ms: int, config: DomainConfig = DEFAULTS) -> None:
        self._now_ms = now_ms
        self._config = config
        self._desk = Desk(events, now_ms, config)
        self._cells: dict[str, dict[tuple[int, Dims], Amounts]] = {}

    def facts(self) -> dict[str, dict[str, Any]]:
        """The facts by ticket id: as :func:`comparable` tells those of the program."""
        return {ticket_id: facts_of(story, self._desk) for ticket_id, story in self._desk.stories.items()}

    def sla(self) -> dict[str, list[dict[str, Any]]]:
        """The instances of each ticket's targets, by ticket id; see ``tests.oracle.agreements.Instance``."""
        desk = self._desk
        return {ticket_id: [instance.told() for instance in desk.instances[ticket_id]] for ticket_id in desk.stories}

    def sla_events(self) -> set[SlaEvent]:
        """The SLA events that hold: what was published less what was withdrawn."""
        return {
            (ticket_id, one.target, one.started_at_ms, one.number, kind, at_ms)
            for ticket_id, instances in self._desk.instances.items()
            for one in instances
            for kind, at_ms in one.happened()
        }

    def running(self) -> list[Running]:
        """The instances that run, by ticket id."""
        return [
            Running(ticket_id, instance.target, instance.state, self._desk.stories[ticket_id].attributes[-1])
            for ticket_id, instances in self._desk.instances.items()
            for instance in instances
            if instance.runs
        ]

    def backlog(self) -> list[OpenTicket]:
        """The open tickets, by ticket id."""
        return [
            OpenTicket(
                story.ticket_id,
                story.status,
                self._now_ms - story.created_at_ms,
                story.attributes[-1],
                is_unanswered(story),
            )
            for story in self._desk.stories.values()
            if story.began and story.merge is None and story.is_open
        ]

    @cached_property
    def contributions(self) -> list[Contribution]:
        """What all tickets contribute; nothing that is zero, but durations of zero milliseconds."""
        return [
            one
            for story in self._desk.stories.values()
            for one in counts.of_ticket(story, self._desk)
            if one.amount or one.measure in measures.DURATIONS
        ]

    def cells(self, resolution: str) -> dict[tuple[int, Dims], Amounts]:
        """The cells that are not empty, by the start of their pane and the values of the dimensions."""
        if resolution not in self._cells:
            self._cells[resolution] = counts.cells(self.contributions, resolution, self._config.dimensions)
        return self._cells[resolution]

    def window_totals(self, window: str) -> dict[Dims, Amounts]:
        """The sums over the panes of one of ``figures.WINDOWS_SECONDS``, by the values of the dimensions."""
        return counts.window_totals(self.cells(counts.resolution_of(window)), self._now_ms, window)


def facts(events: Iterable[RawEvent], now_ms: int, config: DomainConfig = DEFAULTS) -> dict[str, dict[str, Any]]:
    """See :meth:`Answers.facts`."""
    return Answers(events, now_ms, config).facts()


def sla(events: Iterable[RawEvent], now_ms: int, config: DomainConfig = DEFAULTS) -> dict[str, list[dict[str, Any]]]:
    """See :meth:`Answers.sla`."""
    return Answers(events, now_ms, config).sla()


def sla_events(events: Iterable[RawEvent], now_ms: int, config: DomainConfig = DEFAULTS) -> set[SlaEvent]:
    """See :meth:`Answers.sla_events`."""
    return Answers(events, now_ms, config).sla_events()


def running(events: Iterable[RawEvent], now_ms: int, config: DomainConfig = DEFAULTS) -> list[Running]:
    """See :meth:`Answers.running`."""
    return Answers(events, now_ms, config).running()


def backlog(events: Iterable[RawEvent], now_ms: int, config: DomainConfig = DEFAULTS) -> list[OpenTicket]:
    """See :meth:`Answers.backlog`."""
    return Answers(events, now_ms, config).backlog()


def contributions(events: Iterable[RawEvent], now_ms: int, config: DomainConfig = DEFAULTS) -> list[Contribution]:
    """See :attr:`Answers.contributions`."""
    return Answers(events, now_ms, config).contributions


def cells(
    events: Iterable[RawEvent], now_ms: int, resolution: str, config: DomainConfig = DEFAULTS
) -> dict[tuple[int, Dims], Amounts]:
    """See :meth:`Answers.cells`."""
    return Answers(events, now_ms, config).cells(resolution)


def window_totals(
    events: Iterable[RawEvent], now_ms: int, window: str, config: DomainConfig = DEFAULTS
) -> dict[Dims, Amounts]:
    """See :meth:`Answers.window_totals`."""
    return Answers(events, now_ms, config).window_totals(window)
