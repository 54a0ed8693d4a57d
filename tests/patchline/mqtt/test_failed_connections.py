import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from patchline.mqtt import paho_client
from patchline.mqtt.settings import LinkSettings, TlsSettings

MakeLink = Callable[..., Any]
Eventually = Callable[..., None]
Script = Callable[[Sequence[bytes]], int]

CONNACK = b"\x20\x03\x00\x00\x00"


@pytest.mark.parametrize(
    ("protocol", "answers", "reason"),
    [
        ("5", [b"\x20\x03\x00\x86\x00"], "Bad user name or password; set broker.username and broker.password"),
        ("5", [b"\x20\x03\x00\x84\x00"], "the broker refuses the connection: Unsupported protocol version"),
        ("3.1.1", [b"\x20\x02\x00\x05"], "the broker refuses the connection: Not authorized; set broker.username"),
        ("5", [CONNACK, b"\x90\x04\x00\x01\x00\x87"], "the broker refuses the subscription to a/b (Not authorized)"),
        (
            "3.1.1",
            [b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x80"],
            "refuses the subscription to a/b (Unspecified error)",
        ),
        ("5", [CONNACK, b"\x90\x05\x00\x01\x00\x01\x01"], "the broker answers 1 subscriptions with 2 codes"),
        ("5", [CONNACK + b"\xe0\x02\x8b\x00"], "the broker closed the connection: Server shutting down"),
        ("5", [CONNACK + b"\x30\x04\x00\x01\xff\x00"], "the broker delivered to a topic that is not UTF-8"),
        ("5", [b"\x00\x00"], "the connection was lost: Error: Unrecognised command 0"),
        ("5", [b"\x20\x01\x00"], "Protocol error; is port {port} the broker's, and does it ask for TLS"),
    ],
)
def test_a_connection_that_fails_says_why_and_is_never_called_connected(
    *,
    scripted_broker: Script,
    make_link: MakeLink,
    eventually: Eventually,
    protocol: str,
    answers: list[bytes],
    reason: str,
) -> None:
    port = scripted_broker(answers)
    end = make_link(port, "a/b", connect=False, protocol=protocol)
    eventually(lambda: end.losses)
    assert reason.format(port=port) in end.losses[0]
    assert end.connections == []
    assert not end.link.wait_connected(0.0)


def test_a_server_that_hangs_up_before_it_answers_may_be_no_broker_or_one_that_asks_for_tls(
    make_link: MakeLink, eventually: Eventually
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        end = make_link(listener.getsockname()[1], connect=False)
        listener.accept()[0].close()
        eventually(lambda: end.losses)
    assert "; is port" in end.losses[0]
    assert "which we do not speak: broker.tls is not set" in end.losses[0]


def test_failed_attempts_are_repeated_and_each_is_told(
    scripted_broker: Script, make_link: MakeLink, eventually: Eventually
) -> None:
    end = make_link(scripted_broker([b"\x20\x03\x00\x88\x00"]), connect=False)
    eventually(lambda: len(end.losses) >= 2)
    assert set(end.losses) == {"the broker refuses the connection: Server unavailable"}


@pytest.mark.parametrize("answers", [[], [CONNACK]])
def test_a_broker_that_does_not_answer_is_given_up(
    scripted_broker: Script,
    make_link: MakeLink,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[bytes],
) -> None:
    monkeypatch.setattr(paho_client, "CONNECT_TIMEOUT_SECONDS", 0.2)
    end = make_link(scripted_broker(answers), "a/b", connect=False)
    eventually(lambda: end.losses)
    assert end.losses[0] == "the broker did not answer CONNECT and SUBSCRIBE in time"


def test_the_terms_are_the_lower_of_ours_and_the_brokers(scripted_broker: Script, make_link: MakeLink) -> None:
    limits = b"\x21\x00\x02" + b"\x27\x00\x00\x01\x2c"  # Receive Maximum 2, Maximum Packet Size 300
    end = make_link(scripted_broker([b"\x20\x0b\x01\x00\x08" + limits]), client_id="c", max_inflight=9)
    (connection,) = end.connections
    assert (connection.session, connection.session_present) == (1, True)
    assert (connection.window, connection.max_packet_bytes) == (2, 300)


def test_an_end_of_the_tls_handshake_asks_for_the_port() -> None:
    settings = LinkSettings(host="plant", client_id="c", tls=TlsSettings(ca=Path("ca.crt")))
    words = paho_client.connect_error(ConnectionResetError(104, "Connection reset by peer"), settings)
    assert words.endswith("Connection reset by peer; is it the port where the broker speaks TLS?")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "refused"), "nothing listens on plant:1883"),
        (TimeoutError(), "plant:1883 does not answer"),
        (socket.gaierror(-2, "Name or service not known"), "the name 'plant' cannot be resolved: Name or service"),
        (OSError(113, "No route to host"), "plant:1883 cannot be reached: [Errno 113] No route to host"),
    ],
)
def test_an_error_of_the_network_is_put_in_words(error: OSError, words: str) -> None:
    assert paho_client.connect_error(error, LinkSettings(host="plant", client_id="c")).startswith(words)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_packet_over_our_limit_is_not_read_whatever_the_protocol(
    scripted_broker: Script, make_link: MakeLink, eventually: Eventually, protocol: str
) -> None:
    connack = CONNACK if protocol == "5" else b"\x20\x02\x00\x00"
    announced = b"\x30\xff\xff\xff\x7f" + b"\x00\x03a/b"
    end = make_link(scripted_broker([connack + announced]), protocol=protocol, max_packet_bytes=4096, connect=False)
    eventually(lambda: end.losses)
    assert "the broker sends a packet of 268435455 bytes, over our limit of 4096" in end.losses[0]
    assert end.deliveries == []


def test_sockets_send_at_once_and_notice_a_dead_peer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = LinkSettings(port=listener.getsockname()[1], client_id="c")
        client = paho_client.build(settings, None)
        paho_client.connect(client, settings)
        opened: Any = client.socket()
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
        opened.close()
