"""What travels: msgspec structs, in msgpack between our own programs and in JSON where strangers read.

Evolution in four rules: unknown fields are skipped, new fields have defaults, nothing is retyped, nothing is renamed.
Every decoder bounds its input before it looks inside, and every failure is an `UnreadableError`.
"""

import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec

from patchline.wire.errors import UnreadableError

MAX_MESSAGE_BYTES = 16 * 1024 * 1024  # the most any decoder here accepts; a broker or a setting may allow less
MAX_PROFILE_BYTES = 64 * 1024
MAX_ASSET_CHUNK_BYTES = 256 * 1024

CONTENT_TYPE_FRAME = "application/vnd.patchline.frame.v1+msgpack"
CONTENT_TYPE_MAP = "application/vnd.patchline.map.v1+msgpack"
CONTENT_TYPE_PROFILE = "application/vnd.patchline.profile.v1+msgpack"
CONTENT_TYPE_ASSET = "application/vnd.patchline.asset.v1+msgpack"
CONTENT_TYPE_JSON = "application/json"

ShortText = Annotated[str, msgspec.Meta(max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)")]
Text = Annotated[str, msgspec.Meta(max_length=2048)]
InspectionId = Annotated[str, msgspec.Meta(min_length=36, max_length=36, pattern="^[0-9a-f-]{36}$")]
Sha256 = Annotated[str, msgspec.Meta(min_length=64, max_length=64, pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Finite = Annotated[float, msgspec.Meta(ge=-1e308, le=1e308)]
"""A number. NaN and infinity pass msgpack but become `null` in JSON, where a receipt with one is unreadable."""
Seconds = Annotated[dict[ShortText, Finite], msgspec.Meta(max_length=64)]
"""Stage name -> seconds spent in it."""

Outcome = Literal["normal", "anomalous", "uncalibrated", "unreadable"]
OUTCOMES: tuple[Outcome, ...] = ("normal", "anomalous", "uncalibrated", "unreadable")
DropReason = Literal["capture_failed", "encode_failed", "outbox_full", "superseded", "too_large", "interrupted"]
CommandName = Literal["pause", "resume", "use_codec"]


class _Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which part, seen where and when. `sequence` is gapless per station and survives reboots."""

    inspection_id: InspectionId
    station: ShortText
    boot_id: ShortText
    sequence: Count
    part_id: ShortText
    captured_at: Finite
    traceparent: ShortText = ""


class FrameMessage(_Identity, frozen=True, kw_only=True, tag_field="kind", tag="frame"):
    """One part's picture on its way to the service (channels `frame` and `backlog`, msgpack).

    Attributes:
        artifact: Fingerprint of the artifact the frame was encoded for; only that one may judge it.
        codec: The codec's full name, such as `webp:80`.
        payload_sha256: Digest of `payload`; some damaged pictures decode without an error.
        stages: Seconds the edge spent in each of its stages before the frame was kept.
    """

    artifact: Sha256
    codec: ShortText
    payload: bytes
    payload_sha256: Sha256
    stages: Seconds = {}


class DropMessage(_Identity, frozen=True, kw_only=True, tag_field="kind", tag="drop"):
    """A part that was produced but will never be judged, and why (channels `frame` and `backlog`, msgpack)."""

    reason: DropReason
    detail: Text = ""


class Verdict(_Identity, frozen=True, kw_only=True, tag_field="kind", tag="verdict"):
    """What the service thinks of one part, and the receipt for its frame (channel `verdict`, JSON).

    Attributes:
        score: Anomaly score in raw distance units; None when unreadable.
        threshold: The score above which a part is anomalous; None where the normal pictures were too few to say.
        false_reject_bound: Upper 95 % confidence bound of the false-reject rate at that threshold.
        peak: Where the anomaly map is highest, (x, y) as shares of the picture's width and height.
        received_sha256: Digest of the whole message as received; tells an unreadable message from a damaged one.
        stages: Seconds the service spent in each of its stages.
        server_seconds: From the message's arrival at the service to this verdict, without its recording.
    """

    outcome: Outcome
    received_sha256: Sha256
    score: Finite | None = None
    threshold: Finite | None = None
    false_reject_bound: Finite | None = None
    peak: tuple[Finite, Finite] | None = None
    artifact: ShortText = ""
    codec: ShortText = ""
    historical: bool = False
    reason: Text = ""
    judged_at: Finite = 0.0
    server_seconds: Finite = 0.0
    stages: Seconds = {}


class DropReceipt(_Identity, frozen=True, kw_only=True, tag_field="kind", tag="drop_receipt"):
    """The service has recorded a drop; the edge may forget it (channel `verdict`, JSON)."""

    reason: DropReason


class MapMessage(msgspec.Struct, frozen=True, kw_only=True):
    """An anomaly map for people to look at (channel `map`, msgpack).

    Attributes:
        picture: The map as a lossless 8-bit grey WebP; grey `g` means `low + (high - low) * g / 255`.
        low, high: Distances drawn as black and as white.
        threshold: The score above which the part is anomalous, in the same units.
    """

    inspection_id: InspectionId
    station: ShortText
    part_id: ShortText
    picture: bytes
    low: Finite
    high: Finite
    threshold: Finite | None = None


class AssetReference(msgspec.Struct, frozen=True, kw_only=True):
    """A file a codec needs at the edge: codebook, statistics or backbone."""

    name: ShortText
    sha256: Sha256
    size: Count


class ProfileCodec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A codec of a station's ladder, and the artifact that judges what it encodes."""

    codec: ShortText
    artifact: Sha256
    backbone: ShortText = ""
    backbone_sha256: ShortText = ""
    assets: tuple[AssetReference, ...] = ()


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a station encodes (channel `profile`, msgpack, retained). The first codec of the ladder is the one to use.

    Fields at their defaults are left out: a profile cached before a field was added keeps its fingerprint, and an edge
    that does not know a field which is set refuses the profile instead of encoding otherwise than it was told.

    Attributes:
        input_size: Height and width, in pixels, every picture is resized to before it is encoded.
        fingerprint: sha256 over all the other fields; `signature` is over it, see `patchline.runtime.signing`.
    """

    station: ShortText
    input_size: tuple[Annotated[int, msgspec.Meta(ge=16, le=8192)], Annotated[int, msgspec.Meta(ge=16, le=8192)]]
    ladder: Annotated[tuple[ProfileCodec, ...], msgspec.Meta(min_length=1, max_length=32)]
    fingerprint: Sha256 | Literal[""] = ""
    signature: Annotated[bytes, msgspec.Meta(max_length=64)] = b""


class AssetChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of an asset (channel `asset`, msgpack). The whole is checked against its sha256 once complete."""

    sha256: Sha256
    size: Count
    offset: Count
    data: Annotated[bytes, msgspec.Meta(max_length=MAX_ASSET_CHUNK_BYTES)]


class AssetRange(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of an asset that an edge asks for: `size` of them, from `offset`."""

    sha256: Sha256
    offset: Count
    size: Count


class EdgeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An edge node's birth, state or death (channel `status`, JSON, retained; the death is its last will).

    Attributes:
        missing_assets: sha256 of each asset that the edge lacks.
        answers: `command_id` of the command this status answers, and `error` what kept it from being obeyed.
        missing_ranges: What is asked for now; None, from an edge that lacks this field, is all of `missing_assets`.
        asked_service: `name` of the service that is asked for it; empty asks every service.
    """

    station: ShortText
    online: bool
    boot_id: ShortText = ""
    version: ShortText = ""
    codec: ShortText = ""
    profile: ShortText = ""
    paused: bool = False
    outbox_rows: Count = 0
    outbox_bytes: Count = 0
    missing_assets: tuple[Sha256, ...] = ()
    answers: ShortText = ""
    error: Text = ""
    missing_ranges: Annotated[tuple[AssetRange, ...], msgspec.Meta(max_length=64)] | None = None
    asked_service: ShortText = ""


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A service's birth or death (channel `status` of the reserved line, JSON, retained)."""

    name: ShortText
    online: bool
    instance: ShortText = ""
    version: ShortText = ""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """An order to an edge node (channel `command`, JSON), answered on its `status`."""

    command_id: ShortText
    name: CommandName
    codec: ShortText = ""


class GateCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command to a gate: what to do with a part, and on what grounds (a topic of the plant's own, JSON).

    A receiver acts once on each `command_id`, and not after `act_before` (Unix time; `valid_ms` after the sending).
    """

    inspection_id: InspectionId
    station: ShortText
    part_id: ShortText
    action: Literal["accept", "reject"]
    grounds: Literal["verdict", "deadline"]
    outcome: ShortText = ""
    command_id: ShortText = ""
    captured_at: Finite = 0.0
    act_before: Finite = 0.0
    valid_ms: Count = 0


EdgeMessage = FrameMessage | DropMessage
Receipt = Verdict | DropReceipt

M = TypeVar("M")


pack: Callable[[msgspec.Struct], bytes] = msgspec.msgpack.encode
to_json: Callable[[msgspec.Struct], bytes] = msgspec.json.encode


def unpack(data: bytes | memoryview, kind: type[M] | Any, *, limit: int = MAX_MESSAGE_BYTES) -> M:
    """Read a msgpack message of a known kind (a struct, or a union of tagged ones).

    Raises:
        UnreadableError: It is too long, not msgpack, or does not fit the kind.
    """
    return cast("M", _decoded(msgspec.msgpack.decode, data, kind, limit))


def from_json(data: bytes | memoryview, kind: type[M] | Any, *, limit: int = 256 * 1024) -> M:
    """Read a JSON message of a known kind, as `unpack` reads msgpack; raises `UnreadableError`."""
    return cast("M", _decoded(msgspec.json.decode, data, kind, limit))


def _decoded(decode: Callable[..., Any], data: bytes | memoryview, kind: Any, limit: int) -> Any:
    if len(data) > limit:
        raise UnreadableError(f"message of {len(data)} bytes is over the limit of {limit}", code="size")
    try:
        return decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnreadableError(f"envelope: {error}", code="envelope") from error


def sha256_of(data: bytes | memoryview) -> str:
    """The digest every fingerprint and every payload check of the wire uses, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def check_payload(frame: FrameMessage) -> None:
    """Raise `UnreadableError` unless a frame's payload is what the edge encoded, by its digest."""
    if sha256_of(frame.payload) != frame.payload_sha256:
        raise UnreadableError("the payload's sha256 differs from the one in its envelope", code="sha256")


def fingerprint_of(profile: Profile) -> str:
    """The sha256 over a profile's other fields, by which edges and services tell two profiles apart."""
    return sha256_of(pack(msgspec.structs.replace(profile, fingerprint="", signature=b"")))


def sealed(profile: Profile) -> Profile:
    """The same profile, carrying its fingerprint."""
    return msgspec.structs.replace(profile, fingerprint=fingerprint_of(profile))


def check_profile(profile: Profile) -> None:
    """Raise `UnreadableError` unless a profile's fingerprint matches its fields."""
    if profile.fingerprint != fingerprint_of(profile):
        raise UnreadableError("the profile's fingerprint does not match its content", code="profile")
