"""Threads that meet in a link: every publication gets one result, whatever happens in whatever order."""

import gc
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from patchline.mqtt.delivery import Acknowledged, Delivery
from patchline.mqtt.packets import Publication
from patchline.mqtt.send_window import Request, SendWindow
from patchline.wire.errors import UnavailableError

MakeLink = Callable[..., Any]
Eventually = Callable[..., None]


class WindowMachine(RuleBasedStateMachine):
    """A window beside a model of it: a set of packet ids that await their acknowledgement."""

    def __init__(self) -> None:
        super().__init__()
        self.results: Counter[int] = Counter()
        self.offered = 0
        self.capacity = 0
        self.expected: set[int] = set()
        self.window = SendWindow(1000, self._send)

    def _send(self, _: Publication) -> int:
        return self.offered

    @rule(capacity=st.integers(1, 4))
    def open(self, capacity: int) -> None:
        self.capacity = capacity
        self.window.open(capacity, 1000)

    @rule()
    def shut(self) -> None:
        self.capacity = 0
        self.window.shut()

    @rule()
    def offer(self) -> None:
        number = self.offered
        wanted = Publication("a/b", b"", 1, retain=False, properties=None, packet_bytes=10)
        try:
            self.window.offer(Request(wanted, lambda _: self.results.update([number])))
        except UnavailableError:
            assert len(self.expected) >= self.capacity
        else:
            assert len(self.expected) < self.capacity
            self.expected.add(number)
        self.offered += 1

    @rule(number=st.integers(0, 30))
    def acknowledge(self, number: int) -> None:
        self.window.acknowledged(number, 0, "Success")
        self.expected.discard(number)

    @rule()
    def close(self) -> None:
        self.window.close("the connection ended")
        self.expected.clear()
        self.capacity = 0

    @invariant()
    def the_window_is_idle_when_nothing_is_expected(self) -> None:
        assert self.window.idle() == (not self.expected)

    def teardown(self) -> None:
        self.window.close("the end")
        assert set(self.results.values()) <= {1}


test_a_window_agrees_with_its_model = WindowMachine.TestCase


@pytest.mark.broker
def test_in_any_order_of_faults_each_publication_gets_one_result_and_resending_brings_all(  # noqa: C901
    cable: Any, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    """Two threads publish while the connections are cut and deliveries are acknowledged late and out of order."""

    class LinkMachine(RuleBasedStateMachine):
        number = 0

        def __init__(self) -> None:
            super().__init__()
            LinkMachine.number += 1
            topic = f"{unique_topic}/{LinkMachine.number}"
            self.topic, self.numbers = topic, 0
            self.calls: Counter[int] = Counter()
            self.results: Counter[int] = Counter()
            self.consumer = make_link(cable.port, topic, client_id=f"consumer-{LinkMachine.number}", max_inflight=50)
            self.producer = make_link(cable.port, client_id=f"producer-{LinkMachine.number}", max_inflight=5)

        def send(self, number: int) -> None:
            with suppress(UnavailableError):
                self.producer.link.publish(self.topic, b"%d" % number, on_done=lambda _: self.results.update([number]))
                self.calls[number] += 1

        @rule(count=st.integers(1, 8))
        def publish_from_two_threads(self, count: int) -> None:
            first, self.numbers = self.numbers, self.numbers + 2 * count

            def publish(numbers: range) -> None:
                for number in numbers:
                    self.send(number)

            threads = [
                threading.Thread(target=publish, args=(range(first + half, self.numbers, 2),)) for half in range(2)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        @rule()
        def cut(self) -> None:
            cable.cut()

        @rule(data=st.data())
        def acknowledge(self, data: st.DataObject) -> None:
            deliveries: list[Delivery] = list(self.consumer.deliveries)
            if deliveries:
                data.draw(st.sampled_from(deliveries)).acknowledge()

        def teardown(self) -> None:
            eventually(lambda: self.producer.link.wait_connected(0.0) and self.consumer.link.wait_connected(0.0))
            wanted = {b"%d" % number for number in range(self.numbers)}
            deadline = time.monotonic() + 60
            while missing := wanted - set(self.consumer.payloads()):
                assert time.monotonic() < deadline
                for delivery in list(self.consumer.deliveries):
                    delivery.acknowledge()
                for payload in missing:
                    self.send(int(payload))
                time.sleep(0.02)
            eventually(lambda: self.results == self.calls)
            for end in (self.producer, self.consumer):
                end.link.stop(2.0)

    run_state_machine_as_test(
        LinkMachine,
        settings=settings(
            max_examples=6, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.broker
def test_an_owner_that_publishes_under_a_lock_its_callbacks_take_too_does_not_lock_up(
    mosquitto: Any, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    end = make_link(mosquitto.port, unique_topic, max_inflight=50)
    lock, results = threading.Lock(), [0]

    def done(_: Acknowledged) -> None:
        with lock:
            results[0] += 1

    def deliver(delivery: Delivery) -> None:
        with lock:
            delivery.acknowledge()

    end.on_delivery = deliver
    for _ in range(300):
        while True:
            with lock, suppress(UnavailableError):
                end.link.publish(unique_topic, b"x", on_done=done)
                break
    eventually(lambda: results[0] == 300)


@pytest.mark.broker
def test_a_link_that_connects_again_and_again_keeps_no_files_open(
    cable: Any, make_link: MakeLink, eventually: Eventually
) -> None:
    end = make_link(cable.port)

    def open_files() -> int:
        return len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))

    gc.disable()
    try:
        counts: list[int] = []
        for _ in range(4):
            cable.cut()
            eventually(lambda: len(end.losses) > len(counts) and end.link.wait_connected(0.0))
            counts.append(open_files())
    finally:
        gc.enable()
    assert max(counts) - min(counts) <= 2


@pytest.mark.broker
def test_a_link_can_be_stopped_from_its_own_callback(
    mosquitto: Any, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    end = make_link(mosquitto.port, unique_topic)
    end.on_delivery = lambda _: end.link.stop(5.0)
    end.publish(unique_topic)
    eventually(lambda: end.losses)
    assert end.losses == ["the link was stopped"]
    assert [fate.accepted for fate in end.fates] == [True]
