"""The topics that deskpulse needs: what they are to be, making them, checking them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


class TopicError(Exception):
    """A topic could not be created or described."""


@dataclass(frozen=True)
class TopicSpec:
    """What a topic is to be; ``config`` are the broker's topic settings."""

    name: str
    partitions: int
    replication: int = 1
    config: Mapping[str, str] = field(default_factory=dict)


def default_specs(partitions: int, replication: int = 1) -> list[TopicSpec]:
    """The inputs, the outputs and the changelog, all with the same number of partitions."""
    raise NotImplementedError


def ensure_topics(
    client: Mapping[str, str | int | float | bool], specs: Iterable[TopicSpec], deadline_seconds: float = 30.0
) -> list[str]:
    """Create the topics that don't exist and return their names; raise :class:`TopicError`. Blocks."""
    raise NotImplementedError


def check_topics(
    client: Mapping[str, str | int | float | bool], specs: Sequence[TopicSpec], deadline_seconds: float = 30.0
) -> list[str]:
    """What is wrong with the topics, each a sentence that says what would be right; empty when all is well. Blocks."""
    raise NotImplementedError
