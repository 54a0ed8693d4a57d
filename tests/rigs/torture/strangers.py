"""Messages that somebody else sends: copies, late and out of order, damaged, oversized, of another time or profile."""

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import msgspec

from patchline.mqtt.delivery import Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Subscription, client_id_of
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import CONTENT_TYPE_FRAME, FrameMessage, Profile, pack, sealed, sha256_of, unpack
from tests.rigs.torture.ground import OTHER, STATION
from tests.rigs.torture.kills import wait_a_moment
from tests.rigs.torture.rig import Rig
from tests.rigs.torture.settings import KEEPALIVE_SECONDS

_COPIES = 10
_WAIT_SECONDS = 10.0
_BOMB_SIDE = 16_383


class Stranger:
    """A link that hears the station's frames and may send anything.

    Args:
        rig: The line.
        client_id: Its own; that of the station makes the broker throw the station out.
    """

    def __init__(self, rig: Rig, client_id: str = "stranger") -> None:
        self.frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._topic = rig.topics.of(STATION, "frame")
        self.link = Link(
            LinkSettings(port=rig.broker.port, client_id=client_id, keepalive_seconds=KEEPALIVE_SECONDS),
            subscriptions=[Subscription(self._topic)],
            on_delivery=self._hear,
            on_connected=lambda _connection: None,
            on_disconnected=lambda _reason: None,
        )

    def _hear(self, delivery: Delivery) -> None:
        self.frames.put(delivery.payload)
        delivery.acknowledge()

    def gather(self, count: int) -> list[bytes]:
        """The next frames of the station; fewer where no more come."""
        found: list[bytes] = []
        deadline = time.monotonic() + _WAIT_SECONDS
        while len(found) < count and time.monotonic() < deadline:
            try:
                found.append(self.frames.get(timeout=0.2))
            except queue.Empty:
                continue
        return found

    def say(self, payload: bytes, topic: str = "") -> None:
        """Publish as soon as there is room."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                self.link.publish(topic or self._topic, payload, content_type=CONTENT_TYPE_FRAME)
            except UnavailableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return


@contextmanager
def stranger(rig: Rig, client_id: str = "stranger") -> Iterator[Stranger]:
    """Somebody with a connection."""
    somebody = Stranger(rig, client_id)
    somebody.link.start()
    somebody.link.wait_connected(_WAIT_SECONDS)
    try:
        yield somebody
    finally:
        somebody.link.stop(1.0)


def copies(rig: Rig, rng: Random) -> None:
    """Every message of the station ten times more, by both channels."""
    with stranger(rig) as somebody:
        for payload in somebody.gather(8):
            for _ in range(_COPIES):
                somebody.say(payload, rig.topics.of(STATION, rng.choice(["frame", "backlog"])))


def late_and_shuffled(rig: Rig, rng: Random) -> None:
    """What was sent comes again seconds later, in another order."""
    with stranger(rig) as somebody:
        payloads = somebody.gather(10)
        rng.shuffle(payloads)
        rig.until(lambda: not rig.edge.running, 1.0)
        for payload in payloads:
            somebody.say(payload, rig.topics.of(STATION, "backlog"))


def _spoiled(spoil: Callable[[bytes, Random], bytes]) -> Callable[[Rig, Random], None]:
    def strike(rig: Rig, rng: Random) -> None:
        with stranger(rig) as somebody:
            for payload in somebody.gather(6):
                for _ in range(3):
                    somebody.say(spoil(payload, rng))

    return strike


def _damaged(payload: bytes, rng: Random) -> bytes:
    match rng.randrange(4):
        case 0:
            return payload[: rng.randrange(len(payload))]
        case 1:
            return payload + rng.randbytes(7)
        case 2:
            return b"\x91" * 100_000 + b"\xc0"
        case _:
            return b"\x81\xa7payload\xc6\xff\xff\xff\xff" + payload


def _replaced(message: bytes, /, **fields: object) -> bytes:
    frame: FrameMessage = unpack(message, FrameMessage)
    return pack(msgspec.structs.replace(frame, **fields))


def _flipped(payload: bytes, rng: Random) -> bytes:
    frame: FrameMessage = unpack(payload, FrameMessage)
    picture = bytearray(frame.payload)
    picture[rng.randrange(len(picture))] ^= 1 << rng.randrange(8)
    return _replaced(payload, payload=bytes(picture))


def _bomb(payload: bytes, rng: Random) -> bytes:
    side = _BOMB_SIDE.to_bytes(2, "little")
    picture = b"RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0\x10\0\0\x9d\x01\x2a" + side + side
    return _replaced(payload, payload=picture, payload_sha256=sha256_of(picture), inspection_id=_own(rng))


def _of_the_future(payload: bytes, rng: Random) -> bytes:
    fields = msgspec.msgpack.decode(payload)
    return msgspec.msgpack.encode({**fields, "kind": "frame2", "inspection_id": _own(rng)})


def _of_nobody(payload: bytes, rng: Random) -> bytes:
    return _replaced(payload, artifact=f"{rng.getrandbits(256):064x}", inspection_id=_own(rng))


def _own(rng: Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


damaged = _spoiled(_damaged)
flipped = _spoiled(_flipped)
bomb = _spoiled(_bomb)
of_the_future = _spoiled(_of_the_future)
of_nobody = _spoiled(_of_nobody)


def oversize(rig: Rig, rng: Random) -> None:
    """Just over the broker's limit and far over it: the broker ends the stranger's connection, nobody else's."""
    del rng
    with stranger(rig) as somebody:
        somebody.gather(2)
    _raw_flood(rig.broker.port)


def _raw_flood(port: int) -> None:
    import socket  # noqa: PLC0415 - a packet that no client library would send
    from contextlib import suppress  # noqa: PLC0415

    connect = b"\x10\x13\x00\x04MQTT\x04\x02\x00\x3c\x00\x07flooder"
    with socket.create_connection(("127.0.0.1", port)) as wire, suppress(OSError):
        wire.settimeout(2.0)
        wire.sendall(connect)
        wire.recv(4)
        wire.sendall(b"\x30\xff\xff\xff\x7f" + bytes(1 << 20))
        for _ in range(16):
            wire.sendall(bytes(1 << 20))


def another_profile(rig: Rig, rng: Random) -> None:
    """The station is told other codecs of its ladder while it works: parts of both wait for their verdicts."""
    ladder = list(rig.ground.profile.ladder)
    with stranger(rig) as somebody:
        for _ in range(4):
            wait_a_moment(rng, 0.3)
            ladder.reverse()
            profile: Profile = sealed(msgspec.structs.replace(rig.ground.profile, ladder=tuple(ladder)))
            somebody.say(pack(profile), rig.topics.of(STATION, "profile"))
        somebody.say(
            pack(sealed(msgspec.structs.replace(rig.ground.profile, station=str(OTHER)))),
            rig.topics.of(STATION, "profile"),
        )


def take_over(rig: Rig, rng: Random) -> None:
    """Another device comes with the station's own client id, again and again."""
    for _ in range(3):
        wait_a_moment(rng, 0.5)
        with stranger(rig, client_id_of(str(STATION), None)):
            wait_a_moment(rng, 0.3)


def narrow_broker(rig: Rig, rng: Random) -> None:
    """The broker comes back with a lower limit than some messages that wait."""
    wait_a_moment(rng, 0.4)
    rig.broker.stop()
    rig.until(lambda: len(rig.exposed()) >= len(rig.ledger), 10.0)
    rig.broker.start()
