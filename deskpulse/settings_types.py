"""What settings are made of: sections, and types with their checks."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from deskpulse.durations import Duration, MaybeDuration
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


def _one_of(allowed: tuple[str, ...]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}")
        return value

    return AfterValidator(check)


Dimension = Annotated[str, _one_of(ATTRIBUTES)]
FcrPart = Annotated[str, _one_of(FCR_PARTS)]
Role = Annotated[str, _one_of(("processor", "sink"))]
Port = Annotated[int, Field(ge=1, le=65535)]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
PositiveOrUnlimited = Annotated[MaybeDuration, AfterValidator(_positive)]


class Section(BaseModel):
    """A table of the settings file: frozen, and closed to keys that mean nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)
