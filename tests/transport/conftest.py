"""Desks for the tests of this folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.transport.desk import Desk


@pytest.fixture
def make_desk(broker: str, unique: str, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**options: dict[str, str]) -> Desk:
        made.append(Desk(broker, unique, tmp_path, **options))
        return made[-1]

    yield make
    for desk in made:
        desk.end()


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()
