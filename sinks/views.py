"""The views."""

VIEWS: dict[str, str] = {}
