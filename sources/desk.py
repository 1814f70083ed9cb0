"""The made-up support desk of the simulator: what it looks like, as numbers. Nothing is measured on a real one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Final


@dataclass(frozen=True)
class Channel:
    """How tickets of one channel go. Medians are of log-normal distributions."""

    name: str
    weight: float
    """Share of the tickets."""
    reply_median_seconds: float
    reply_sigma: float
    customer_median_seconds: float
    """Until the customer answers an agent."""
    solve_median_seconds: float
    """From the last agent's message to the solve."""
    rounds: float
    """Chance of one more question and answer, each time."""
    bot: float
    """Chance that a bot begins."""
    survey: float
    """Chance of a survey after the first solve."""
    always_open: bool
    """Answered at night and on weekends, too."""


CHANNELS: Final = (
    Channel("email", 0.36, 5400, 1.1, 7200, 900, 0.38, 0.0, 0.62, always_open=False),
    Channel("chat", 0.22, 55, 0.8, 50, 60, 0.50, 0.40, 0.55, always_open=True),
    Channel("phone", 0.20, 25, 0.7, 120, 240, 0.26, 0.0, 0.45, always_open=True),
    Channel("social", 0.08, 1500, 1.0, 1800, 600, 0.42, 0.10, 0.30, always_open=True),
    Channel("self_service", 0.10, 7200, 1.2, 5400, 900, 0.35, 0.55, 0.50, always_open=False),
    Channel("video", 0.02, 180, 0.7, 120, 300, 0.35, 0.0, 0.60, always_open=True),
    Channel("onsite", 0.02, 28800, 0.6, 7200, 3600, 0.20, 0.0, 0.60, always_open=False),
)

PRIORITIES: Final = ("low", "normal", "high", "urgent")
PRIORITY_WEIGHTS: Final = tuple(accumulate((0.18, 0.58, 0.18, 0.06)))
PRIORITY_PACE: Final = {"low": 1.5, "normal": 1.0, "high": 0.6, "urgent": 0.35}
"""Times of a reply, relative to normal."""

TEAM_OF_CATEGORY: Final = {
    "billing": "finance",
    "refund": "finance",
    "delivery": "logistics",
    "returns": "logistics",
    "login": "technical",
    "bug": "technical",
    "outage": "technical",
    "how_to": "frontline",
    "account": "frontline",
    "complaint": "care",
}
CATEGORIES: Final = tuple(TEAM_OF_CATEGORY)
CATEGORY_WEIGHTS: Final = tuple(accumulate((0.14, 0.08, 0.16, 0.08, 0.12, 0.09, 0.02, 0.17, 0.08, 0.06)))
TEAMS: Final = tuple(dict.fromkeys(TEAM_OF_CATEGORY.values()))
AGENTS_PER_TEAM: Final = 12

REGIONS: Final = (("eu", "de"), ("eu", "fr"), ("uk", "en"), ("us", "en"), ("us", "es"), ("apac", "en"), ("apac", "ja"))
TIERS: Final = ("free", "free", "free", "free", "pro", "pro", "pro", "enterprise")
JOURNEY_STAGES: Final = ("onboarding", "purchase", "use", "use", "use", "renewal")

HOURS_WEIGHT: Final = (
    0.12, 0.08, 0.06, 0.06, 0.08, 0.15, 0.35, 0.75, 1.35, 1.90, 2.05, 1.95,
    1.60, 1.75, 1.95, 1.90, 1.70, 1.45, 1.20, 1.05, 0.90, 0.70, 0.45, 0.25,
)  # fmt: skip
"""Arrivals by hour of the day, relative to each other."""
DAYS_WEIGHT: Final = (1.28, 1.20, 1.14, 1.10, 1.02, 0.66, 0.60)
"""Arrivals by day of the week, Monday first."""
OPENING_HOUR: Final = 8
CLOSING_HOUR: Final = 20
"""Agents of channels that are not always open work from Monday to Friday between these hours, UTC."""

INCIDENTS_PER_WEEK: Final = 5.0
INCIDENT_CATEGORIES: Final = ("outage", "outage", "login", "delivery", "billing")

ABANDONED: Final = 0.025
"""Share of tickets that nobody solves."""
REOPENED: Final = 0.06
REOPENED_AGAIN: Final = 0.15
"""Share of the reopened tickets that are solved once more and reopened once more."""
MERGED: Final = 0.006
MERGED_LATE: Final = 0.003
"""Share of tickets that turn out to be about the same as another when somebody has answered already."""
DELETED: Final = 0.005
CLOSED: Final = 0.25
"""Share of solved tickets that are closed formally, days later."""
RETURNING_CUSTOMER: Final = 0.28
SURVEY_KINDS: Final = ("csat", "nps", "ces")
SURVEY_KIND_WEIGHTS: Final = tuple(accumulate((0.78, 0.13, 0.09)))
SURVEY_ANSWERED: Final = 0.36
ANSWER_CORRECTED: Final = 0.02
TEN_POINT_TIERS: Final = ("enterprise",)
"""Their customers are asked for satisfaction on a scale from 1 to 10."""
SWITCHED_CHANNEL: Final = 0.05
"""Share of customers' answers that come on another channel."""
WROTE_TWICE: Final = 0.08
"""Share of customers' answers with a second message before anybody reacts."""
THANKED: Final = 0.04
"""Share of tickets whose customer says thanks when all is done: half of them before the solve, half after it."""
HANDED_OVER: Final = 0.06
"""Share of replies that another agent of the team gives, who takes the ticket over."""
MISATTRIBUTED: Final = 0.004
"""Share of tickets that were booked to another customer at first."""
