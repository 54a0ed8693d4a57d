"""Segments: what was written is read or refused, what is torn is found, what nobody needs is gone."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_node.outbox.segments import Record, Segments
from patchline.wire.errors import UnreadableError

RECORDS = [Record(number, b"about %d" % number, bytes([number]) * 300) for number in range(1, 6)]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.segment"))


def test_records_are_read_back_and_found_by_a_scan(tmp_path: Path) -> None:
    segments = Segments(tmp_path / "outbox.sqlite")
    positions = segments.append(RECORDS[:3]) + segments.append(RECORDS[3:])
    assert [segments.read(position, record.sequence) for record, position in zip(RECORDS, positions, strict=True)] == [
        record.body for record in RECORDS
    ]
    assert list(Segments(tmp_path / "outbox.sqlite").scan(0, 0)) == list(zip(RECORDS, positions, strict=True))
    assert [record for record, _ in segments.scan(positions[2].segment, positions[2].offset)] == RECORDS[2:]


def test_another_outboxs_segments_are_left_alone(tmp_path: Path) -> None:
    Segments(tmp_path / "other.sqlite").append(RECORDS)
    segments = Segments(tmp_path / "outbox.sqlite")
    segments.sweep()
    assert list(segments.scan(0, 0)) == []
    assert files(tmp_path) == ["other.sqlite-00000001.segment"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(end=st.integers(0, 1665))
def test_wherever_the_tail_is_torn_every_whole_record_before_it_is_found(tmp_path: Path, end: int) -> None:
    for old in tmp_path.glob("*.segment"):
        old.unlink()
    path = tmp_path / "outbox.sqlite"
    segments = Segments(path)
    positions = segments.append(RECORDS)
    segments.close()
    file = tmp_path / files(tmp_path)[0]
    file.write_bytes(file.read_bytes()[:end])
    whole = sum(position.offset + position.length <= end for position in positions)
    assert [record for record, _ in Segments(path).scan(0, 0)] == RECORDS[:whole]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 1664), bit=st.integers(0, 7))
def test_a_flipped_bit_is_never_read_as_a_message(tmp_path: Path, place: int, bit: int) -> None:
    for old in tmp_path.glob("*.segment"):
        old.unlink()
    segments = Segments(tmp_path / "outbox.sqlite")
    positions = segments.append(RECORDS)
    file = tmp_path / files(tmp_path)[0]
    content = bytearray(file.read_bytes())
    place %= len(content)
    content[place] ^= 1 << bit
    file.write_bytes(content)
    for record, position in zip(RECORDS, positions, strict=True):
        if position.offset <= place < position.offset + position.length:
            with pytest.raises(UnreadableError, match="damaged on this disk"):
                segments.read(position, record.sequence)
        else:
            assert segments.read(position, record.sequence) == record.body


def test_a_segment_goes_with_its_last_record_and_a_new_one_follows(tmp_path: Path) -> None:
    segments = Segments(tmp_path / "outbox.sqlite", segment_bytes=700)
    positions = [segments.append([record])[0] for record in RECORDS]
    assert [position.segment for position in positions] == [1, 1, 2, 2, 3]
    segments.release(1)
    assert len(files(tmp_path)) == 3
    segments.release(1)
    assert files(tmp_path) == ["outbox.sqlite-00000002.segment", "outbox.sqlite-00000003.segment"]
    segments.release(3)
    assert len(files(tmp_path)) == 2
    segments.release(2)
    segments.release(2)
    segments.hold(3)
    segments.release(3, eagerly=True)
    assert files(tmp_path) == []
    assert segments.append(RECORDS[:1])[0].segment == 4
    with pytest.raises(UnreadableError, match="gone"):
        segments.read(positions[0], RECORDS[0].sequence)


def test_a_scan_begins_with_the_segment_it_is_told(tmp_path: Path) -> None:
    segments = Segments(tmp_path / "outbox.sqlite", segment_bytes=700)
    for record in RECORDS:
        segments.append([record])
    assert [record for record, _ in segments.scan(2, 0)] == RECORDS[2:]


def test_what_nobody_holds_is_swept_and_a_full_segment_that_nobody_needs_goes_with_the_next_one(tmp_path: Path) -> None:
    segments = Segments(tmp_path / "outbox.sqlite", segment_bytes=700)
    for record in RECORDS[:2]:
        segments.append([record])
    segments.release(1)
    segments.release(1)
    assert len(files(tmp_path)) == 1, "it is being written"
    segments.append(RECORDS[2:3])
    assert files(tmp_path) == ["outbox.sqlite-00000002.segment"]
    later = Segments(tmp_path / "outbox.sqlite")
    later.sweep()
    assert files(tmp_path) == []


def test_a_closed_segment_leaves_no_file_open(tmp_path: Path) -> None:
    def held() -> list[str]:
        return [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc here")
    segments = Segments(tmp_path / "outbox.sqlite")
    segments.append(RECORDS[:1])
    assert sum(str(tmp_path) in name for name in held()) == 1
    segments.close()
    assert not any(str(tmp_path) in name for name in held())
