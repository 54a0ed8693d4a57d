"""What the service shows to those who watch it: artifacts, certificates, and whether it is alive and ready."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from analytics_service.broker_metrics import BrokerFigures
from analytics_service.connections import LiveReplies
from analytics_service.metrics import Metrics
from analytics_service.models.store_watcher import CurrentArtifacts
from analytics_service.settings import Settings
from patchline.artifacts.store import ArtifactStore
from patchline.runtime.endpoints import Health, serve
from patchline.runtime.thread_group import ThreadGroup
from patchline.runtime.watchdog import Watchdog

log = logging.getLogger(__name__)


def describe(artifact_store: ArtifactStore | CurrentArtifacts, metrics: Metrics) -> None:
    """Tell the metrics which artifacts can be asked to judge."""
    metrics.artifact_info.clear()
    for shelved in artifact_store.artifacts:
        header = shelved.artifact.header
        metrics.artifact_info.labels(
            header.station, header.codec, shelved.fingerprint[:12], header.backbone.name, header.detector
        ).set(1)
    metrics.files_set_aside.set(len(artifact_store.set_aside))
    for path, error in artifact_store.set_aside.items():
        log.error("%s is set aside, the other files are used: %s", path, error)
    log.info("judging with %d artifacts", len(artifact_store.artifacts))


@dataclass(frozen=True, slots=True)
class Watched:
    """What a service's health depends on.

    Attributes:
        replies: The live link.
        backlog_is_connected: Whether historical parts can come.
        records_are_up: Whether the records answered the last time they were asked.
        artifact_store: What can judge.
        threads: Those it cannot do without, as soon as they have been started.
    """

    replies: LiveReplies
    backlog_is_connected: Callable[[], bool]
    records_are_up: Callable[[], bool]
    artifact_store: CurrentArtifacts
    threads: ThreadGroup


def health_of(watchdog: Watchdog, watched: Watched) -> Health:
    """What speaks against a service, and against sending parts to it."""

    def alive() -> list[str]:
        return [*watched.threads.ended(), *watchdog.stuck()]

    def ready() -> list[str]:
        against = {
            "starting": not watched.threads.started,
            "not connected to the broker": not watched.replies.connected,
            "the backlog's link is not connected": not watched.backlog_is_connected(),
            "the records are away": not watched.records_are_up(),
            "no artifact is loaded": not watched.artifact_store.artifacts,
        }
        return [*alive(), *(reason for reason, holds in against.items() if holds)]

    return Health(alive=alive, ready=ready)


def monitored(settings: Settings, metrics: Metrics, health: Health) -> Callable[[], None]:
    """Answer those who watch, where settings say so; returns what stops it.

    Raises:
        MisconfiguredError: The port or the address cannot be used.
    """
    if not settings.metrics_port:
        return lambda: None
    return serve(metrics.registry, settings.metrics_port, settings.metrics_host, health=health)


def figures_of(settings: Settings, metrics: Metrics) -> BrokerFigures | None:
    """The broker's own figures, being listened to, where settings say so."""
    if not settings.broker.figures or settings.broker.protocol != "5":
        return None
    figures = BrokerFigures(settings.broker.link_settings(settings.name), metrics.registry)
    figures.start()
    return figures
