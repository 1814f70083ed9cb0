"""Settings of privacy: whose ids are replaced by pseudonyms, and with which key."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr

from deskpulse.settings_types import Section
from streams.pseudonyms import Pseudonyms

_LEAST_CHARACTERS: Final = 16


def _long_enough(key: SecretStr) -> SecretStr:
    length = len(key.get_secret_value())
    if 0 < length < _LEAST_CHARACTERS:
        raise ValueError(
            f"has {length} characters; expected at least {_LEAST_CHARACTERS}, like what `openssl rand -hex 32` prints"
        )
    return key


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
