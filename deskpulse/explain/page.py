"""An explained ticket as a page of a worker. What events say is escaped; the page loads style sheets and an icon."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from deskpulse.explain.explanation import Explanation

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>{title} - deskpulse</title>
  <link rel="icon" href="../icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="../page.css">
  <link rel="stylesheet" href="../ticket.css">
</head>
<body>
  <header>
    <div class="brand">
      <img src="../icon.svg" alt="" width="34" height="34">
      <div><h1>{title}</h1><p class="readout">{about}</p></div>
    </div>
    <p class="readout"><a href="../">All figures</a>{json}</p>
  </header>
  <main>{main}</main>
</body>
</html>
"""
_PROMISES: Final = ("Target", "Outcome", "Policy", "Started", "Due", "Ended", "Late", "Why")
_FACTS: Final = ("Fact", "Value", "Opening hours", "Why")


def page(ticket: Explanation) -> str:
    """The whole page of one ticket, HTML."""
    main = _panel("Timeline", _timeline(ticket))
    if ticket.promises:
        rows = [
            (one.target, one.outcome, one.policy, one.started, one.due, one.ended, one.late, one.why)
            for one in ticket.promises
        ]
        main += _panel("Service-level targets", _table(_PROMISES, rows, [one.outcome for one in ticket.promises]))
    main += _panel("Facts", _table(_FACTS, ticket.facts, [""] * len(ticket.facts)))
    about = f"as of {ticket.as_of}, times of {ticket.zone}"
    json = ' <a href="?format=json">As JSON</a>'
    return _PAGE.format(title=escape(f"Ticket {ticket.ticket_id}"), about=escape(about), json=json, main=main)


def failure_page(title: str, text: str) -> str:
    """A page that says why there is no ticket to show, HTML."""
    main = f'<p class="panel">{escape(text)}</p>'
    return _PAGE.format(title=escape(title), about="", json="", main=main)


def _panel(title: str, body: str) -> str:
    head = f'<div class="panel-head"><h2>{title}</h2></div>'
    return f'<section class="panel">{head}<div class="scroll">{body}</div></section>'


def _timeline(ticket: Explanation) -> str:
    rows = []
    before = ""
    for row in ticket.timeline:
        at = row.at if row.at != before else ""
        rows.append(f'<tr class="k-{row.kind}"><th scope="row">{escape(at)}</th><td>{escape(row.text)}</td></tr>')
        before = row.at
    return f'<table class="timeline"><tbody>{"".join(rows)}</tbody></table>'


def _table(columns: Iterable[str], rows: Iterable[Sequence[str]], classes: Iterable[str]) -> str:
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = "".join(
        f'<tr class="o-{kind}">{"".join(f"<td>{escape(cell)}</td>" for cell in row)}</tr>'
        for row, kind in zip(rows, classes, strict=True)
    )
    return f'<table class="told"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
