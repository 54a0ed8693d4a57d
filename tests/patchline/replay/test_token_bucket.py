"""A limited uplink: the bucket alone with given times, and a proxy with it before a real broker."""

import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchline.mqtt.delivery import Acknowledged, Delivery
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings
from patchline.replay.broker import Broker
from patchline.replay.chaos_proxy import ChaosProxy
from patchline.replay.token_bucket import BURST_SECONDS, FEWEST_BURST_BYTES, TokenBucket
from patchline.wire.errors import MisconfiguredError

RATE = 100_000.0


def test_an_idle_line_takes_a_small_burst_and_no_more() -> None:
    line = TokenBucket(RATE)
    assert line.allowance(0.0) == RATE * BURST_SECONDS
    line.spend(1000, 0.0)
    assert line.allowance(0.0) == 0
    assert line.allowance(1e6) == RATE * BURST_SECONDS


def test_what_was_spent_comes_back_at_the_lines_rate() -> None:
    line = TokenBucket(RATE)
    line.spend(1000, 0.0)
    assert line.allowance(0.004) == 400
    assert line.wait_seconds(0.004) == pytest.approx(0.001)
    assert line.wait_seconds(0.005) == pytest.approx(0.0)


def test_more_than_was_allowed_is_paid_back_by_waiting() -> None:
    line = TokenBucket(RATE)
    line.spend(101_000, 0.0)
    assert line.wait_seconds(0.0) == pytest.approx(1.005)
    assert line.allowance(0.9) == 0


def test_a_slow_line_still_carries_a_packet() -> None:
    assert TokenBucket(10.0).allowance(0.0) == FEWEST_BURST_BYTES


def test_a_clock_that_is_read_out_of_order_gives_nothing_twice() -> None:
    line = TokenBucket(RATE)
    line.spend(1000, 1.0)
    assert line.allowance(1.5) == 1000
    line.spend(1000, 1.5)
    assert line.allowance(1.25) == 0
    assert line.allowance(1.5) == 0


@given(
    rate=st.floats(1.0, 1e9),
    steps=st.lists(st.tuples(st.floats(0.0, 2.0), st.integers(1, 200_000)), min_size=1, max_size=60),
)
def test_no_pattern_of_writes_goes_faster_than_the_line(rate: float, steps: list[tuple[float, int]]) -> None:
    line, now, written = TokenBucket(rate), 0.0, 0
    burst = line.allowance(now)
    for pause, wanted in steps:
        now += pause
        piece = min(wanted, line.allowance(now))
        line.spend(piece, now)
        written += piece
    assert written <= (burst + 1) + rate * now * (1 + 1e-9)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_line_that_carries_nothing_is_refused(rate: float) -> None:
    with pytest.raises(MisconfiguredError, match="use a positive number"):
        TokenBucket(rate)


def linked(port: int, client_id: str, **options: Any) -> Link:
    link = Link(
        LinkSettings(port=port, client_id=client_id, **options),
        on_delivery=Delivery.acknowledge,
        on_connected=lambda _: None,
        on_disconnected=lambda _: None,
    )
    link.start()
    assert link.wait_connected(60.0)
    return link


@pytest.mark.broker
def test_a_packet_takes_its_time_through_a_limited_proxy_and_two_links_share_it(mosquitto: Broker) -> None:
    """Only the lower bound: how much longer it takes depends on the machine."""
    with ChaosProxy(mosquitto.port, uplink=TokenBucket(100_000.0)) as proxy:
        links = [linked(proxy.port, name) for name in ("station", "station-backlog")]
        done = threading.Semaphore(0)
        started = time.monotonic()
        for link in links:
            link.publish("vad/test/uplink", bytes(50_000), on_done=lambda _: done.release())
        for _ in links:
            assert done.acquire(timeout=60)
        took = time.monotonic() - started
        for link in links:
            link.stop(2.0)
    assert took > 0.95, "two packets of 50 kB at 100 kB/s, less the burst"


@pytest.mark.broker
def test_a_connection_survives_a_packet_that_takes_longer_than_its_keepalive(mosquitto: Broker) -> None:
    ended: list[str] = []
    with ChaosProxy(mosquitto.port, uplink=TokenBucket(20_000.0)) as proxy:
        link = Link(
            LinkSettings(port=proxy.port, client_id="station", keepalive_seconds=1),
            on_delivery=Delivery.acknowledge,
            on_connected=lambda _: None,
            on_disconnected=ended.append,
        )
        link.start()
        assert link.wait_connected(60.0)
        done = threading.Event()
        link.publish("vad/test/uplink", bytes(30_000), on_done=lambda _: done.set())
        assert done.wait(60)
        assert not ended
        link.stop(2.0)


@pytest.mark.broker
def test_a_small_unsent_buffer_lets_another_link_send_between_the_packets_of_a_busy_one(mosquitto: Broker) -> None:
    """Without the limit the kernel takes the whole megabyte at once, and the link has nothing left to hold back."""
    answered: list[str] = []
    with ChaosProxy(mosquitto.port, uplink=TokenBucket(200_000.0)) as proxy:
        frames = linked(proxy.port, "frames", unsent_buffer_bytes=16_384)
        gate = linked(proxy.port, "gate")
        done = threading.Event()

        def finished(_: Acknowledged) -> None:
            answered.append("frame")
            if answered.count("frame") == 4:
                done.set()

        for _ in range(4):
            frames.publish("vad/test/frame", bytes(250_000), on_done=finished)
        gate.publish("vad/test/gate", b"reject", on_done=lambda _: answered.append("gate"))
        assert done.wait(60)
        for link in (frames, gate):
            link.stop(2.0)
    assert answered[0] == "gate"
