"""What publishers and readers are given agrees with what the program accepts and writes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from jsonschema import Draft7Validator, Draft202012Validator  # type: ignore[import-untyped]

from schemas import examples, generate, outputs
from schemas.events import INPUT_TOPICS, TOPIC_OF_TYPE, TYPE_NAMES, TYPE_OF_NAME, AnyEvent, BadRecordError, decode
from tests import strategies

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / generate.FOLDER
DOCUMENT: dict[str, Any] = json.loads((GENERATED / "asyncapi.json").read_text())


def validator(path: Path) -> Draft202012Validator:
    schema = json.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


EVENT_VALIDATORS = {name: validator(GENERATED / "events" / f"{name}.json") for name in TYPE_NAMES}


def test_what_is_committed_is_what_is_generated() -> None:
    assert generate.check(ROOT) == []


def test_files_that_differ_are_told_by_name_and_mended_by_writing(tmp_path: Path) -> None:
    generate.write(tmp_path)
    assert generate.check(tmp_path) == []
    folder = tmp_path / generate.FOLDER
    (folder / "asyncapi.json").write_text("{}")
    (folder / "events" / "ticket.merged.json").unlink()
    (folder / "events" / "ticket.lost.json").write_text("{}")
    assert generate.check(tmp_path) == [
        "schemas/generated/asyncapi.json: not as generated; run `make generate`",
        "schemas/generated/events/ticket.merged.json: missing; run `make generate`",
        "schemas/generated/events/ticket.lost.json: no such contract; run `make generate`",
    ]
    assert len(generate.write(tmp_path)) == 3
    assert generate.check(tmp_path) == []


@pytest.mark.parametrize("name", TYPE_NAMES)
def test_the_example_of_an_event_is_valid_and_decodes(name: str) -> None:
    example = examples.EVENTS[name]
    EVENT_VALIDATORS[name].validate(example)
    assert type(decode(json.dumps(example).encode())) is TYPE_OF_NAME[name]


@pytest.mark.parametrize("topic", generate.OUTPUTS)
def test_the_example_of_an_output_is_valid_and_comes_back_whole(topic: str) -> None:
    struct, _, _ = generate.OUTPUTS[topic]
    example = examples.OUTPUTS[struct.__name__]
    record = msgspec.json.encode(example)
    validator(GENERATED / "outputs" / f"{topic}.json").validate(json.loads(record))
    assert msgspec.json.decode(record, type=struct) == example


@pytest.mark.parametrize("name", TYPE_NAMES)
def test_fields_that_are_not_in_the_contract_are_allowed(name: str) -> None:
    record = examples.EVENTS[name] | {"brand": {"id": 3, "of": [None, True]}}
    EVENT_VALIDATORS[name].validate(record)
    decode(json.dumps(record).encode())


@pytest.mark.parametrize("field", ["status", "priority"])
def test_closed_sets_are_closed_in_the_schema_too(field: str) -> None:
    record = examples.EVENTS["ticket.created"] | {field: "asleep"}
    assert not EVENT_VALIDATORS["ticket.created"].is_valid(record)
    with pytest.raises(BadRecordError):
        decode(json.dumps(record).encode())


@settings(max_examples=60, deadline=None)
@given(strategies.histories(max_tickets=1, max_events=12))
def test_whatever_decodes_is_valid_by_its_schema(events: list[AnyEvent]) -> None:
    for event in events:
        record = json.loads(strategies.encode(event))
        EVENT_VALIDATORS[record["type"]].validate(record)


def test_every_field_of_an_event_is_described() -> None:
    bare = [
        f"{name}.{field}"
        for name, held in EVENT_VALIDATORS.items()
        for field, schema in held.schema["properties"].items()
        if field != "type" and not schema.get("description")
    ]
    assert bare == []


def test_the_asyncapi_document_is_valid_by_the_schema_of_asyncapi_3() -> None:
    schema = json.loads((Path(__file__).parent / "asyncapi-3.0.0.schema.json").read_text())
    errors = [f"{error.json_path}: {error.message[:200]}" for error in Draft7Validator(schema).iter_errors(DOCUMENT)]
    assert errors == []


def test_the_schema_of_asyncapi_3_would_see_a_mistake() -> None:
    schema = json.loads((Path(__file__).parent / "asyncapi-3.0.0.schema.json").read_text())
    wrong = json.loads(json.dumps(DOCUMENT))
    wrong["operations"][next(iter(wrong["operations"]))]["action"] = "shout"
    assert not Draft7Validator(schema).is_valid(wrong)


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    references = re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(DOCUMENT))
    assert references
    for reference in references:
        place: Any = DOCUMENT
        for step in reference.split("/"):
            place = place[step]


def test_the_asyncapi_document_has_every_topic_and_every_type() -> None:
    channels = DOCUMENT["channels"]
    assert set(channels) == {*INPUT_TOPICS, *outputs.OUTPUT_TOPICS}
    assert {name: topic for topic in INPUT_TOPICS for name in channels[topic]["messages"]} == TOPIC_OF_TYPE
    headers = DOCUMENT["components"]["messages"]["RefusedRecord"]["headers"]["required"]
    assert headers == list(outputs.DEAD_LETTER_HEADERS)
    assert set(examples.DEAD_LETTER_HEADERS) == set(headers)
    assert set(generate.HEADERS) == {*headers, outputs.WOULD_CHANGE_HEADER}


def test_the_page_for_publishers_shows_the_examples_and_names_every_field() -> None:
    page = (ROOT / "docs" / "events.md").read_text()
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)\n```", page, flags=re.DOTALL)]
    assert shown == list(examples.EVENTS.values())
    for name, held in EVENT_VALIDATORS.items():
        for field in held.schema["properties"]:
            assert f"`{field}`" in page or f'"{field}"' in page, f"{name}.{field}"
