"""All tickets of a question, and what one says about another of the same customer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from streams.config import DomainConfig
from tests.oracle.agreements import Instance, instances_of
from tests.oracle.story import DAY_MS, Event, RawEvent, Story, plain
from tests.oracle.surveys import is_failure, is_recovery

RECOVERY_MS = 30 * DAY_MS


class Desk:
    """Stories by ticket id, and the instances of their targets."""

    def __init__(self, events: Iterable[RawEvent], now_ms: int, config: DomainConfig) -> None:
        self.config = config
        by_ticket: dict[str, list[Event]] = defaultdict(list)
        for event in map(plain, events):
            by_ticket[event["ticket_id"]].append(event)
        self.stories = {
            ticket_id: Story(ticket_id, by_ticket[ticket_id], now_ms, config) for ticket_id in sorted(by_ticket)
        }
        self.instances: dict[str, list[Instance]] = {
            ticket_id: instances_of(story) if story.began else [] for ticket_id, story in self.stories.items()
        }
        self._of_customer: dict[str, list[Story]] = defaultdict(list)
        for story in self.stories.values():
            if story.lives:
                self._of_customer[story.attributes[-1]["customer_id"]].append(story)

    def is_repeated(self, story: Story) -> bool:
        """Came another ticket of the customer about the same, within the days of FCR after the first solve?"""
        solved_at_ms = story.solves[0].at_ms
        limit_ms = solved_at_ms + self.config.fcr_days * DAY_MS
        return any(
            solved_at_ms < other.created_at_ms <= limit_ms
            for other in self._same_customer(story)
            if other is not story
            and other.merge is None
            and other.attributes[-1]["category"] == story.attributes[-1]["category"]
        )

    def failures(self, story: Story) -> list[tuple[int, dict[str, str]]]:
        """When the ticket failed its customer, in order, with the attributes that it then had."""
        answers = [
            (story.answered[survey_id].at_ms, story.attributes_of_survey(story.answered[survey_id]))
            for survey_id in sorted(story.answered, key=lambda survey_id: story.answered[survey_id].position)
            if is_failure(story.answered[survey_id].event)
        ]
        breaches = [
            (instance.breached_at_ms, story.attributes_at(instance.breached_at_ms))
            for instance in self.instances[story.ticket_id]
            if instance.breached_at_ms is not None
        ]
        return sorted([*answers, *breaches], key=lambda failure: failure[0])

    def is_recovered(self, story: Story) -> bool | None:
        """Was the customer content within 30 days of a failure? None without one."""
        failures = self.failures(story)
        if not failures:
            return None
        return any(
            failed_at_ms < answer.at_ms <= failed_at_ms + RECOVERY_MS
            for failed_at_ms, _ in failures
            for other in self._same_customer(story)
            for answer in other.answered.values()
            if is_recovery(answer.event)
        )

    def _same_customer(self, story: Story) -> Iterator[Story]:
        yield from self._of_customer[story.attributes[-1]["customer_id"]]
