"""``deskpulse config``: the settings that hold."""

from __future__ import annotations

import json
from typing import Any, Final

from deskpulse.cli.common import ConfigOption, Format, FormatOption, emit, settings_from

EXAMPLE: Final = "Example: `DESKPULSE_KAFKA__BOOTSTRAP=kafka:9092 deskpulse config`"


def config(config: ConfigOption = None, answer: FormatOption = Format.text) -> None:
    """Show the settings that hold, from defaults, file and environment; secrets are masked. The text is TOML."""
    values = settings_from(config).model_dump(mode="json")
    emit(values, answer, lambda console: console.print(_toml(values).strip(), markup=False))


def _toml(values: dict[str, Any], table: str = "") -> str:
    """The values as a settings file; what is absent is a comment."""
    lines = [f"[{table}]"] if table else []
    for key, value in values.items():
        if value is None:
            lines.append(f"# {key} is not set")
        elif not isinstance(value, dict):
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
        elif key == "options":
            inline = ", ".join(f'"{name}" = {json.dumps(held)}' for name, held in value.items())
            lines.append(f"{key} = {{{inline}}}")
    text = "\n".join(lines) + "\n\n" if len(lines) > 1 else ""
    tables = ((key, value) for key, value in values.items() if isinstance(value, dict) and key != "options")
    return text + "".join(_toml(value, f"{table}.{key}" if table else key) for key, value in tables)
