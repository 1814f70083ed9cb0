"""What all of librdkafka's clients share: their settings, their log, their deadlines."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final, Protocol, TypeAlias

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ClusterMetadata  # type: ignore[attr-defined]  # public, but not declared as such

from streams.deadlines import RECONNECT_MS

ClientSettings: TypeAlias = Mapping[str, str | int | float | bool]
"""Settings of librdkafka by its names: ``bootstrap.servers``, ``security.protocol`` and the like. Never logged."""

LOG: Final = logging.getLogger("deskpulse.kafka")
_SELDOM_SECONDS: Final = 10.0
_MOST_TEXTS: Final = 200
_NUMBER: Final = re.compile(r"\d+")


class _Seldom(logging.Filter):
    """Lets the same text through once in a while: with a broker away, a client says so twenty times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        text, now = _NUMBER.sub("", record.getMessage()), monotonic()
        if now - self._last.get(text, -_SELDOM_SECONDS) < _SELDOM_SECONDS:
            return False
        if len(self._last) > _MOST_TEXTS:
            self._last.clear()
        self._last[text] = now
        return True


LOG.addFilter(_Seldom())


def client_config(
    client: ClientSettings, *, defaults: Mapping[str, Any] | None = None, fixed: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The settings of one client: ``client`` over ``defaults``, under what can't be changed, ``fixed``."""
    return {"logger": LOG, "reconnect.backoff.max.ms": RECONNECT_MS, **(defaults or {}), **client, **(fixed or {})}


def make_consumer(
    client: ClientSettings,
    group_id: str,
    *,
    defaults: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> confluent_kafka.Consumer:
    """The one place where consumers are made: each sees only what is committed, and commits nothing by itself."""
    always = {"group.id": group_id, "isolation.level": "read_committed", "enable.auto.commit": False}
    return confluent_kafka.Consumer(client_config(client, defaults=defaults, fixed={**(fixed or {}), **always}))


def kafka_error(error: BaseException) -> KafkaError | None:
    """The error that librdkafka gave, where there is one."""
    if isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError):
        return error.args[0]
    return None


_LOOK_SECONDS: Final = 0.25
"""How long to wait before asking whether there is any hope; connections go on being made meanwhile."""


class _Asks(Protocol):
    def list_topics(self, *, timeout: float) -> ClusterMetadata: ...

    def poll(self, timeout: float, /) -> object: ...


class UnansweredError(Exception):
    """The brokers did not answer, or do not know us; says what librdkafka found out."""

    final = False
    """Whether no waiting would help."""


class Reasons:
    """Why brokers do not answer: what librdkafka tells its ``error_cb``, which an instance is."""

    def __init__(self) -> None:
        self._last = ""
        self._all_down = ""
        self.final = ""
        """What no waiting helps against: an unknown user, a certificate that is not trusted."""

    def __call__(self, error: KafkaError) -> None:
        """Note an error."""
        text = error.str()
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._all_down = text
        else:
            self._last = text
        if error.code() == KafkaError._AUTHENTICATION or "certificate" in text:
            self.final = text

    def __str__(self) -> str:
        """What is known; '' while nothing is."""
        # librdkafka tells of no error of a connection that is taken and then closed.
        closed = f"{self._all_down}: they close the connection, as those do that expect another security.protocol"
        return self.final or self._last or (closed if self._all_down else "")


def metadata(client: _Asks, reasons: Reasons, deadline: Deadline) -> ClusterMetadata:
    """What the brokers say of themselves and of all topics, to a client whose ``error_cb`` is ``reasons``. Blocks.

    Raises :class:`UnansweredError` when the deadline is over, and before that when no waiting would help.
    """
    while True:
        try:
            return client.list_topics(timeout=_LOOK_SECONDS)
        except KafkaException as error:
            client.poll(0)
            if reasons.final or deadline.is_over:
                unanswered = UnansweredError(str(reasons) or error.args[0].str())
                unanswered.final = bool(reasons.final)
                raise unanswered from None


class Deadline:
    """A moment that several steps share."""

    def __init__(self, seconds: float) -> None:
        self._at = monotonic() + seconds

    @property
    def remaining_seconds(self) -> float:
        """What is left; 0 when it is over."""
        return max(0.0, self._at - monotonic())

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return monotonic() >= self._at
