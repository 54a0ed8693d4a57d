"""Many simulated edge nodes in one process: `python -m tests.rigs.fleet.devices ORDERS.json`.

Each has a link of its own, a retained status, and the rules of a real one: real frames for the artifact of its profile,
gapless numbers, sent again with the same bytes until the verdict returns. It keeps nothing on a disk and has no gate.
"""

import random
import sys
import threading
import time
import uuid
from pathlib import Path

import msgspec

from patchline.mqtt.delivery import Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Subscription, Will
from patchline.wire.errors import UnavailableError, UnreadableError
from patchline.wire.messages import (
    CONTENT_TYPE_FRAME,
    CONTENT_TYPE_JSON,
    EdgeStatus,
    FrameMessage,
    Profile,
    Receipt,
    check_profile,
    from_json,
    pack,
    sha256_of,
    to_json,
    unpack,
)
from patchline.wire.topics import Station, Topics

_RESEND_SECONDS = 10.0
_TICK_SECONDS = 0.05
_KEEPALIVE_SECONDS = 60
_STACK_BYTES = 256 * 1024


class DevicePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a process of simulated edge nodes is told.

    Attributes:
        frames: Per station, the folder of encoded pictures it sends in turn.
        parts: Of each station.
        takt_seconds: From one part of a station to its next; the first comes at a random moment of the first takt.
        patience_seconds: How long to wait for the last verdicts.
        report: Where to write the `Told`.
    """

    port: int
    frames: dict[str, str]
    parts: int
    takt_seconds: float
    patience_seconds: float
    seed: int
    report: str


class Told(msgspec.Struct, kw_only=True):
    """What a process of simulated edge nodes has to tell: its truth ledger, and what came back.

    Attributes:
        produced: Inspection id -> station, in order of capture.
        verdicts: Inspection id -> sha256 of each different verdict received.
        latencies: Capture to first verdict, in seconds.
        resends: Messages sent again.
    """

    produced: dict[str, str] = {}
    verdicts: dict[str, list[str]] = {}
    latencies: list[float] = []
    resends: int = 0


class Device:
    """One simulated edge node.

    Args:
        station: Who it is.
        payloads: The pictures it sends, encoded.
        orders: What all of them are told.
        told: What all of them tell, written under `lock`.
    """

    def __init__(
        self, station: str, payloads: list[bytes], orders: DevicePlan, told: Told, lock: threading.Lock
    ) -> None:
        self._station, self._payloads, self._orders, self._told, self._lock = station, payloads, orders, told, lock
        self._rng = random.Random(f"{station} {orders.seed}")
        self._boot, self._numbers = uuid.uuid4().hex, 0
        self._due = time.monotonic() + self._rng.uniform(0.0, orders.takt_seconds)
        self._open: dict[str, tuple[bytes, float]] = {}
        self._captured: dict[str, float] = {}
        place, topics = Station.parse(station), Topics()
        self._frame, self._status = topics.of(place, "frame"), topics.of(place, "status")
        dead = EdgeStatus(station=station, online=False, boot_id=self._boot)
        self._profile: Profile | None = None
        self._link = Link(
            LinkSettings(port=orders.port, client_id=station, keepalive_seconds=_KEEPALIVE_SECONDS, max_inflight=4),
            will=Will(topic=self._status, payload=to_json(dead), content_type=CONTENT_TYPE_JSON),
            subscriptions=[Subscription(topics.of(place, "verdict")), Subscription(topics.of(place, "profile"))],
            on_delivery=self._receive,
            on_connected=lambda _connection: self._announce(),
            on_disconnected=lambda _reason: None,
        )

    def start(self) -> None:
        """Connect."""
        self._link.start()

    def stop(self) -> None:
        """Say goodbye."""
        self._link.stop(1.0)

    @property
    def finished(self) -> bool:
        """Whether every part has been produced and told its verdict."""
        return self._numbers >= self._orders.parts and not self._open

    def tick(self, now: float) -> None:
        """Capture what is due, and send again what waits for too long."""
        if self._profile is not None and self._numbers < self._orders.parts and now >= self._due:
            self._due += self._orders.takt_seconds
            self._capture(now, self._profile)
        with self._lock:
            overdue = [(name, message) for name, (message, due) in self._open.items() if now >= due]
        for name, message in overdue:
            self._told.resends += 1
            self._send(name, message, now)

    def _capture(self, now: float, profile: Profile) -> None:
        payload = self._payloads[self._numbers % len(self._payloads)]
        self._numbers += 1
        name, profile_codec = str(uuid.uuid4()), profile.ladder[0]
        frame = FrameMessage(
            inspection_id=name,
            station=self._station,
            boot_id=self._boot,
            sequence=self._numbers,
            part_id=f"part-{self._numbers:05d}",
            captured_at=time.time(),
            artifact=profile_codec.artifact,
            codec=profile_codec.codec,
            payload=payload,
            payload_sha256=sha256_of(payload),
        )
        with self._lock:
            self._told.produced[name] = self._station
            self._captured[name] = now
        self._send(name, pack(frame), now)

    def _send(self, name: str, message: bytes, now: float) -> None:
        with self._lock:
            self._open[name] = (message, now + self._rng.uniform(0.5, 1.5) * _RESEND_SECONDS)
        try:
            self._link.publish(self._frame, message, content_type=CONTENT_TYPE_FRAME, correlation=name.encode())
        except UnavailableError:
            return  # it is due again soon

    def _announce(self) -> None:
        alive = EdgeStatus(station=self._station, online=True, boot_id=self._boot)
        try:
            self._link.publish(self._status, to_json(alive), retain=True, content_type=CONTENT_TYPE_JSON)
        except UnavailableError:
            return

    def _receive(self, delivery: Delivery) -> None:
        try:
            if delivery.topic.endswith("/profile"):
                profile: Profile = unpack(delivery.payload, Profile)
                check_profile(profile)
                self._profile = profile
            else:
                receipt: Receipt = from_json(delivery.payload, Receipt)
                self._note(receipt.inspection_id, delivery)
        except UnreadableError as error:
            sys.stderr.write(f"{delivery.topic}: {error}\n")
        delivery.acknowledge()

    def _note(self, name: str, delivery: Delivery) -> None:
        digest = sha256_of(delivery.payload)
        with self._lock:
            if self._open.pop(name, None) is not None:
                self._told.latencies.append(delivery.received_at - self._captured.pop(name))
            seen = self._told.verdicts.setdefault(name, [])
            if digest not in seen:
                seen.append(digest)


def main(path: Path) -> None:
    """Play the stations of an order until all are finished or patience ends, and write what they have to tell."""
    threading.stack_size(_STACK_BYTES)
    orders = msgspec.json.decode(path.read_bytes(), type=DevicePlan)
    told, lock = Told(), threading.Lock()
    pictures = {
        folder: [file.read_bytes() for file in sorted(Path(folder).iterdir())] for folder in set(orders.frames.values())
    }
    devices = [Device(station, pictures[folder], orders, told, lock) for station, folder in orders.frames.items()]
    for device in devices:
        device.start()
        time.sleep(0.01)
    deadline = time.monotonic() + orders.parts * orders.takt_seconds + orders.patience_seconds
    while time.monotonic() < deadline and not all(device.finished for device in devices):
        now = time.monotonic()
        for device in devices:
            device.tick(now)
        time.sleep(_TICK_SECONDS)
    for device in devices:
        device.stop()
    Path(orders.report).write_bytes(msgspec.json.encode(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
