"""What all of librdkafka's clients share: their settings, their log, their deadlines."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final, TypeAlias

from confluent_kafka import KafkaError, KafkaException

ClientSettings: TypeAlias = Mapping[str, str | int | float | bool]
"""Settings of librdkafka by its names: ``bootstrap.servers``, ``security.protocol`` and the like. Never logged."""

LOG: Final = logging.getLogger("deskpulse.kafka")


def client_config(
    client: ClientSettings, *, defaults: Mapping[str, Any] | None = None, fixed: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The settings of one client: ``client`` over ``defaults``, under what can't be changed, ``fixed``."""
    return {"logger": LOG, **(defaults or {}), **client, **(fixed or {})}


def kafka_error(error: BaseException) -> KafkaError | None:
    """The error that librdkafka gave, where there is one."""
    if isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError):
        return error.args[0]
    return None


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
