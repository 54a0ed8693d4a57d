import socket
import threading
from typing import Any

import pytest

from edge_node.metrics import EdgeMetrics
from patchline.replay.broker import free_port
from patchline.replay.edge_metrics import Gauges, quantile
from patchline.runtime.endpoints import Health, serve

INFINITE = float("inf")


def test_a_quantile_lies_straight_within_its_bucket() -> None:
    assert quantile([(0.1, 0), (0.2, 100), (INFINITE, 100)], 0.95) == pytest.approx(0.195)


def test_beyond_the_last_bound_the_last_bound_is_told() -> None:
    assert quantile([(0.1, 1), (INFINITE, 100)], 0.95) == 0.1


@pytest.mark.parametrize("buckets", [[], [(0.1, 0), (INFINITE, 0)]])
def test_nothing_observed_has_no_quantile(buckets: Any) -> None:
    assert quantile(buckets, 0.95) is None


def test_a_running_edge_nodes_own_metrics_are_read() -> None:
    metrics = EdgeMetrics()
    metrics.verdicts.labels("normal").inc(7)
    metrics.verdicts.labels("anomalous").inc(2)
    metrics.latency_seconds.observe(0.15)
    port = free_port()
    stop = serve(metrics.registry, port, "127.0.0.1", health=Health())
    try:
        gauges = Gauges(port)
        reading = gauges.read()
    finally:
        stop()
    assert reading is not None
    assert (reading.produced, reading.waiting) == (9, 0)
    assert gauges.p95_seconds is not None
    assert 0.1 < gauges.p95_seconds <= 0.2


def test_an_edge_node_that_is_gone_has_no_reading() -> None:
    assert Gauges(free_port()).read() is None


def test_an_edge_node_that_dies_in_the_middle_of_its_answer_has_no_reading() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def break_off() -> None:
            connection, _ = listener.accept()
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\nvad_edge_outbox_rows 1\n")
            connection.close()

        thread = threading.Thread(target=break_off)
        thread.start()
        assert Gauges(listener.getsockname()[1]).read() is None
        thread.join()
