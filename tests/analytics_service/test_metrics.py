"""Metrics: their names, their zeroes, and that they can be fetched."""

import urllib.request

import pytest
from prometheus_client import CollectorRegistry

from analytics_service.metrics import Metrics, serve
from line_replay.broker import free_port
from wire_contract.errors import UnavailableError


def test_every_name_begins_with_the_services_prefix() -> None:
    families = list(Metrics(CollectorRegistry()).registry.collect())
    assert families
    assert all(family.name.startswith("vad_analytics_") for family in families)
    assert all(family.documentation for family in families)


def test_outcomes_are_counted_from_zero_so_that_a_rate_has_a_beginning() -> None:
    registry = Metrics(CollectorRegistry()).registry
    assert registry.get_sample_value("vad_analytics_verdicts_total", {"outcome": "anomalous"}) == 0


def test_metrics_are_served_and_the_queue_is_read_when_asked() -> None:
    metrics, depth = Metrics(CollectorRegistry()), [3.0]
    metrics.watch_queue(lambda: depth[0], lambda: 5.0)
    port = free_port()
    stop = serve(metrics.registry, port, address="127.0.0.1")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        assert "vad_analytics_queue_parts 3.0" in text
        with pytest.raises(UnavailableError, match=str(port)):
            serve(metrics.registry, port, address="127.0.0.1")
    finally:
        stop()
