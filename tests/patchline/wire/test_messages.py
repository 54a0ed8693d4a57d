import contextlib
import math
import string
import time
from typing import Any, get_args

import msgpack
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from patchline.wire import messages as m
from patchline.wire.errors import UnreadableError

SHORT = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=256)
TEXT = st.text(max_size=2048)
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
IDS = st.uuids().map(str)
NUMBERS = st.floats(min_value=-1e308, max_value=1e308)
COUNTS = st.integers(0, 2**63 - 1)
STAGES = st.dictionaries(st.text(string.ascii_lowercase, min_size=1, max_size=20), NUMBERS, max_size=8)
IDENTITY: dict[str, st.SearchStrategy[Any]] = {
    "inspection_id": IDS,
    "station": SHORT,
    "boot_id": SHORT,
    "sequence": COUNTS,
    "part_id": SHORT,
    "captured_at": NUMBERS,
    "traceparent": SHORT,
}
FRAMES = st.builds(
    m.FrameMessage,
    **IDENTITY,
    artifact=HEX,
    codec=SHORT,
    payload=st.binary(max_size=512),
    payload_sha256=HEX,
    stages=STAGES,
)
DROPS = st.builds(m.DropMessage, **IDENTITY, reason=st.sampled_from(get_args(m.DropReason)), detail=TEXT)
VERDICTS = st.builds(
    m.Verdict,
    **IDENTITY,
    outcome=st.sampled_from(m.OUTCOMES),
    received_sha256=HEX,
    score=st.none() | NUMBERS,
    threshold=st.none() | NUMBERS,
    false_reject_bound=st.none() | NUMBERS,
    peak=st.none() | st.tuples(NUMBERS, NUMBERS),
    historical=st.booleans(),
    reason=TEXT,
    judged_at=NUMBERS,
    stages=STAGES,
)
DROP_RECEIPTS = st.builds(m.DropReceipt, **IDENTITY, reason=st.sampled_from(get_args(m.DropReason)))
MAPS = st.builds(
    m.MapMessage,
    inspection_id=IDS,
    station=SHORT,
    part_id=SHORT,
    picture=st.binary(max_size=256),
    low=NUMBERS,
    high=NUMBERS,
    threshold=st.none() | NUMBERS,
)
ASSETS = st.builds(m.AssetReference, name=SHORT, sha256=HEX, size=COUNTS)
CODECS = st.builds(
    m.ProfileCodec, codec=SHORT, artifact=HEX, backbone=SHORT, assets=st.lists(ASSETS, max_size=3).map(tuple)
)
PROFILES = st.builds(
    m.Profile,
    station=SHORT,
    input_size=st.tuples(st.integers(16, 8192), st.integers(16, 8192)),
    ladder=st.lists(CODECS, min_size=1, max_size=4).map(tuple),
)
CHUNKS = st.builds(m.AssetChunk, sha256=HEX, size=COUNTS, offset=COUNTS, data=st.binary(max_size=512))
STATUSES = st.builds(
    m.EdgeStatus, station=SHORT, online=st.booleans(), missing_assets=st.lists(HEX, max_size=3).map(tuple), error=TEXT
)
COMMANDS = st.builds(m.Command, command_id=SHORT, name=st.sampled_from(get_args(m.CommandName)), codec=SHORT)

PACKED_KINDS: tuple[Any, ...] = (m.EdgeMessage, m.MapMessage, m.Profile, m.AssetChunk)
WRITTEN_KINDS: tuple[Any, ...] = (m.Receipt, m.EdgeStatus, m.ServiceStatus, m.Command, m.GateCommand)

FRAME = m.FrameMessage(
    inspection_id="01987654-3210-7abc-8def-0123456789ab",
    station="north/press-2/top",
    boot_id="b",
    sequence=1,
    part_id="p",
    captured_at=1.0,
    artifact="a" * 64,
    codec="raw",
    payload=b"abc",
    payload_sha256=m.sha256_of(b"abc"),
)
PROFILE = m.sealed(
    m.Profile(station="a/b/c", input_size=(224, 224), ladder=(m.ProfileCodec(codec="raw", artifact="a" * 64),))
)


@given(message=FRAMES | DROPS)
def test_what_an_edge_sends_survives_msgpack(message: m.EdgeMessage) -> None:
    assert m.unpack(m.pack(message), m.EdgeMessage) == message


@given(message=VERDICTS | DROP_RECEIPTS)
def test_a_receipt_survives_json(message: m.Receipt) -> None:
    assert m.from_json(m.to_json(message), m.Receipt) == message


@given(message=MAPS)
def test_a_map_survives_msgpack(message: m.MapMessage) -> None:
    assert m.unpack(m.pack(message), m.MapMessage) == message


@given(message=CHUNKS)
def test_an_asset_chunk_survives_msgpack(message: m.AssetChunk) -> None:
    assert m.unpack(m.pack(message), m.AssetChunk) == message


@given(message=PROFILES)
def test_a_sealed_profile_survives_msgpack_and_is_whole(message: m.Profile) -> None:
    read: m.Profile = m.unpack(m.pack(m.sealed(message)), m.Profile)
    m.check_profile(read)
    assert msgspec.structs.replace(read, fingerprint="") == message


@given(status=STATUSES, command=COMMANDS)
def test_statuses_and_commands_survive_json(status: m.EdgeStatus, command: m.Command) -> None:
    assert m.from_json(m.to_json(status), m.EdgeStatus) == status
    assert m.from_json(m.to_json(command), m.Command) == command


@given(data=st.binary(max_size=2048))
@example(b"\xdd\xff\xff\xff\xff")  # an array that claims four billion items
@example(b"\x91" * 100_000)  # a depth bomb
@example(b"\xc6\xff\xff\xff\xff")  # bytes that claim four gigabytes
@example(b"\xd6\xff\xff\xff\xff\xff")  # a timestamp
def test_any_bytes_end_in_a_message_or_in_unreadable_and_nothing_else(data: bytes) -> None:
    for kind in PACKED_KINDS:
        with pytest.raises(UnreadableError):
            m.unpack(data, kind)
    for kind in WRITTEN_KINDS:
        with pytest.raises(UnreadableError):
            m.from_json(data, kind)


@given(data=st.data())
def test_a_damaged_message_is_read_or_unreadable_and_nothing_else(data: st.DataObject) -> None:
    packed = bytearray(m.pack(data.draw(FRAMES | DROPS)))
    for _ in range(data.draw(st.integers(1, 8))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(packed[: data.draw(st.integers(0, len(packed)))])
    for damaged in (bytes(packed), cut):
        with contextlib.suppress(UnreadableError):
            assert isinstance(m.unpack(damaged, m.EdgeMessage), m.EdgeMessage)


@given(text=st.text(max_size=512) | st.sampled_from(["[" * 100_000, "1e999", '{"a":' * 50_000, '"\\ud800"']))
def test_any_text_ends_in_unreadable_and_nothing_else(text: str) -> None:
    for kind in WRITTEN_KINDS:
        with pytest.raises(UnreadableError):
            m.from_json(text.encode("utf-8", "surrogatepass"), kind)


def test_unknown_fields_are_skipped() -> None:
    fields = {**msgpack.unpackb(m.pack(FRAME)), "invented_later": {"deep": [1, 2, 3]}}
    assert m.unpack(msgpack.packb(fields), m.EdgeMessage) == FRAME


def test_fields_with_defaults_may_be_missing() -> None:
    fields = msgpack.unpackb(m.pack(FRAME))
    del fields["traceparent"], fields["stages"]
    assert m.unpack(msgpack.packb(fields), m.EdgeMessage) == FRAME


def test_a_memoryview_is_read_like_bytes() -> None:
    assert m.unpack(memoryview(m.pack(FRAME)), m.EdgeMessage) == FRAME


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "verdict"),
        ("kind", 7),
        ("inspection_id", "short"),
        ("inspection_id", "Z" * 36),
        ("station", "s" * 257),
        ("station", 5),
        ("sequence", -1),
        ("sequence", 2**63),
        ("sequence", "1"),
        ("captured_at", math.nan),
        ("captured_at", math.inf),
        ("captured_at", None),
        ("artifact", "a" * 63),
        ("artifact", "A" * 64),
        ("payload", "text"),
        ("stages", {"encode": math.nan}),
        ("stages", {f"stage-{number}": 1.0 for number in range(65)}),
    ],
)
def test_a_field_out_of_its_bounds_makes_the_message_unreadable(field: str, value: object) -> None:
    fields = {**msgpack.unpackb(m.pack(FRAME)), field: value}
    with pytest.raises(UnreadableError) as caught:
        m.unpack(msgpack.packb(fields), m.EdgeMessage)
    assert caught.value.code == "envelope"


def test_a_message_over_the_limit_is_refused_before_it_is_looked_into() -> None:
    packed = m.pack(FRAME)
    m.unpack(packed, m.EdgeMessage, limit=len(packed))
    with pytest.raises(UnreadableError) as caught:
        m.unpack(packed, m.EdgeMessage, limit=len(packed) - 1)
    assert caught.value.code == "size"
    with pytest.raises(UnreadableError) as caught:
        m.from_json(b" " * (256 * 1024 + 1), m.Receipt)
    assert caught.value.code == "size"


def test_a_hostile_message_is_refused_at_once() -> None:
    started = time.process_time()
    for bomb in (b"\xdd\xff\xff\xff\xff" * 1000, b"\x91" * 1_000_000, b"\xdf\xff\xff\xff\xff"):
        with pytest.raises(UnreadableError):
            m.unpack(bomb, m.EdgeMessage)
    assert time.process_time() - started < 5.0


@pytest.mark.parametrize("field", ["inspection_id", "artifact", "payload_sha256"])
@pytest.mark.parametrize("more", ["\n", "0"])
def test_an_id_or_a_digest_ends_where_it_must(field: str, more: str) -> None:
    longer = msgspec.structs.replace(FRAME, **{field: getattr(FRAME, field) + more})
    with pytest.raises(UnreadableError):
        m.unpack(m.pack(longer), m.EdgeMessage)


def test_a_payload_that_differs_from_its_digest_is_unreadable() -> None:
    m.check_payload(FRAME)
    damaged = msgspec.structs.replace(FRAME, payload=b"abd")
    with pytest.raises(UnreadableError) as caught:
        m.check_payload(damaged)
    assert caught.value.code == "sha256"


def test_a_profile_that_differs_from_its_fingerprint_is_unreadable() -> None:
    m.check_profile(PROFILE)
    for damaged in (
        msgspec.structs.replace(PROFILE, input_size=(256, 256)),
        msgspec.structs.replace(PROFILE, fingerprint=""),
    ):
        with pytest.raises(UnreadableError) as caught:
            m.check_profile(damaged)
        assert caught.value.code == "profile"


def test_a_profile_cached_before_a_field_was_added_keeps_its_fingerprint() -> None:
    class Later(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
        station: str
        input_size: tuple[int, int]
        ladder: tuple[m.ProfileCodec, ...]
        fingerprint: str = ""
        invented_later: int = 7

    cached = msgspec.msgpack.decode(m.pack(PROFILE), type=Later)
    unsealed = msgspec.structs.replace(cached, fingerprint="")
    assert m.sha256_of(m.pack(unsealed)) == PROFILE.fingerprint


def test_a_chunk_is_at_most_256_kilobytes() -> None:
    chunk = m.AssetChunk(sha256="a" * 64, size=1, offset=0, data=bytes(m.MAX_ASSET_CHUNK_BYTES + 1))
    with pytest.raises(UnreadableError):
        m.unpack(m.pack(chunk), m.AssetChunk)


def test_a_frame_with_a_payload_of_megabytes_passes() -> None:
    big = msgspec.structs.replace(FRAME, payload=bytes(5_000_000))
    assert m.unpack(m.pack(big), m.EdgeMessage) == big
