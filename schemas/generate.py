"""The contracts as files: JSON Schema of every event and output, and one AsyncAPI 3 document over all topics.

Everything is read off the structs: names, types, limits and defaults from their annotations, descriptions from the
docstrings of the classes and of their fields.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from schemas import events, examples, outputs

Json: TypeAlias = dict[str, Any]

FOLDER: Final = Path("schemas/generated")
CONTRACT_VERSION: Final = "1.0.0"
"""Of the contracts, not of the program: a new optional field is a minor version, all else a major one."""
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
KAFKA_BINDING: Final = "0.5.0"

INPUTS: Final[dict[str, str]] = {
    events.TICKETS: "Tickets: created, changed, merged, deleted.",
    events.MESSAGES: "Who wrote when on a ticket; never what.",
    events.SURVEYS: "Surveys sent and answered.",
}
OUTPUTS: Final[dict[str, tuple[type[Struct], str, str]]] = {
    outputs.FACTS: (outputs.TicketFacts, "The facts of each ticket.", "The ticket's id."),
    outputs.CELLS: (outputs.Cell, "What was counted, by pane and dimensions.", "The cell's resolution, pane, values."),
    outputs.SLA_EVENTS: (outputs.SlaEvent, "What happened to service-level targets.", "The ticket's id."),
}
REFUSED: Final[dict[str, str]] = {
    outputs.LATE: "Events of tickets that have left the horizon.",
    outputs.DEAD_LETTERS: "Records that cannot be decoded.",
}
HEADERS: Final[dict[str, str]] = {
    "reason": "Why it was refused: a code, then field, value and what is allowed.",
    "origin_topic": "The topic that it was read from.",
    "origin_partition": "The partition that it was read from, in decimal.",
    "origin_offset": "Its offset there, in decimal.",
    "origin_timestamp_ms": "The timestamp of the record, milliseconds since 1970, in decimal.",
    outputs.WOULD_CHANGE_HEADER: "Of a late record: what it can touch, JSON of `WouldChange`.",
}
"""What the headers of refused records hold."""


def generate(root: Path) -> dict[Path, str]:
    """Every generated file under the project's folder ``root``, with its text."""
    files = {root / FOLDER / "asyncapi.json": asyncapi()}
    for name, event in events.TYPE_OF_NAME.items():
        files[root / FOLDER / "events" / f"{name}.json"] = json_schema(event, examples.EVENTS[name])
    for topic, (struct, _, _) in OUTPUTS.items():
        example = msgspec.to_builtins(examples.OUTPUTS[struct.__name__])
        files[root / FOLDER / "outputs" / f"{topic}.json"] = json_schema(struct, example)
    return {path: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for path, document in files.items()}


def write(root: Path) -> list[Path]:
    """Write what is new or different and remove what is generated no longer; returns the paths touched."""
    files = generate(root)
    stale = _stale(root, files)
    for path in stale:
        path.unlink()
    changed = [path for path, text in files.items() if _read(path) != text]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
    return changed + stale


def check(root: Path) -> list[str]:
    """What is wrong with the files under ``root``, one line each; empty where they are as generated."""
    files = generate(root)
    wrong = [
        f"{path.relative_to(root)}: {'missing' if _read(path) is None else 'not as generated'}; run `make generate`"
        for path, text in files.items()
        if _read(path) != text
    ]
    return wrong + [f"{path.relative_to(root)}: no such contract; run `make generate`" for path in _stale(root, files)]


def json_schema(struct: type[Struct], example: Json) -> Json:
    """The JSON Schema of one struct's records; what it refers to is under ``$defs``."""
    definitions = _definitions([struct], "#/$defs/{name}")
    own = definitions.pop(struct.__name__)
    return {"$schema": DIALECT} | own | {"examples": [example]} | ({"$defs": definitions} if definitions else {})


def asyncapi() -> Json:
    """One AsyncAPI 3.0 document: three topics that deskpulse reads, five that it writes."""
    channels: Json = {}
    operations: Json = {}
    messages: Json = {}
    for topic, told in INPUTS.items():
        kinds = [name for name, of in events.TOPIC_OF_TYPE.items() if of == topic]
        channels[topic] = _channel(topic, told, kinds)
        operations[f"read.{topic}"] = _operation("receive", topic, kinds)
        for name in kinds:
            messages[name] = _message(
                name, events.TYPE_OF_NAME[name], "The ticket's id, as UTF-8.", examples.EVENTS[name]
            )
    for topic, (struct, told, key) in OUTPUTS.items():
        channels[topic] = _channel(topic, told, [struct.__name__])
        operations[f"write.{topic}"] = _operation("send", topic, [struct.__name__])
        example = msgspec.to_builtins(examples.OUTPUTS[struct.__name__])
        messages[struct.__name__] = _message(struct.__name__, struct, key, example)
    for topic, told in REFUSED.items():
        channels[topic] = _channel(topic, told, ["RefusedRecord"])
        operations[f"write.{topic}"] = _operation("send", topic, ["RefusedRecord"])
    messages["RefusedRecord"] = _refused_record()
    structs: list[type[Struct]] = [
        *events.EVENT_TYPES,
        *(struct for struct, _, _ in OUTPUTS.values()),
        outputs.WouldChange,
    ]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "deskpulse",
            "version": CONTRACT_VERSION,
            "description": "Support-desk events in, live figures and service-level events out, over Kafka. The three "
            "input topics have the same number of partitions; every record's key is its ticket's id. Unknown fields "
            "are ignored, unknown types are counted and skipped. Read the outputs with "
            "`isolation.level=read_committed`.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": _definitions(structs, "#/components/schemas/{name}")},
    }


def _channel(topic: str, description: str, messages: list[str]) -> Json:
    return {
        "address": topic,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"kafka": {"topic": topic, "bindingVersion": KAFKA_BINDING}},
    }


def _operation(action: str, topic: str, messages: list[str]) -> Json:
    channel = f"#/channels/{topic}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in messages],
    }


def _message(name: str, struct: type[Struct], key: str, example: Json) -> Json:
    return {
        "name": name,
        "title": struct.__name__,
        "summary": _one_line(inspect.getdoc(struct) or ""),
        "payload": {"$ref": f"#/components/schemas/{struct.__name__}"},
        "bindings": _keyed(key),
        "examples": [{"name": "example", "payload": example}],
    }


def _refused_record() -> Json:
    return {
        "name": "RefusedRecord",
        "title": "RefusedRecord",
        "summary": "A record as it was, key and value whole; the headers say where it came from and why it is here.",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "properties": {
                name: {"type": "string", "description": HEADERS[name]}
                for name in (*outputs.DEAD_LETTER_HEADERS, outputs.WOULD_CHANGE_HEADER)
            },
            "required": list(outputs.DEAD_LETTER_HEADERS),
        },
        "payload": {"description": "The value of the refused record, byte by byte."},
        "bindings": _keyed("The key of the refused record, byte by byte."),
        "examples": [{"name": "example", "headers": examples.DEAD_LETTER_HEADERS}],
    }


def _keyed(description: str) -> Json:
    return {"kafka": {"key": {"type": "string", "description": description}, "bindingVersion": KAFKA_BINDING}}


def _definitions(structs: list[type[Struct]], ref_template: str) -> dict[str, Json]:
    """The schemas of ``structs`` and of what they refer to, by name, each field with its description."""
    _, definitions = msgspec.json.schema_components(structs, ref_template=ref_template)
    for name, definition in definitions.items():
        struct = getattr(events, name, None) or getattr(outputs, name)
        told = field_docs(struct)
        definition["description"] = _one_line(definition["description"])
        for field, schema in definition["properties"].items():
            if field in told:
                definition["properties"][field] = {"description": told[field]} | schema
    return dict(sorted(definitions.items()))


def field_docs(struct: type[Struct]) -> dict[str, str]:
    """The docstring under each field of a struct, its bases' included."""
    told: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if base.__module__ not in (events.__name__, outputs.__name__):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, docstring in zip(body.body, body.body[1:], strict=False):
            match field, docstring:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    told[name] = _one_line(text)
    return told


def _one_line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _stale(root: Path, files: Mapping[Path, str]) -> list[Path]:
    return sorted(path for path in (root / FOLDER).rglob("*.json") if path not in files)
