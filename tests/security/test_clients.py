"""Every client of Kafka takes the settings for security, and stands under a name that rights can be given to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = [path for name in ("streams", "sinks", "sources", "deskpulse") for path in (ROOT / name).rglob("*.py")]
OWN = ROOT / "deskpulse" / "local" / "kafka.py"
"""Asks the broker that it has just started, on loopback."""
KINDS = ("Producer", "Consumer", "AdminClient", "DeserializingConsumer", "SerializingProducer", "AIOProducer")


def clients() -> Iterator[tuple[str, ast.Call]]:
    for path in PRODUCT:
        if path == OWN or "confluent_kafka" not in path.read_text():
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in KINDS:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def takes_settings(call: ast.Call) -> bool:
    """`client_config(...)`, what was made by it, or a table with `**client` in it; no table that stands alone."""
    first = call.args[0] if call.args else None
    if isinstance(first, ast.Dict):
        return any(
            key is None and "client" in ast.unparse(value) for key, value in zip(first.keys, first.values, strict=True)
        )
    return first is not None and "config" in ast.unparse(first)


def test_every_client_is_made_with_the_settings() -> None:
    found = dict(clients())
    assert len(found) >= 7
    assert [where for where, call in found.items() if not takes_settings(call)] == []


def test_every_group_is_one_that_the_rights_are_given_to() -> None:
    names = {
        f"{path.relative_to(ROOT)}:{call.lineno}": call.args[1].value
        for path in PRODUCT
        if "make_consumer(" in path.read_text()
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "make_consumer"
        and isinstance(call.args[1], ast.Constant)
    }
    assert names
    assert [where for where, name in names.items() if not str(name).startswith("deskpulse-")] == []
