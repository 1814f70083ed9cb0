"""Reading the settings: one TOML file and the environment, and saying of a wrong value where it stands."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from deskpulse.settings import Settings
from deskpulse.settings_types import is_secret

PREFIX: Final = "DESKPULSE_"
CONFIG_VARIABLE: Final = "DESKPULSE_CONFIG"
DEFAULT_FILE: Final = Path("deskpulse.toml")
Key = tuple[str, ...]


class SettingsError(Exception):
    """Settings that cannot be used; each problem is a line that says where, what, and what would be right."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class FieldAt:
    """One setting: its key, and how it is declared."""

    key: Key
    info: FieldInfo

    @property
    def secret(self) -> bool:
        """Is its value never to be shown?"""
        return SecretStr in (self.info.annotation, *get_args(self.info.annotation))

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + "__".join(self.key).upper()


def section_of(info: FieldInfo) -> type[BaseModel] | None:
    """The section that a field is, None of a value."""
    for kind in (info.annotation, *get_args(info.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def all_fields(model: type[BaseModel] = Settings, above: Key = ()) -> Iterator[FieldAt]:
    """Every setting in the order of declaration."""
    for name, info in model.model_fields.items():
        section = section_of(info)
        if section is None:
            yield FieldAt((*above, name), info)
        else:
            yield from all_fields(section, (*above, name))


class _Environment(BaseSettings, Settings):
    """The same fields, for pydantic-settings to find in the environment; values stay text, the fields parse them."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", enable_decoding=False)


def read(config: Path | None = None) -> Settings:
    """See ``deskpulse.settings.load``."""
    path, text, from_file = _read_file(config)
    _refuse_near_misses()
    from_environment = EnvSettingsSource(_Environment)()
    _read_secret_files(from_file, str(path), path.parent if path else Path())
    _read_secret_files(from_environment, "environment", Path())
    try:
        return Settings.model_validate(_merged(from_file, from_environment))
    except ValidationError as error:
        found = error.errors(include_url=False)
    raise SettingsError([_explained(problem, path, text, from_environment) for problem in found])


def _read_file(config: Path | None) -> tuple[Path | None, str, dict[str, Any]]:
    named = config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    path = named or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
    if path is None:
        return None, "", {}
    try:
        text = path.read_text(encoding="utf-8")
        return path, text, tomllib.loads(text)
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}; expected a TOML file of settings"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: not TOML: {error}"]) from None


def _refuse_near_misses() -> None:
    """A variable that means no setting but nearly does is a mistake; all other variables are somebody else's."""
    names = [*Settings.model_fields]
    problems = []
    for variable in sorted(os.environ):
        rest = variable.removeprefix(PREFIX).lower()
        if rest == variable.lower():
            continue
        section, nested, _ = rest.partition("__")
        if nested and section not in names:
            problems.append(f"{variable}: there is no such section{_nearest(section, names)}")
        elif not nested and rest.partition("_")[0] in names and rest != rest.partition("_")[0]:
            section, _, key = rest.partition("_")
            problems.append(f"{variable}: means nothing; expected {PREFIX}{section.upper()}__{key.upper()}")
    if problems:
        raise SettingsError(problems)


def _read_secret_files(values: dict[str, Any], where: str, base: Path) -> None:
    """Replace each ``x_file`` of a secret ``x`` by ``x``, read from there without the end of its last line."""
    for field in all_fields():
        *sections, name = field.key
        table: Any = values
        for section in sections:
            table = table.get(section) if isinstance(table, dict) else None
        if not field.secret or not isinstance(table, dict) or f"{name}_file" not in table:
            continue
        key = ".".join(field.key)
        if name in table:
            raise SettingsError([f"{where}: `{key}` and `{key}_file` both stand there; expected one of them"])
        try:
            table[name] = (base / str(table.pop(f"{name}_file"))).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError([f"{where}: `{key}_file`: {error}; expected a readable file with the secret"]) from None


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _explained(problem: ErrorDetails, path: Path | None, text: str, from_environment: Mapping[str, Any]) -> str:
    loc = problem["loc"]
    key: Key = tuple(str(part) for part in loc if not isinstance(part, int))
    where = _where(key, path, text, from_environment)
    dotted = ".".join(key)
    if problem["type"] == "extra_forbidden":
        known = [".".join(field.key) for field in all_fields()] if len(key) > 1 else [*Settings.model_fields]
        return f"{where}: `{dotted}` is no setting{_nearest(dotted, known)}"
    if problem["type"] == "missing":
        return f"{where}: `{dotted}` is missing; expected beside the others of its table"
    shown = "" if _may_hold_secrets(key) else f" = {_shown(problem['input'])}"
    message = problem["msg"].removeprefix("Value error, ")
    message = re.sub(r"^(Input|String|Value|Tuple|List) should ", "should ", message)
    return f"{where}: `{dotted}`{shown}: {message}"


def _may_hold_secrets(key: Key) -> bool:
    """Is the value a secret, or a table in which one can stand?"""
    tables = [field.key[: len(key)] for field in all_fields() if field.secret or field.key[-1] == "options"]
    return key in tables or any(map(is_secret, key))


def _nearest(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1) or [
        key for key in known if get_close_matches(name.rpartition(".")[2], [key.rpartition(".")[2]])
    ]
    return (
        f"; did you mean `{near[0]}`?"
        if near
        else f"; there are {', '.join(sorted({k.partition('.')[0] for k in known}))}"
    )


def _shown(value: object) -> str:
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= 80 else text[:77] + "..."


def _where(key: Key, path: Path | None, text: str, from_environment: Mapping[str, Any]) -> str:
    table: Any = from_environment
    for part in key:
        table = table.get(part) if isinstance(table, Mapping) else None
    if table is not None:
        return PREFIX + "__".join(key).upper()
    if path is None:
        return "settings"
    line = line_of(key, text)
    return f"{path}:{line}" if line else str(path)


def line_of(key: Key, text: str) -> int | None:
    """The line (from 1) of a TOML text on which ``key`` is set, or on which its nearest table begins; best effort.

    A table of a list (``[[policies]]``) has the key of the list and then its ``name``, or its number from 1.
    """
    lines = text.splitlines()
    table: Key = ()
    items: dict[Key, list[str]] = {}
    best: tuple[int, int] | None = None
    for number, line in enumerate(lines, start=1):
        header = re.match(r"\s*(\[+)\s*([^\[\]]+?)\s*\]+", line)
        assigned = re.match(r"\s*([\w.\-\"' ]+?)\s*=", line)
        if header:
            parts = _parts(header[2])
            if header[1] == "[[":
                known = items.setdefault(parts, [])
                known.append(_name_below(lines[number:]) or str(len(known) + 1))
            listed = next((parts[:n] for n in range(1, len(parts) + 1) if parts[:n] in items), None)
            found = table = parts if listed is None else (*listed, items[listed][-1], *parts[len(listed) :])
        elif assigned:
            found = table + _parts(assigned[1])
        else:
            continue
        # Of two tables with one name, the second is one too many.
        again = found == key and key[-1:] == ("name",)
        if key[: len(found)] == found and (best is None or len(found) > best[0] or again):
            best = (len(found), number)
    return best[1] if best else None


def _name_below(lines: list[str]) -> str:
    """The ``name`` that a table gives itself, whose header stands above ``lines``; empty where it has none."""
    for line in lines:
        if re.match(r"\s*\[", line):
            break
        named = re.match(r"\s*name\s*=\s*[\"'](.*?)[\"']", line)
        if named:
            return named[1]
    return ""


def _parts(dotted: str) -> Key:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
