"""Settings of privacy: whose ids are replaced by pseudonyms, and how long topics keep what they hold."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, Field, SecretStr

from deskpulse.durations import duration_ms
from deskpulse.settings_types import PositiveDuration, Section
from streams.pseudonyms import Pseudonyms

if TYPE_CHECKING:
    from streams.topics import TopicRetention

_LEAST_CHARACTERS: Final = 16


def _long_enough(key: SecretStr) -> SecretStr:
    length = len(key.get_secret_value())
    if 0 < length < _LEAST_CHARACTERS:
        raise ValueError(
            f"has {length} characters; expected at least {_LEAST_CHARACTERS}, like what `openssl rand -hex 32` prints"
        )
    return key


class TopicsKept(Section):
    """How long the topics that deskpulse makes keep their records; a topic that exists is left as it is."""

    inputs: PositiveDuration = Field(default=timedelta(days=7), description="Events.")
    outputs: PositiveDuration = Field(
        default=timedelta(days=7), description="What is published, and what workers tell each other."
    )
    refused: PositiveDuration = Field(default=timedelta(days=30), description="Late records and dead letters.")

    def kept(self) -> TopicRetention:
        """The same, as the topics take it."""
        from streams.topics import TopicRetention

        return TopicRetention(duration_ms(self.inputs), duration_ms(self.outputs), duration_ms(self.refused))


class Privacy(Section):
    """What becomes of people's ids (docs/privacy.md)."""

    customer_key: Annotated[SecretStr, AfterValidator(_long_enough)] = Field(
        default=SecretStr(""),
        description="Secret: customers' ids are replaced by a hash with this key as soon as they are read. Empty: they "
        "stay. The same for all workers and commands, and not to be changed.",
    )
    agents: bool = Field(default=False, description="Replace agents' ids, too; needs `customer_key`.")

    def pseudonyms(self) -> Pseudonyms | None:
        """What replaces ids, None without a key."""
        key = self.customer_key.get_secret_value()
        return Pseudonyms(key, agents=self.agents) if key else None
