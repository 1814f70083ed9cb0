"""Nobody answers a ticket, and somebody is told: worker, Prometheus, Alertmanager, webhook."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deskpulse.local.kafka import LocalKafka
from deskpulse.local.worker import LocalWorker, is_ready
from schemas.events import INPUT_TOPICS, MESSAGES, TICKETS
from sources.publisher import Publisher
from streams.topics import default_specs, ensure_topics
from tests.alerts.servers import Webhook, alertmanager, prometheus, webhook

PARTITIONS = 2
TARGET = timedelta(seconds=4)
SETTINGS = f"""
[[policies]]
name = "vip"
when = {{ priority = ["urgent"] }}
targets = {{ first_reply = "{TARGET.seconds}s" }}
"""
DUE_TO_WEBHOOK = timedelta(seconds=10)
"""Within this of its due time a breach of an urgent ticket is told; usually it is 2 seconds."""


class Desk:
    """A desk whose customers write to ``publisher`` and whose breaches are told to ``hook``."""

    def __init__(self, publisher: Publisher, hook: Webhook) -> None:
        self.hook = hook
        self._publisher = publisher

    def happens(self, topic: str, **event: str) -> datetime:
        """Publish an event of the ticket that happens now, and say when that is."""
        now = datetime.now(UTC)
        told = {"id": event["type"], "ticket_id": "T1", "at": now.isoformat(), **event}
        self._publisher.send(topic, [{"key": b"T1", "value": json.dumps(told).encode()}])
        self._publisher.flush()
        return now


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """With worker, Prometheus and Alertmanager up and ready."""
    (tmp_path / "deskpulse.toml").write_text(SETTINGS)
    with ExitStack() as until_the_end:
        hook = until_the_end.enter_context(webhook())
        told = until_the_end.enter_context(alertmanager(hook, tmp_path))
        kafka = until_the_end.enter_context(LocalKafka())
        client = {"bootstrap.servers": kafka.bootstrap}
        ensure_topics(client, default_specs(PARTITIONS))
        settings = {
            "DESKPULSE_CONFIG": str(tmp_path / "deskpulse.toml"),
            "DESKPULSE_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "DESKPULSE_KAFKA__PARTITIONS": str(PARTITIONS),
            "DESKPULSE_WORKER__ROLES": "processor",
        }
        worker = until_the_end.enter_context(LocalWorker(settings, tmp_path / "worker.log"))
        worker.wait_until(is_ready, "ready", 60)
        until_the_end.enter_context(prometheus(worker.url.removeprefix("http://"), told, tmp_path))
        publisher = Publisher(client)
        publisher.connect(INPUT_TOPICS)
        yield Desk(publisher, hook)


def test_a_ticket_that_nobody_answers_is_told_until_somebody_does(desk: Desk) -> None:
    created_at = desk.happens(
        TICKETS, type="ticket.created", customer_id="C1", channel="chat", priority="urgent", team="billing"
    )
    page = desk.hook.await_alert("firing", 30, alertname="SlaBreached")
    by_channel = desk.hook.await_alert("firing", 10, alertname="SlaBreachedOnChannel")

    assert page.receiver == "pages"
    assert page.labels == {
        "alertname": "SlaBreached", "severity": "page", "target": "first_reply", "priority": "urgent",
    }  # fmt: skip
    assert page.annotations == {
        "summary": "SLA breached, first_reply of urgent tickets",
        "description": "Open and past their first_reply target now: 1 of priority urgent. "
        "Of any priority, by channel: chat 1.",
        "runbook_url": "docs/runbooks/SlaBreached.md",
    }
    assert timedelta() < page.at - (created_at + TARGET) < DUE_TO_WEBHOOK
    assert by_channel.receiver == "warnings"
    assert by_channel.labels == {
        "alertname": "SlaBreachedOnChannel", "severity": "warning", "target": "first_reply", "channel": "chat",
    }  # fmt: skip
    assert by_channel.annotations["runbook_url"] == "docs/runbooks/SlaBreachedOnChannel.md"

    desk.happens(MESSAGES, type="message.sent", author="agent", author_id="A1", visibility="public")
    desk.hook.await_alert("resolved", 30, **page.labels)
    desk.hook.await_alert("resolved", 10, **by_channel.labels)

    assert {one.labels["alertname"] for one in desk.hook.got} == {"SlaBreached", "SlaBreachedOnChannel"}
