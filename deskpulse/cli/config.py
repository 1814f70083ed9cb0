"""``deskpulse config``: the settings that hold."""

from __future__ import annotations

import json
from typing import Any, Final

from deskpulse.cli.common import ConfigOption, Format, FormatOption, emit, settings_from

EXAMPLE: Final = "Example: `DESKPULSE_KAFKA__BOOTSTRAP=kafka:9092 deskpulse config`"
INLINE: Final = ("options", "hours", "when", "targets")
"""Tables with keys of the user's own; they stand on one line."""


def config(config: ConfigOption = None, answer: FormatOption = Format.text) -> None:
    """Show the settings that hold, from defaults, file and environment; secrets are masked. The text is TOML."""
    values = settings_from(config).model_dump(mode="json")
    emit(values, answer, lambda console: console.print(_toml(values).strip(), markup=False))


def _toml(values: dict[str, Any], header: str = "") -> str:
    """The values as a settings file; what is absent is a comment."""
    lines, tables = [header] if header else [], []
    for key, value in values.items():
        path = f"{header.strip('[]')}.{key}".lstrip(".")
        if value is None:
            lines.append(f"# {key} is not set")
        elif isinstance(value, dict) and key not in INLINE:
            tables.append(_toml(value, f"[{path}]"))
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            tables += [_toml(one, f"[[{path}]]") for one in value]
        else:
            lines.append(f"{key} = {_value(value)}")
    text = "\n".join(lines) + "\n\n" if len(lines) > 1 else ""
    return text + "".join(tables)


def _value(value: Any) -> str:
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return f"{{{', '.join(f'{json.dumps(name)} = {_value(held)}' for name, held in value.items())}}}"
