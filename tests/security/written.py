"""The rights that docs/security.md says are enough: what the tests run with."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text()


def kafka_rights() -> list[tuple[str, str, str]]:
    """Kind of resource, what its name begins with, operation."""
    rows = re.findall(r"^\| (topic|group|transactional-id) \| `(.+)` \| (.+) \|$", PAGE, re.MULTILINE)
    return [(kind, name, operation) for kind, name, operations in rows for operation in operations.split(", ")]


def clickhouse_grants(user: str) -> list[str]:
    """The grants of a user, without the user's name."""
    return re.findall(rf"^(GRANT .+) TO {user};$", PAGE, re.MULTILINE)
