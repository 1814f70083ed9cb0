"""The Faust application on this transport: batches as messages, a checkpoint, and errors that end the worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faust

from streams.commit import Checkpoint

ClientSettings = Mapping[str, str | int | float | bool]
"""Settings of librdkafka, passed to every client as they are."""


def fail(app: faust.App, error: BaseException) -> None:
    """End the worker: nothing is delivered or committed any more, and the process exits with a code other than 0.

    May be called from any thread, any number of times; the first error counts. Returns at once.
    """
    raise NotImplementedError


class App(faust.App):
    """A Faust application on the ``deskpulse`` transport."""

    checkpoint: Checkpoint | None = None
    """Told of partitions that come and go; set it before the worker starts. Without one, nothing is committed."""

    def __init__(
        self,
        id: str,
        *,
        brokers: str,
        client: ClientSettings | None = None,
        revoke_seconds: float = 30.0,
        **options: Any,
    ) -> None:
        """Take what ``faust.App`` takes, and the brokers as ``host:port,host:port``.

        ``client``: librdkafka's settings for every client (security), see :data:`ClientSettings`.
        ``revoke_seconds``: how long a rebalance may wait for ``checkpoint.revoked``.
        """
        raise NotImplementedError

    def batches(self, *topics: str) -> Any:
        """The topics as the channel of an agent that receives a :class:`~streams.transport.consumer.Batch` at a time."""
        raise NotImplementedError
