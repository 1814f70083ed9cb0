"""What the domain is told: the settings that facts and aggregates depend on, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streams.calendars import DAY_MS as DAY_MS
from streams.policies import NO_POLICIES, Policies
from streams.pseudonyms import Pseudonyms

FCR_PARTS: Final = ("one_touch", "no_followup", "no_reopen", "no_repeat")

FINGERPRINT_BYTES: Final = 4


@dataclass(frozen=True)
class DomainConfig:
    """Everything beside a ticket's events and the time that its facts depend on."""

    dimensions: tuple[str, ...] = ("channel", "priority", "team")
    """Attributes by which figures are kept, of ``schemas.outputs.ATTRIBUTES``."""
    fcr_parts: tuple[str, ...] = ("one_touch", "no_reopen", "no_repeat")
    """The parts that first-contact resolution is made of, of :data:`FCR_PARTS`."""
    fcr_days: int = 7
    horizon_ms: int | None = 31 * DAY_MS
    """How long after its last event a solved ticket is kept; None: for ever."""
    policies: Policies = NO_POLICIES
    pseudonyms: Pseudonyms | None = None
    """Replaces persons' ids in every event that is read; None: they stay."""
    fingerprint: bytes = bytes(FINGERPRINT_BYTES)
    """Bytes that are others whenever facts of the same events may be: by the settings above, or by other code. What
    a changelog holds under another fingerprint is derived anew."""
