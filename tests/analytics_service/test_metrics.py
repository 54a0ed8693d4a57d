"""Metrics: their names, their zeroes, and what is read when somebody looks."""

from prometheus_client import CollectorRegistry

from analytics_service.metrics import Metrics


def test_every_name_begins_with_the_services_prefix() -> None:
    families = [
        family for family in Metrics(CollectorRegistry()).registry.collect() if not family.name.startswith("process_")
    ]
    assert families
    assert all(family.name.startswith("vad_analytics_") for family in families)
    assert all(family.documentation for family in families)


def test_outcomes_are_counted_from_zero_so_that_a_rate_has_a_beginning() -> None:
    registry = Metrics(CollectorRegistry()).registry
    assert registry.get_sample_value("vad_analytics_verdicts_total", {"outcome": "anomalous"}) == 0


def test_the_queue_is_read_when_asked() -> None:
    metrics, depth = Metrics(CollectorRegistry()), [3.0]
    metrics.watch_queue(lambda: depth[0], lambda: 5.0)
    depth[0] = 4.0
    assert metrics.registry.get_sample_value("vad_analytics_queue_parts") == 4.0
