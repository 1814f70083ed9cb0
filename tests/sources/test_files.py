from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from sources.files import InputError, read_batches, size_bytes


def lines(path: Path) -> list[tuple[int, bytes]]:
    return [item for batch in read_batches(str(path)) for item in enumerate(batch.lines, batch.first_line)]


def test_lines_are_numbered_and_lose_their_ends(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\xef\xbb\xbfone\r\n\ntwo\nthree")
    assert lines(file) == [(1, b"one"), (2, b""), (3, b"two"), (4, b"three")]


def test_gzip_is_known_by_its_content_and_may_have_several_parts(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    assert lines(file) == [(1, b"one"), (2, b"two")]


def test_numbers_go_on_from_batch_to_batch(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl.gz"
    written = [b"%d " % number + b"x" * 400 for number in range(1, 9000)]
    file.write_bytes(gzip.compress(b"\n".join(written)))
    assert lines(file) == list(enumerate(written, 1))
    batches = list(read_batches(str(file)))
    assert len(batches) > 2
    assert batches[-1].read_bytes == size_bytes(str(file))


def test_nothing_is_in_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert lines(tmp_path / "empty") == []


@pytest.mark.parametrize("damage", [slice(0, -20), slice(0, 5)])
def test_damaged_gzip_is_told(tmp_path: Path, damage: slice) -> None:
    file = tmp_path / "events.jsonl.gz"
    file.write_bytes(gzip.compress(b"one\ntwo\n" * 1000)[damage])
    with pytest.raises(InputError, match=r"events\.jsonl\.gz: damaged gzip after line \d+: .*; expected a whole file"):
        lines(file)


def test_a_file_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        lines(tmp_path / "nowhere")
    with pytest.raises(InputError, match="Is a directory"):
        lines(tmp_path)
