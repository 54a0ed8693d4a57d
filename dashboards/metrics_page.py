"""`docs/reference/metrics.md`, from the two registries themselves."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric

from analytics_service.broker_metrics import BrokerFigures
from analytics_service.metrics import Metrics
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.rows import OutboxState

_HEAD = """\
# Metrics

Made from the code by `python -m dashboards.write`; do not edit. Edge nodes answer `/metrics` on `metrics.port`, the
service on `metrics_port`; both are off (0) and on loopback unless set otherwise. At the same port:

| | 200 | 503, one reason a line |
|---|---|---|
| `/healthz` | every thread runs, and none has been at one task for a minute | a restart may help |
| `/readyz` of an edge node | connected, has a profile, not paused, takes pictures | what is missing |
| `/readyz` of the service | both links up, records usable, artifacts loaded | what is missing |

`process_*` (processor, memory, files) are the client library's. Labels are bounded: stations and codecs are those
that artifacts were made for. Give each edge node's scrape target the label `station`, as
`dashboards/prometheus/prometheus.yml` does: dashboards and alarms tell stations apart by it. A histogram also has
`_bucket`, `_sum` and `_count`.
"""


def families() -> Iterator[tuple[str, list[Metric]]]:
    """The series of both programs as Prometheus reads them, without `process_*`."""
    edge, service = EdgeMetrics(), Metrics(CollectorRegistry())
    edge.watch_outbox(lambda: OutboxState(rows=0, bytes=0, budget_bytes=1, oldest_captured_at=None))
    yield "Edge node", _ours(edge.registry)
    yield "Analytics service", [*_ours(service.registry), *BrokerFigures.everything()]


def labels_of(registry_names: dict[str, tuple[str, ...]], name: str) -> str:
    """The labels of a series, for a cell."""
    return " ".join(f"`{label}`" for label in registry_names.get(name, ()))


def page() -> str:
    """The whole page."""
    labels = _labels()
    parts = [_HEAD]
    for title, found in families():
        parts.append(f"\n## {title}\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n")
        for family in sorted(found, key=lambda one: one.name):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            parts.append(f"| `{name}` | {family.type} | {labels_of(labels, family.name)} | {family.documentation} |\n")
    return "".join(parts)


def _ours(registry: CollectorRegistry) -> list[Metric]:
    return [family for family in registry.collect() if not family.name.startswith("process_")]


def _labels() -> dict[str, tuple[str, ...]]:
    """Label names by series; the library keeps them, but tells them only with a sample."""
    held = [*vars(EdgeMetrics()).values(), *vars(Metrics(CollectorRegistry())).values()]
    return {
        one._name: tuple(one._labelnames)  # noqa: SLF001 - there is no public way to ask
        for one in held
        if hasattr(one, "_labelnames")
    }
