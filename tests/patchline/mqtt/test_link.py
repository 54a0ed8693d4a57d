import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from patchline.mqtt.delivery import Acknowledged, Delivery
from patchline.mqtt.send_window import TooLargeError
from patchline.mqtt.settings import Will
from patchline.replay.broker import Broker, free_port
from patchline.wire.errors import MisconfiguredError, UnavailableError

MakeLink = Callable[..., Any]
Eventually = Callable[..., None]

pytestmark = pytest.mark.broker

SUCCESS = Acknowledged(accepted=True, reason="Success")


def test_a_message_arrives_with_all_it_carries(
    mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    end = make_link(mosquitto.port, unique_topic)
    before = time.monotonic()
    end.publish(unique_topic, b"\x00\xff", content_type="application/x-test", correlation=b"id", user=[("schema", "1")])
    eventually(lambda: end.deliveries and end.fates)
    assert end.fates == [SUCCESS]
    (delivery,) = end.deliveries
    assert before <= delivery.received_at <= time.monotonic()
    assert delivery == Delivery(
        topic=unique_topic,
        payload=b"\x00\xff",
        content_type="application/x-test",
        correlation=b"id",
        retained=False,
        received_at=delivery.received_at,
        user=(("schema", "1"),),
    )


def test_mqtt_3_1_1_carries_the_payload_alone(
    mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    end = make_link(mosquitto.port, unique_topic, protocol="3.1.1")
    end.publish(unique_topic, b"picture" * 10_000, content_type="application/x-test", correlation=b"id")
    eventually(lambda: end.deliveries and end.fates)
    assert end.fates[0].accepted
    assert (end.deliveries[0].payload, end.deliveries[0].content_type) == (b"picture" * 10_000, "")


def test_quality_of_service_0_is_answered_once_it_has_left(
    mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    end = make_link(mosquitto.port, unique_topic)
    end.publish(unique_topic, b"map", qos=0)
    eventually(lambda: end.deliveries and end.fates)
    end.deliveries[0].acknowledge()
    assert end.fates == [SUCCESS]


def test_a_retained_message_waits_for_subscribers_to_come(
    mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    first = make_link(mosquitto.port)
    first.publish(unique_topic, b"profile", retain=True)
    eventually(lambda: first.fates)
    second = make_link(mosquitto.port, unique_topic)
    eventually(lambda: second.deliveries)
    assert second.deliveries[0].retained
    assert not make_link(mosquitto.port).deliveries


def test_callbacks_may_publish(
    mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    def prepare(end: Any) -> None:
        end.on_connected = lambda _connection: end.publish(f"{unique_topic}/birth")
        end.on_delivery = lambda delivery: (
            end.publish(f"{unique_topic}/answer") if delivery.topic.endswith("birth") else None
        )

    end = make_link(mosquitto.port, f"{unique_topic}/#", prepare=prepare)
    eventually(lambda: end.fates == [SUCCESS] * 2)
    assert [delivery.topic.rsplit("/", 1)[1] for delivery in end.deliveries] == ["birth", "answer"]


def test_many_threads_publish_at_once_and_nothing_is_lost_or_doubled(
    mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    end = make_link(mosquitto.port, unique_topic)
    end.on_delivery = lambda delivery: delivery.acknowledge()

    def publish_all(thread: int) -> None:
        for number in range(200):
            while True:
                try:
                    end.publish(unique_topic, f"{thread}:{number}".encode() * 500)
                    break
                except UnavailableError:
                    time.sleep(0.001)

    threads = [threading.Thread(target=publish_all, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(end.fates) == 800 and len(end.deliveries) == 800)
    assert set(end.payloads()) == {f"{thread}:{number}".encode() * 500 for thread in range(4) for number in range(200)}
    assert all(fate.accepted for fate in end.fates)


def test_the_window_is_never_exceeded(
    mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    end = make_link(mosquitto.port, unique_topic, max_inflight=7)
    mosquitto.suspend()
    for _ in range(7):
        end.publish(unique_topic)
    for _ in range(3):
        with pytest.raises(UnavailableError, match="7 publications"):
            end.publish(unique_topic)
    assert end.fates == []
    mosquitto.resume()
    eventually(lambda: end.fates == [SUCCESS] * 7)
    end.publish(unique_topic)


def test_the_brokers_receive_maximum_is_obeyed(
    configured_mosquitto: Callable[[str], Broker], make_link: MakeLink, unique_topic: str
) -> None:
    broker = configured_mosquitto("max_inflight_messages 3")
    end = make_link(broker.port, unique_topic, max_inflight=50)
    assert end.connections[0].window == 3
    broker.suspend()
    for _ in range(3):
        end.publish(unique_topic)
    with pytest.raises(UnavailableError):
        end.publish(unique_topic)


def test_acknowledgements_out_of_order_wait_for_the_first(
    mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    consumer = make_link(mosquitto.port, unique_topic, max_inflight=4)
    producer = make_link(mosquitto.port)
    for _ in range(12):
        producer.publish(unique_topic)
    eventually(lambda: len(producer.fates) == 12 and len(consumer.deliveries) == 4)
    for delivery in (3, 2, 1):
        consumer.deliveries[delivery].acknowledge()
    producer.publish(f"{unique_topic}/probe")
    eventually(lambda: len(producer.fates) == 13)
    assert len(consumer.deliveries) == 4  # the first is still unacknowledged, and the others wait for it
    consumer.deliveries[0].acknowledge()
    eventually(lambda: len(consumer.deliveries) == 12)


def test_what_is_too_large_for_the_broker_never_reaches_the_wire(
    configured_mosquitto: Callable[[str], Broker], make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    broker = configured_mosquitto("max_packet_size 2000")
    end = make_link(broker.port, unique_topic)
    assert end.connections[0].max_packet_bytes == 2000
    with pytest.raises(TooLargeError) as caught:
        end.publish(unique_topic, bytes(2000))
    largest = bytes(2000 - (caught.value.packet_bytes - 2000))
    with pytest.raises(TooLargeError):
        end.publish(unique_topic, largest + b"x")
    end.publish(unique_topic, largest)
    eventually(lambda: end.fates == [SUCCESS])
    assert end.losses == []


def test_without_a_subscriber_a_publication_is_not_accepted(
    mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    end = make_link(mosquitto.port)
    end.publish(unique_topic)
    eventually(lambda: end.fates)
    assert end.fates == [Acknowledged(accepted=False, reason="No matching subscribers")]


def test_what_the_access_list_denies_is_not_accepted(
    configured_mosquitto: Callable[[str], Broker],
    make_link: MakeLink,
    unique_topic: str,
    eventually: Eventually,
    tmp_path: Path,
) -> None:
    access_list = tmp_path / "line.acl"
    access_list.write_text(f"topic read {unique_topic}\ntopic write {unique_topic}/allowed\n")
    access_list.chmod(0o644)
    tmp_path.chmod(0o755)
    end = make_link(configured_mosquitto(f"acl_file {access_list}\nuser root").port, unique_topic)
    end.publish(unique_topic)
    eventually(lambda: end.fates)
    assert end.fates == [Acknowledged(accepted=False, reason="Not authorized")]


def test_after_a_crash_of_the_broker_the_link_and_its_subscriptions_come_back(
    mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    end = make_link(mosquitto.port, unique_topic)
    mosquitto.suspend()
    end.publish(unique_topic, b"lost")
    mosquitto.kill()
    eventually(lambda: end.losses)
    assert [fate.accepted for fate in end.fates] == [False]
    assert "connection" in end.fates[0].reason
    with pytest.raises(UnavailableError, match="not connected"):
        end.publish(unique_topic)
    assert not end.link.wait_connected(0.0)
    mosquitto.restart()
    eventually(lambda: len(end.connections) == 2)
    assert end.connections[1].session > end.connections[0].session
    end.publish(unique_topic, b"again")
    eventually(lambda: end.deliveries)
    assert end.payloads() == [b"again"]  # paho did not send the lost one behind our back


def test_across_crashes_every_publication_is_answered_once_and_resending_brings_all(
    mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    consumer = make_link(mosquitto.port, unique_topic)
    consumer.on_delivery = Delivery.acknowledge
    producer = make_link(mosquitto.port)
    answers: list[tuple[int, bool]] = []
    calls = 0

    def send(number: int) -> None:
        nonlocal calls
        while True:
            try:
                producer.link.publish(
                    unique_topic, b"%d" % number, on_done=lambda fate: answers.append((number, fate.accepted))
                )
            except UnavailableError:
                time.sleep(0.001)
            else:
                calls += 1
                return

    for number in range(300):
        if number % 100 == 50:
            mosquitto.kill()
            mosquitto.restart()
        send(number)
    eventually(lambda: len(answers) == calls)
    assert sorted(number for number, _ in answers) == list(range(300))
    eventually(lambda: consumer.link.wait_connected(0.0))
    for number in set(range(300)) - {int(payload) for payload in consumer.payloads()}:
        send(number)
    eventually(lambda: {int(payload) for payload in consumer.payloads()} == set(range(300)))


def test_a_broker_that_comes_later_is_found(make_link: MakeLink, tmp_path: Path, eventually: Eventually) -> None:
    port = free_port()
    end = make_link(port, connect=False)
    eventually(lambda: end.losses)
    assert end.losses[0] == f"nothing listens on 127.0.0.1:{port}"
    with Broker(tmp_path, kind="mosquitto", port=port):
        assert end.link.wait_connected(60.0)


def test_one_loss_is_told_once(cable: Any, make_link: MakeLink, eventually: Eventually) -> None:
    end = make_link(cable.port)
    cable.cut()
    eventually(lambda: len(end.connections) == 2)
    assert len(end.losses) == 1


def test_a_broker_that_falls_silent_is_noticed_by_the_keepalive(
    mosquitto: Broker, make_link: MakeLink, eventually: Eventually
) -> None:
    end = make_link(mosquitto.port, keepalive_seconds=1)
    mosquitto.suspend()
    eventually(lambda: end.losses)
    assert "Keep alive timeout" in end.losses[0]


def test_a_broker_that_answers_pings_and_acknowledges_nothing_is_left(
    make_link: MakeLink, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was given would be on its way for ever: neither answered nor sent again."""
    monkeypatch.setattr("patchline.mqtt.session._ACKNOWLEDGEMENT_SECONDS", 1.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        deaf = threading.Thread(target=hear_and_say_nothing, args=(server,))
        deaf.start()
        end = make_link(server.getsockname()[1], protocol="3.1.1", keepalive_seconds=1)
        fates: list[Acknowledged] = []
        end.link.publish("topic", b"payload", on_done=fates.append)
        eventually(lambda: fates)
        eventually(lambda: len(end.connections) == 2)
        end.link.stop(5.0)
        deaf.join(60.0)
    assert fates == [Acknowledged(accepted=False, reason="the broker acknowledged nothing for 2 s")]


def hear_and_say_nothing(server: socket.socket) -> None:
    """Two connections of MQTT 3.1.1: CONNECT and PINGREQ are answered, PUBLISH is not."""
    for _ in range(2):
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"\x20\x02\x00\x00")
            while heard := connection.recv(4096):
                if heard.endswith(b"\xc0\x00"):
                    connection.sendall(b"\xd0\x00")


def test_unacknowledged_deliveries_come_again_while_the_broker_keeps_the_session(
    cable: Any, mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    consumer = make_link(cable.port, unique_topic, session_expiry_seconds=60, clean_start=False, max_inflight=3)
    producer = make_link(mosquitto.port)
    for payload in (b"1", b"2", b"3"):
        producer.publish(unique_topic, payload)
    eventually(lambda: len(consumer.deliveries) == 3)
    consumer.deliveries[0].acknowledge()
    producer.publish(unique_topic, b"4")
    eventually(lambda: len(consumer.deliveries) == 4)  # so the broker has read the acknowledgement of the first
    cable.cut()
    eventually(lambda: len(consumer.deliveries) == 7 and len(consumer.connections) == 2)
    assert consumer.payloads() == [b"1", b"2", b"3", b"4", b"2", b"3", b"4"]
    assert [delivery.duplicate for delivery in consumer.deliveries] == [False] * 4 + [True] * 3
    assert [connection.session_present for connection in consumer.connections] == [False, True]


def test_an_acknowledgement_of_an_earlier_connection_is_dropped(
    cable: Any, mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    consumer = make_link(cable.port, unique_topic, session_expiry_seconds=60, clean_start=False, max_inflight=1)
    producer = make_link(mosquitto.port)
    producer.publish(unique_topic, b"part")
    eventually(lambda: len(consumer.deliveries) == 1)
    cable.cut()
    eventually(lambda: len(consumer.deliveries) == 2)
    consumer.deliveries[0].acknowledge()
    cable.cut()
    eventually(lambda: len(consumer.deliveries) == 3)
    consumer.deliveries[2].acknowledge()
    producer.publish(unique_topic, b"next")
    eventually(lambda: len(consumer.deliveries) == 4)
    cable.cut()
    eventually(lambda: len(consumer.deliveries) == 5)
    assert consumer.payloads() == [b"part", b"part", b"part", b"next", b"next"]


def test_a_message_that_has_expired_is_not_delivered_to_a_client_that_comes_back(
    cable: Any, mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    kept = {"client_id": "absent", "session_expiry_seconds": 60, "clean_start": False}
    make_link(cable.port, unique_topic, **kept).link.stop(5.0)
    producer = make_link(mosquitto.port)
    producer.publish(unique_topic, b"command", expiry_seconds=1)
    producer.publish(unique_topic, b"report")
    eventually(lambda: len(producer.fates) == 2)
    time.sleep(2.1)
    consumer = make_link(cable.port, unique_topic, **kept)
    eventually(lambda: consumer.deliveries)
    assert consumer.payloads() == [b"report"]


def test_with_an_expiry_of_0_nothing_comes_again(
    cable: Any, mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    consumer = make_link(cable.port, unique_topic)
    producer = make_link(mosquitto.port)
    producer.publish(unique_topic, b"unacknowledged")
    eventually(lambda: consumer.deliveries)
    cable.cut()
    eventually(lambda: len(consumer.connections) == 2)
    producer.publish(unique_topic, b"next")
    eventually(lambda: len(consumer.deliveries) == 2)
    assert consumer.payloads() == [b"unacknowledged", b"next"]


def test_a_second_client_with_our_id_throws_us_out(
    mosquitto: Broker, make_link: MakeLink, eventually: Eventually
) -> None:
    first = make_link(mosquitto.port, client_id="twin")
    make_link(mosquitto.port, client_id="twin")
    eventually(lambda: first.losses)
    assert first.losses[0] == (
        "the other side closed the connection: the broker ended, or another program came as client 'twin'"
    )


def test_stop_awaits_what_is_on_its_way_and_leaves_no_will(
    mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    watcher = make_link(mosquitto.port, f"{unique_topic}/#", max_inflight=100)
    end = make_link(mosquitto.port, will=Will(topic=f"{unique_topic}/will", payload=b"dead"))
    for number in range(20):
        end.publish(unique_topic, b"%d" % number)
    end.link.stop(10.0)
    assert end.fates == [SUCCESS] * 20
    assert end.losses == ["the link was stopped"]
    with pytest.raises(UnavailableError):
        end.publish(unique_topic)
    watcher.publish(f"{unique_topic}/probe")
    eventually(lambda: watcher.deliveries and watcher.deliveries[-1].topic.endswith("probe"))
    assert watcher.payloads() == [b"%d" % number for number in range(20)] + [b"x"]


def test_stop_ends_in_time_when_the_broker_does_not_answer(
    mosquitto: Broker, make_link: MakeLink, unique_topic: str
) -> None:
    end = make_link(mosquitto.port)
    mosquitto.suspend()
    end.publish(unique_topic)
    end.link.stop(0.5)
    assert [fate.accepted for fate in end.fates] == [False]
    assert not [thread for thread in threading.enumerate() if thread.name == "link-test-0"]


def test_a_cut_cable_publishes_the_will(
    cable: Any, mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    watcher = make_link(mosquitto.port, unique_topic)
    make_link(cable.port, will=Will(topic=unique_topic, payload=b"dead", content_type="application/json"))
    cable.cut()
    eventually(lambda: watcher.deliveries)
    assert (watcher.deliveries[0].payload, watcher.deliveries[0].content_type) == (b"dead", "application/json")


def test_a_killed_process_publishes_its_will(
    mosquitto: Broker, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    watcher = make_link(mosquitto.port, f"{unique_topic}/#")
    program = f"""
import threading
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, Will

link = Link(
    LinkSettings(port={mosquitto.port}, client_id="doomed"),
    will=Will(topic="{unique_topic}/status", payload=b"dead"),
    on_delivery=print,
    on_connected=lambda _connection: link.publish("{unique_topic}/status", b"born", retain=True),
    on_disconnected=print,
)
link.start()
threading.Event().wait()
"""
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        eventually(lambda: watcher.payloads() == [b"born"])
    finally:
        process.kill()
        process.wait()
    eventually(lambda: watcher.payloads() == [b"born", b"dead"])
    late = make_link(mosquitto.port, f"{unique_topic}/#")
    eventually(lambda: late.deliveries)
    assert (late.payloads(), late.deliveries[0].retained) == ([b"dead"], True)


def test_before_it_is_started_a_link_publishes_nothing(make_link: MakeLink, unique_topic: str) -> None:
    end = make_link(free_port(), connect=False)
    with pytest.raises(UnavailableError):
        end.publish(unique_topic)


def test_a_wildcard_is_not_a_topic_to_publish_to(mosquitto: Broker, make_link: MakeLink) -> None:
    with pytest.raises(MisconfiguredError, match="wildcards"):
        make_link(mosquitto.port).publish("vad/v1/+/frame")


def test_the_network_thread_bears_the_clients_name(mosquitto: Broker, make_link: MakeLink) -> None:
    names: list[str] = []

    def prepare(end: Any) -> None:
        end.on_connected = lambda _connection: names.append(threading.current_thread().name)

    make_link(mosquitto.port, client_id="named", prepare=prepare)
    assert names == ["link-named"]
