"""``deskpulse publish``: files of events to Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deskpulse.cli.common import ConfigOption, Format, FormatOption, emit, settings_from, tell

if TYPE_CHECKING:
    from sources.event_files import Published
    from sources.files import Batch

EXAMPLE: Final = "Examples: `deskpulse publish events.jsonl.gz` and `zcat *.gz | deskpulse publish - --format json`"
_SHOWN_CHARACTERS: Final = 120


def publish(
    files: Annotated[list[str], typer.Argument(help="JSONL or JSONL.gz, one event a line; - is standard input.")],
    show_bad: Annotated[int, typer.Option(min=0, metavar="N", help="Of how many bad lines to say what is wrong.")] = 10,
    strict: Annotated[bool, typer.Option("--strict", help="End with exit code 1 when a line was bad.")] = False,
    config: ConfigOption = None,
    answer: FormatOption = Format.text,
) -> None:
    """Publish events to the topics of their types, each line as it is.

    Bad lines are reported by number and go to the dead letters; events of unknown types are counted and skipped. Ends
    when the brokers have confirmed everything, and with exit code 1 when they have not.
    """
    from deskpulse.cli.progress import Meter
    from schemas.events import INPUT_TOPICS
    from schemas.outputs import DEAD_LETTERS
    from sources.event_files import publish_files
    from sources.files import size_bytes
    from sources.publisher import Publisher

    publisher = Publisher(settings_from(config).kafka.client())
    publisher.connect((*INPUT_TOPICS, DEAD_LETTERS))
    sizes = [size_bytes(name) for name in files]
    total = sum(size for size in sizes if size is not None) if None not in sizes else None
    before = dict(zip(files, (sum(size or 0 for size in sizes[:k]) for k in range(len(files))), strict=True))
    told = 0
    with Meter("publishing", total) as meter:

        def progress(done: Published, name: str, batch: Batch) -> None:
            nonlocal told
            for bad in done.bad_lines[told:]:
                tell(f"{bad.file}:{bad.line}: {bad.reason}: {_cut(bad.value)}")
            told = len(done.bad_lines)
            meter.show(done.published, before[name] + batch.read_bytes)

        done = publish_files(files, publisher, show_bad=show_bad, on_progress=progress)
        seconds = meter.seconds
    if done.bad > told:
        tell(f"… and {done.bad - told:,} more bad lines")
    document = _document(done, seconds)
    emit(document, answer, lambda console: console.print(_told(document), markup=False))
    if strict and done.bad:
        raise typer.Exit(1)


def _document(done: Published, seconds: float) -> dict[str, Any]:
    return {
        "published": done.published,
        "by_topic": done.by_topic,
        "bad": done.bad,
        "bad_lines": [{"file": bad.file, "line": bad.line, "reason": bad.reason} for bad in done.bad_lines],
        "skipped": done.skipped,
        "skipped_types": done.skipped_types,
        "seconds": round(seconds, 3),
        "events_per_second": round(done.published / seconds) if seconds > 0 else None,
    }


def _told(document: dict[str, Any]) -> str:
    lines = [f"published {document['published']:,} events in {document['seconds']:.1f} s"]
    lines[0] += f" ({document['events_per_second']:,}/s)"
    lines += [f"  {topic} {number:,}" for topic, number in document["by_topic"].items()]
    if document["bad"]:
        lines.append(f"{document['bad']:,} bad lines went to the dead letters")
    if document["skipped"]:
        kinds = ", ".join(f"{kind} {number:,}" for kind, number in document["skipped_types"].items())
        lines.append(f"{document['skipped']:,} events of unknown types skipped: {kinds}")
    return "\n".join(lines)


def _cut(value: bytes) -> str:
    text = value.decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else "�" for c in text)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
