"""What settings are made of: sections, and types with their checks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

from deskpulse.durations import Duration, MaybeDuration, format_duration
from schemas.outputs import ATTRIBUTES
from streams.config import FCR_PARTS


def listed(value: object) -> object:
    """A list from the environment: ``channel,priority`` or JSON."""
    if not isinstance(value, str):
        return value
    return json.loads(value) if value.startswith("[") else [part.strip() for part in value.split(",") if part.strip()]


def mapped(value: object) -> object:
    """A table from the environment: JSON."""
    return json.loads(value) if isinstance(value, str) else value


def once(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list that names something twice."""
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands there twice; expected each once")
    return values


def _positive(duration: timedelta | None) -> timedelta | None:
    if duration is not None and duration <= timedelta(0):
        raise ValueError("expected a duration above 0")
    return duration


@dataclass(frozen=True)
class OneOf:
    """The values that a text may have; a check, and what the reference page shows."""

    allowed: tuple[str, ...]

    def __get_pydantic_core_schema__(self, kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(kind))

    def _check(self, value: str) -> str:
        if value not in self.allowed:
            raise ValueError(f"expected one of {', '.join(self.allowed)}")
        return value


Dimension = Annotated[str, OneOf(ATTRIBUTES)]
FcrPart = Annotated[str, OneOf(FCR_PARTS)]
Role = Annotated[str, OneOf(("processor", "sink"))]
Port = Annotated[int, Field(ge=1, le=65535)]


def longer_than(least: timedelta, what: str) -> AfterValidator:
    """A check that a duration is longer than ``least``, which is ``what``."""

    def check(duration: timedelta | None) -> timedelta | None:
        if duration is not None and duration <= least:
            raise ValueError(f"expected more than {format_duration(least)}, {what}")
        return duration

    return AfterValidator(check)


def is_secret(name: str) -> bool:
    """Does an option of this name hold a secret?"""
    return any(
        word in name.lower() for word in ("password", "secret", "token", "key.pem", "sasl.jaas", "oauthbearer.config")
    )


hides_secrets = PlainSerializer(
    lambda options: {name: "**********" if is_secret(name) else value for name, value in options.items()},
    return_type=dict,
    when_used="json",
)

PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
PositiveOrUnlimited = Annotated[MaybeDuration, AfterValidator(_positive)]


class Section(BaseModel):
    """A table of the settings file: frozen, and closed to keys that mean nothing."""

    # An error of pydantic's own would show what was given, secrets included.
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False, hide_input_in_errors=True)
