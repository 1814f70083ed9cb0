"""The story of one made-up ticket: from a customer's need to its last survey, as events in the contract's JSON."""

from __future__ import annotations

from datetime import date, timedelta
from math import exp
from random import Random
from typing import Final, TypeAlias

from schemas.events import MESSAGES, SURVEYS, TICKETS
from sources import desk
from sources.arrivals import DAY_MS, HOUR_MS, Arrival, weekday

Told: TypeAlias = tuple[int, str, bytes]
"""When it happened (ms since 1970), topic, value."""

_TIMES: Final = [f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400)]
_SCORES: Final = {
    "csat": ((5, 5, 5, 5, 4, 4), (3, 3, 2, 1)),
    "nps": ((10, 10, 9, 9, 9, 8, 8), (7, 6, 6, 4, 2, 0)),
    "ces": ((7, 6, 6, 5), (4, 4, 3, 2, 1)),
}
"""What satisfied and dissatisfied customers give."""


class Storyteller:
    """Makes up one ticket after the other. The same ``rng`` and arrivals give the same stories, byte for byte."""

    def __init__(self, rng: Random, prefix: str, *, closes_at_night: bool) -> None:
        self._rng = rng
        self._prefix = prefix
        self._closes_at_night = closes_at_night
        self._tickets = 0
        self._customers = 0
        self._recent: list[tuple[int, str, str]] = []
        """Customer, category and ticket of the last thousand."""
        self._days: dict[int, str] = {}
        self._told: list[Told] = []
        self._ticket = ""
        self._ten_points = False
        self._events = 0
        self._surveys = 0

    def tell(self, arrival: Arrival) -> tuple[bytes, list[Told]]:
        """The key and the events of one more ticket, in the order in which they happened."""
        rng = self._rng
        self._tickets += 1
        self._ticket = f"{self._prefix}-{self._tickets:06d}"
        self._events = self._surveys = 0
        self._told = []
        channel = rng.choices(desk.CHANNELS, cum_weights=_CHANNEL_WEIGHTS)[0]
        priority = rng.choices(desk.PRIORITIES, cum_weights=desk.PRIORITY_WEIGHTS)[0]
        customer, category, earlier = self._customer_and_category(arrival)
        team = desk.TEAM_OF_CATEGORY[category]
        bot = rng.random() < channel.bot
        at = arrival.at_ms
        self._ten_points = desk.TIERS[customer % len(desk.TIERS)] in desk.TEN_POINT_TIERS
        booked_to = customer
        if earlier and rng.random() < desk.MISATTRIBUTED:
            booked_to = rng.choice(self._recent)[0]
        self._created(at, channel.name, priority, booked_to, category, team, bot)
        if booked_to != customer:
            self._event(TICKETS, at + self._about(200), "ticket.updated", f',"customer_id":"c{customer:06d}"')
        fate = rng.random()
        if fate < desk.DELETED:
            self._event(TICKETS, at + self._about(400), "ticket.deleted")
        elif fate < desk.DELETED + desk.MERGED and earlier:
            self._event(TICKETS, at + self._about(900), "ticket.merged", f',"into":"{earlier}"')
        else:
            pace = desk.PRIORITY_PACE[priority] * (1.8 if arrival.incident else 1.0)
            merged_into = earlier if rng.random() < desk.MERGED_LATE else ""
            self._worked(at, channel, team, pace, bot, merged_into)
        return self._ticket.encode(), self._told

    def _created(
        self, at: int, channel: str, priority: str, customer: int, category: str, team: str, bot: bool
    ) -> None:
        rng = self._rng
        region, language = desk.REGIONS[customer % len(desk.REGIONS)]
        origin = rng.random()
        fields = (
            f',"customer_id":"c{customer:06d}","channel":"{channel}","priority":"{priority}","category":"{category}"'
            f',"team":"{team}","region":"{region}","language":"{language}"'
            f',"tier":"{desk.TIERS[customer % len(desk.TIERS)]}"'
        )
        if customer % 3 == 0:
            fields += f',"journey_stage":"{desk.JOURNEY_STAGES[customer % len(desk.JOURNEY_STAGES)]}"'
        if bot:
            fields += ',"handler":"bot"'
        elif origin < 0.07:
            fields += f',"origin":"{"agent" if origin < 0.05 else "proactive"}"'
        self._event(TICKETS, at, "ticket.created", fields)
        if (bot or origin >= 0.07) and channel != "phone":
            self._message(at, "customer", "c")

    def _worked(self, at: int, channel: desk.Channel, team: str, pace: float, bot: bool, merged_into: str) -> None:
        """From the first answer to the last survey, or to the merge."""
        rng = self._rng
        started = at
        agent = f"{team}-{rng.randrange(desk.AGENTS_PER_TEAM):02d}"
        solved_by_bot = False
        if bot:
            at, solved_by_bot = self._bot(at)
        happy = 0.87
        if not solved_by_bot:
            at = self._handled(at, channel, agent, team, pace)
            if at - started > 4000 * channel.reply_median_seconds + 4 * HOUR_MS:
                happy -= 0.12
            if merged_into:
                self._event(TICKETS, at + self._about(300), "ticket.merged", f',"into":"{merged_into}"')
                return
            if rng.random() < desk.ABANDONED:
                return
            thanked = rng.random()
            said = at + self._about(120)
            at = self._open_from(max(at, said) + self._about(channel.solve_median_seconds, 0.9), channel)
            if thanked < desk.THANKED:
                self._message(said if thanked < desk.THANKED / 2 else at + self._about(600), "customer", "c")
            self._status(at, "solved", agent)
        self._survey(at, channel.survey, happy - 0.1 * solved_by_bot)
        again = 0.14 if solved_by_bot else desk.REOPENED
        while rng.random() < again:
            at += self._about(14_000, 1.2)
            self._message(at, "customer", "c")
            self._status(at + 1 + rng.randrange(900), "open", "automation")
            at = self._reply(at + 1000, channel, agent, pace)
            at += self._about(channel.solve_median_seconds)
            self._status(at, "solved", agent)
            self._survey(at, 0.25, 0.6)
            again = desk.REOPENED_AGAIN
        if rng.random() < desk.CLOSED:
            self._status(at + 3 * DAY_MS + rng.randrange(HOUR_MS), "closed", "automation")

    def _bot(self, at: int) -> tuple[int, bool]:
        """A bot's part, and whether it solved the ticket; if not, it hands over."""
        rng = self._rng
        at += 600 + rng.randrange(1500)
        self._message(at, "bot", "bot-1")
        while rng.random() < 0.4:
            at += self._about(35)
            self._message(at, "customer", "c")
            at += 600 + rng.randrange(1500)
            self._message(at, "bot", "bot-1")
        at += self._about(40)
        if rng.random() < 0.42:
            self._status(at, "solved", "bot-1")
            return at, True
        self._event(TICKETS, at, "ticket.updated", ',"handler":"human","actor":"bot-1"')
        return at, False

    def _handled(self, at: int, channel: desk.Channel, agent: str, team: str, pace: float) -> int:
        """What human agents do up to their last message."""
        rng = self._rng
        answered = self._open_from(at + self._about(channel.reply_median_seconds * pace, channel.reply_sigma), channel)
        assigned = at + (answered - at) * rng.randrange(20, 95) // 100
        self._event(TICKETS, assigned, "ticket.updated", f',"status":"open","agent_id":"{agent}","actor":"{agent}"')
        turn = rng.random()
        if turn < 0.05:
            other = desk.TEAMS[(desk.TEAMS.index(team) + 1) % len(desk.TEAMS)]
            self._event(TICKETS, assigned + 1 + (answered - assigned) // 2, "ticket.updated", f',"team":"{other}"')
        elif turn < 0.09:
            priority = "high" if turn < 0.07 else "urgent" if turn < 0.08 else "low"
            self._event(
                TICKETS, assigned + 1 + (answered - assigned) // 2, "ticket.updated", f',"priority":"{priority}"'
            )
        elif turn < 0.21:
            self._message(assigned + 1 + (answered - assigned) // 2, "agent", agent, "internal")
        at = answered + 2
        self._message(at, "agent", agent)
        while rng.random() < channel.rounds:
            waits = rng.random()
            if waits < 0.4:
                self._status(at + 1 + rng.randrange(500), "pending", agent)
            elif waits < 0.45:
                self._status(at + 1 + rng.randrange(500), "on_hold", agent)
            at += 1000 + self._about(channel.customer_median_seconds, 1.0)
            elsewhere = rng.random() < desk.SWITCHED_CHANNEL
            self._message(at, "customer", "c", channel=rng.choice(desk.CHANNELS).name if elsewhere else "")
            if waits < 0.45:
                self._status(at + 1, "open", "automation")
            if rng.random() < desk.WROTE_TWICE:
                self._message(at + self._about(20), "customer", "c")
            if rng.random() < desk.HANDED_OVER:
                agent = f"{team}-{rng.randrange(desk.AGENTS_PER_TEAM):02d}"
                self._event(TICKETS, at + 2, "ticket.updated", f',"agent_id":"{agent}","actor":"{agent}"')
            at = self._reply(at + 1, channel, agent, pace)
        return at

    def _reply(self, at: int, channel: desk.Channel, agent: str, pace: float) -> int:
        at = self._open_from(at + self._about(channel.reply_median_seconds * pace * 0.6, channel.reply_sigma), channel)
        self._message(at, "agent", agent)
        return at

    def _survey(self, at: int, chance: float, happy: float) -> None:
        rng = self._rng
        if rng.random() >= chance:
            return
        self._surveys += 1
        kind = rng.choices(desk.SURVEY_KINDS, cum_weights=desk.SURVEY_KIND_WEIGHTS)[0]
        about = f',"survey_id":"{self._ticket}-s{self._surveys}","kind":"{kind}"'
        at += self._about(600, 0.8)
        self._event(SURVEYS, at, "survey.sent", about)
        if rng.random() >= desk.SURVEY_ANSWERED:
            return
        at += self._about(5400, 1.3)
        self._answer(at, about, kind, rng.random() < happy)
        if rng.random() < desk.ANSWER_CORRECTED:
            self._answer(at + self._about(120), about, kind, True)

    def _answer(self, at: int, about: str, kind: str, happy: bool) -> None:
        score = self._rng.choice(_SCORES[kind][not happy])
        told = f',"score":{score}'
        if kind == "csat" and self._ten_points:
            told = f',"score":{2 * score},"scale_min":1,"scale_max":10'
        self._event(SURVEYS, at, "survey.answered", about + told)

    def _customer_and_category(self, arrival: Arrival) -> tuple[int, str, str]:
        """Who it is, what it is about, and the earlier ticket of the one who comes back."""
        rng = self._rng
        category = rng.choices(desk.CATEGORIES, cum_weights=desk.CATEGORY_WEIGHTS)[0]
        earlier = ""
        if self._recent and rng.random() < desk.RETURNING_CUSTOMER:
            customer, last, earlier = rng.choice(self._recent)
            if rng.random() < 0.5:
                category = last
        else:
            self._customers += 1
            customer = self._customers
        if arrival.incident:
            category = arrival.incident.category
        known = (customer, category, self._ticket)
        if len(self._recent) < 1000:
            self._recent.append(known)
        else:
            self._recent[rng.randrange(1000)] = known
        return customer, category, earlier

    def _status(self, at: int, status: str, actor: str) -> None:
        self._event(TICKETS, at, "ticket.updated", f',"status":"{status}","actor":"{actor}"')

    def _message(self, at: int, author: str, author_id: str, visibility: str = "public", channel: str = "") -> None:
        told = f',"author":"{author}","author_id":"{author_id}","visibility":"{visibility}"'
        if channel:
            told += f',"channel":"{channel}"'
        self._event(MESSAGES, at, "message.sent", told)

    def _event(self, topic: str, at: int, kind: str, fields: str = "") -> None:
        self._events += 1
        ticket = self._ticket
        day = at // DAY_MS
        date = self._days.get(day) or self._date(day)
        time = _TIMES[at % DAY_MS // 1000]
        self._told.append(
            (
                at,
                topic,
                (
                    f'{{"id":"{ticket}-{self._events}","type":"{kind}","ticket_id":"{ticket}"'
                    f',"at":"{date}T{time}.{at % 1000:03d}Z"{fields}}}'
                ).encode(),
            )
        )

    def _date(self, day: int) -> str:
        self._days[day] = text = (date(1970, 1, 1) + timedelta(days=day)).isoformat()
        return text

    def _about(self, median_seconds: float, sigma: float = 0.7) -> int:
        """A log-normal duration in milliseconds, at least 1."""
        return 1 + int(1000 * median_seconds * exp(self._rng.gauss(0.0, sigma)))

    def _open_from(self, at: int, channel: desk.Channel) -> int:
        """``at``, or a while after the next opening where nobody works then."""
        if channel.always_open or not self._closes_at_night:
            return at
        hour = at % DAY_MS // HOUR_MS
        day = weekday(at)
        if day < 5 and desk.OPENING_HOUR <= hour < desk.CLOSING_HOUR:
            return at
        midnight = at - at % DAY_MS
        if day >= 5 or hour >= desk.CLOSING_HOUR:
            midnight += DAY_MS * (3 if day == 4 else max(1, 7 - day) if day >= 5 else 1)
        return midnight + desk.OPENING_HOUR * HOUR_MS + self._about(2400, 0.9)


_CHANNEL_WEIGHTS: Final = tuple(sum(c.weight for c in desk.CHANNELS[: k + 1]) for k in range(len(desk.CHANNELS)))
