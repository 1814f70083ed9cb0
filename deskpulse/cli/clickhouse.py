"""``deskpulse migrate`` and ``deskpulse sql``: the tables of ClickHouse, and questions to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deskpulse.cli.common import CommandError, ConfigOption, Format, FormatOption, emit, settings_from

if TYPE_CHECKING:
    from rich.console import Console

MIGRATE_EXAMPLE: Final = "Example: `deskpulse migrate`"
SQL_EXAMPLE: Final = 'Example: `deskpulse sql "SELECT status, count() FROM tickets(now=now64(3)) GROUP BY status"`'


def migrate(config: ConfigOption = None, answer: FormatOption = Format.text) -> None:
    """Bring ClickHouse's tables, views and retention up to date. Safe to run again."""
    from sinks.clickhouse import connect
    from sinks.migrations import migrate as bring_up_to_date

    settings = settings_from(config).clickhouse
    target = settings.target()
    client = connect(target)
    try:
        done = bring_up_to_date(client, target.database, settings.retention.kept())
    finally:
        client.close()
    told = done or ["nothing to do"]
    document = {"target": str(target), "database": target.database, "done": done}
    emit(document, answer, lambda console: console.print("\n".join(told), markup=False))


def sql(
    query: Annotated[str, typer.Argument(help="One statement of ClickHouse's SQL.")],
    config: ConfigOption = None,
    answer: FormatOption = Format.text,
) -> None:
    """Ask the configured ClickHouse; the answer is a table, or JSON: an object with columns and rows.

    Only asks: statements that would change anything are refused by the server (`readonly = 2`).
    """
    from sinks.clickhouse import connect, has_database

    target = settings_from(config).clickhouse.target()
    client = connect(target)
    try:
        if not has_database(client, target.database):
            raise CommandError(f"{target} has no database {target.database}; make it with `deskpulse migrate`")
        # A user who may only read anyway may not even say so.
        held = client.server_settings.get("readonly")
        result = client.query(query, settings={"readonly": 2} if held is None or held.value == "0" else None)
    finally:
        client.close()
    columns = list(result.column_names)
    rows = [dict(zip(columns, row, strict=True)) for row in result.result_rows]
    document = {"columns": columns, "rows": rows}
    emit(_plain(document), answer, lambda console: _show(console, columns, list(result.result_rows)))


def _plain(value: Any) -> Any:
    """The same, without what JSON has no word for: NaN and infinities are null, keys are text."""
    if isinstance(value, dict):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def _show(console: Console, columns: list[str], rows: list[Any]) -> None:
    from rich.table import Table

    numeric = [bool(rows) and all(isinstance(row[k], int | float | None) for row in rows) for k in range(len(columns))]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*("NULL" if value is None else str(value) for value in row))
    console.print(table, markup=False)
    console.print(f"{len(rows)} row{'' if len(rows) == 1 else 's'}", style="dim")
