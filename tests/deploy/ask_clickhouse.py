"""Runs statements on a ClickHouse inside this process, migrated and empty: JSON in, the columns of each answer out.

A process of its own, since one process has one ClickHouse.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from sinks.clickhouse import ClickHouseTarget, connect
from sinks.migrations import migrate


def main() -> None:
    with TemporaryDirectory() as folder:
        target = ClickHouseTarget(path=Path(folder))
        client = connect(target)
        migrate(client, target.database)
        client.command(f"USE {target.database}")
        columns = []
        for statement in json.load(sys.stdin):
            client.query(statement)
            columns.append(client.query(f"DESCRIBE TABLE ({statement})").result_columns[0])
        print(json.dumps(columns))


if __name__ == "__main__":
    main()
