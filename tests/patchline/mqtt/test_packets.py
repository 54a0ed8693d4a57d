import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from patchline.mqtt.packets import publication
from patchline.mqtt.settings import LinkSettings, Protocol
from patchline.wire.errors import MisconfiguredError


def settings(protocol: Protocol = "5") -> LinkSettings:
    return LinkSettings(client_id="c", protocol=protocol)


@given(
    protocol=st.sampled_from(["5", "3.1.1"]),
    topic=st.text("abcé/", min_size=1, max_size=40),
    size=st.sampled_from([0, 1, 100, 127, 128, 16_300, 16_384, 70_000]),
    qos=st.sampled_from([0, 1]),
    content_type=st.text(max_size=20),
    correlation=st.binary(max_size=40),
    user=st.lists(st.tuples(st.text("kv", max_size=5), st.text("wx", max_size=5)), max_size=3),
    expiry_seconds=st.sampled_from([0, 1, 2**32 - 1]),
)
def test_a_packet_weighs_what_paho_puts_on_the_wire(
    *,
    protocol: Protocol,
    topic: str,
    size: int,
    qos: int,
    content_type: str,
    correlation: bytes,
    user: list[tuple[str, str]],
    expiry_seconds: int,
) -> None:
    wanted = publication(
        settings(protocol),
        topic,
        bytes(size),
        qos=1 if qos else 0,
        retain=False,
        content_type=content_type,
        correlation=correlation,
        user=user,
        expiry_seconds=expiry_seconds,
    )
    version = MQTTProtocolVersion.MQTTv5 if protocol == "5" else MQTTProtocolVersion.MQTTv311
    client = Client(CallbackAPIVersion.VERSION2, protocol=version)
    packets: list[bytes] = []
    client._sock = object()  # type: ignore[assignment]
    client._packet_queue = lambda _command, packet, *_: packets.append(bytes(packet))  # type: ignore[method-assign,assignment]
    client._send_publish(1, topic.encode(), wanted.payload, wanted.qos, wanted.retain, properties=wanted.properties)
    client._sock = None
    assert [len(packet) for packet in packets] == [wanted.packet_bytes]


@pytest.mark.parametrize(
    ("content_type", "correlation", "user"),
    [("t" * 70_000, b"", ()), ("", bytes(70_000), ()), ("", b"", [("k", "v" * 70_000)])],
)
def test_a_property_that_does_not_fit_a_packet_is_refused(
    content_type: str, correlation: bytes, user: list[tuple[str, str]]
) -> None:
    with pytest.raises(MisconfiguredError):
        publication(
            settings(), "a/b", b"", qos=1, retain=False, content_type=content_type, correlation=correlation, user=user
        )
