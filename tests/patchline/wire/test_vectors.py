import json
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest

from patchline.wire import messages

VECTORS = Path(__file__).parent / "vectors"
PACKED: dict[str, Any] = {
    "frame": messages.EdgeMessage,
    "drop": messages.EdgeMessage,
    "map": messages.MapMessage,
    "profile": messages.Profile,
    "asset": messages.AssetChunk,
}
WRITTEN: dict[str, Any] = {
    "verdict": messages.Receipt,
    "drop_receipt": messages.Receipt,
    "edge_status": messages.EdgeStatus,
    "service_status": messages.ServiceStatus,
    "command": messages.Command,
    "gate_command": messages.GateCommand,
}


def fields_of(message: Any) -> Any:
    """A message as plain values, told apart from msgspec's own encoders: attribute by attribute."""
    if isinstance(message, msgspec.Struct):
        tag = message.__struct_config__
        kind = {tag.tag_field: tag.tag} if tag.tag_field else {}
        named = {name: fields_of(getattr(message, name)) for name in message.__struct_fields__}
        return {**kind, **named}
    if isinstance(message, tuple):
        return [fields_of(item) for item in message]
    return message


def test_every_kind_of_message_has_a_vector() -> None:
    assert {path.stem for path in VECTORS.glob("*.json")} == {*PACKED, *WRITTEN}
    assert {path.stem for path in VECTORS.glob("*.msgpack")} == set(PACKED)


@pytest.mark.parametrize("kind", PACKED)
def test_what_an_independent_decoder_sees_is_what_ours_sees(kind: str) -> None:
    raw = (VECTORS / f"{kind}.msgpack").read_bytes()
    theirs = msgpack.unpackb(raw, raw=False, strict_map_key=True)
    ours = fields_of(messages.unpack(raw, PACKED[kind]))
    assert {name: ours[name] for name in theirs} == with_defaults(theirs, ours)


def with_defaults(theirs: Any, ours: Any) -> Any:
    """Fields that were left out because they are at their defaults, filled in from ours at every depth."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        left_out = {name: value for name, value in ours.items() if name not in theirs and value in ("", [])}
        return {**{name: with_defaults(value, ours.get(name)) for name, value in theirs.items()}, **left_out}
    if isinstance(theirs, list) and isinstance(ours, list):
        return [with_defaults(item, other) for item, other in zip(theirs, ours, strict=True)]
    return theirs


@pytest.mark.parametrize("kind", PACKED)
def test_what_ours_encodes_an_independent_encoder_encodes_byte_for_byte(kind: str) -> None:
    raw = (VECTORS / f"{kind}.msgpack").read_bytes()
    assert messages.pack(messages.unpack(raw, PACKED[kind])) == raw


@pytest.mark.parametrize("kind", PACKED)
def test_a_packed_vector_and_its_readable_twin_are_one_message(kind: str) -> None:
    twin = messages.from_json((VECTORS / f"{kind}.json").read_bytes(), PACKED[kind])
    assert messages.unpack((VECTORS / f"{kind}.msgpack").read_bytes(), PACKED[kind]) == twin


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_an_independent_json_reader_sees_is_what_ours_sees(kind: str) -> None:
    raw = (VECTORS / f"{kind}.json").read_bytes()
    message = messages.from_json(raw, WRITTEN[kind])
    assert fields_of(message) == json.loads(raw)
    assert json.loads(messages.to_json(message)) == json.loads(raw)


def test_the_vectors_survive_their_own_checks() -> None:
    frame: messages.FrameMessage = messages.unpack((VECTORS / "frame.msgpack").read_bytes(), messages.FrameMessage)
    messages.check_payload(frame)
    messages.check_profile(messages.unpack((VECTORS / "profile.msgpack").read_bytes(), messages.Profile))
