"""The service, put together: `run` is the checklist of its life, from top to bottom."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from analytics_service.announcements import Announcements
from analytics_service.audit.auditor import Auditor
from analytics_service.connections import Connections, LiveReplies, plan_links
from analytics_service.health import Watched, describe, figures_of, health_of, monitored
from analytics_service.inspection.artifact_wait import ArtifactWait
from analytics_service.inspection.delivery_queue import DeliveryQueue
from analytics_service.inspection.part_counts import PartCounts
from analytics_service.inspection.pipeline import Pipeline
from analytics_service.inspection.recorder import OutcomeRecorder
from analytics_service.inspection.reply_publisher import ReplyPublisher
from analytics_service.inspection.scoring import PartScorer
from analytics_service.inspection.worker import Worker
from analytics_service.metrics import Metrics
from analytics_service.models.store_watcher import CurrentArtifacts, FolderState, remove_older, state_of, watch_until
from analytics_service.records.engine import engine_of
from analytics_service.records.records import Records
from analytics_service.records.retention import sweep_until
from analytics_service.settings import Settings
from patchline.artifacts.engines import EngineCache
from patchline.artifacts.store import ArtifactStore, StoredArtifact, open_store
from patchline.mqtt.certificate_expiry import warn, warn_until
from patchline.mqtt.delivery import Delivery
from patchline.mqtt.tls import context_of
from patchline.runtime.signing import VerifyKey
from patchline.runtime.thread_group import ThreadGroup, stopped_by_signals
from patchline.runtime.version import program_version
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import ServiceStatus
from patchline.wire.topics import Station, Topics

log = logging.getLogger(__name__)

GOODBYE_SECONDS = 5.0
DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Checked:
    """What a service needs and has been looked at: it can go online with it."""

    settings: Settings
    topics: Topics
    site: str
    artifact_store: ArtifactStore
    opened: FolderState
    open_again: Callable[[Mapping[str, StoredArtifact]], ArtifactStore]


def check(settings: Settings) -> Checked:
    """Load, verify and warm up everything but broker and records: artifacts, profiles, backbones, and their fit.

    Of the records only the address is looked at.

    Raises:
        MisconfiguredError: Something is missing, damaged or does not fit.
    """
    topics = Topics(settings.prefix)
    link = settings.broker.link_settings(settings.name)
    if link.tls is not None:
        context_of(link.tls)
        warn(link.tls, log.warning)
    verify_key = VerifyKey(settings.verify_key) if settings.verify_key else None
    engine_of(settings.records.url).dispose()
    engines = EngineCache(threads=settings.worker.threads, device=settings.worker.device)

    def open_again(known: Mapping[str, StoredArtifact]) -> ArtifactStore:
        return open_store(settings.artifacts, engine_for=engines.engine_for, verify_key=verify_key, known=known)

    opened = state_of(settings.artifacts)
    artifact_store = open_again({})
    for shelved in artifact_store.artifacts:
        shelved.warm_up()
    return Checked(settings, topics, _site_of(artifact_store, settings), artifact_store, opened, open_again)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was admitted and return.

    Raises:
        MisconfiguredError: The settings, or what they name, cannot be used.
        UnavailableError: The records are away at the start.
    """
    checked = check(settings)
    records = Records(settings.records.url, max_letter_bytes=settings.records.max_letter_bytes)
    metrics = Metrics(CollectorRegistry())
    describe(checked.artifact_store, metrics)
    delivery_queue = DeliveryQueue(max_messages=settings.worker.queue_messages, max_bytes=settings.worker.queue_bytes)
    metrics.watch_queue(lambda: len(delivery_queue), lambda: delivery_queue.waiting_bytes)
    outlet, stopped = LiveReplies(), threading.Event()
    replies = ReplyPublisher(outlet, topics=checked.topics, metrics=metrics, maps=settings.worker.maps, stopped=stopped)
    artifact_store = CurrentArtifacts(checked.artifact_store)
    over = threading.Event()
    threads = ThreadGroup(on_failure=over.set)
    recorder = OutcomeRecorder(records, metrics=metrics, stopped=stopped)
    worker = _worker(checked, artifact_store, delivery_queue, recorder=recorder, replies=replies, metrics=metrics)
    publication = _publication(checked, artifact_store, outlet, metrics)
    auditor = Auditor(
        records,
        topics=checked.topics,
        shown=metrics,
        grace_seconds=settings.records.grace_seconds,
        stations=lambda: artifact_store.profiles,
    )
    connections = _connections(
        checked, delivery_queue, outlet=outlet, metrics=metrics, publication=publication, auditor=auditor
    )
    watched = Watched(
        replies=outlet,
        backlog_is_connected=lambda: connections.backlog_is_connected,
        records_are_up=lambda: recorder.available,
        artifact_store=artifact_store,
        threads=threads,
    )
    stop_monitoring = monitored(settings, metrics, health_of(metrics.watchdog, watched))
    with threads.watching(), stopped_by_signals(over):
        working = threads.start("worker", worker.run)
        threads.start("announcements", publication.run)
        threads.start("retention", lambda: _sweep(stopped, records, settings, metrics))
        threads.start("auditor", lambda: auditor.run(stopped, metrics.watchdog))
        threads.start("artifacts", lambda: _watch_artifacts(stopped, checked, artifact_store, publication, metrics))
        _watch_certificates(threads, stopped, settings, metrics)
        connections.start()
        figures = figures_of(settings, metrics)
        over.wait()
        log.info("stopping, %d messages wait for their verdict", len(delivery_queue))
        connections.stop_taking()
        delivery_queue.close()
        working.join(settings.drain_seconds)
        stopped.set()
        publication.stop()
        threads.join(GOODBYE_SECONDS)
        if figures is not None:
            figures.stop(GOODBYE_SECONDS)
        connections.stop(GOODBYE_SECONDS)
    stop_monitoring()
    records.close()
    threads.raise_failure()
    log.info("stopped")


def _site_of(artifact_store: ArtifactStore, settings: Settings) -> str:
    sites = sorted({Station.parse(station).site for station in artifact_store.profiles})
    if settings.site:
        Station(settings.site, "line", "station")
        if sites and settings.site not in sites:
            raise MisconfiguredError(
                f"no artifact is of site {settings.site!r}, only of {', '.join(sites)}",
                where="site",
                remedy="correct `site`, or commission its stations",
            )
        return settings.site
    if len(sites) != 1:
        raise MisconfiguredError(
            f"the artifacts are of {len(sites)} sites ({', '.join(sites)})" if sites else "there is no profile",
            where="site",
            remedy="set `site`; a service serves one",
        )
    return sites[0]


def _worker(
    checked: Checked,
    artifact_store: CurrentArtifacts,
    delivery_queue: DeliveryQueue,
    *,
    recorder: OutcomeRecorder,
    replies: ReplyPublisher,
    metrics: Metrics,
) -> Worker:
    settings = checked.settings
    wait = ArtifactWait(_arrival_seconds(settings), time.monotonic) if settings.shared_group else None
    scorer = PartScorer(artifact_store, artifact_wait=wait)
    pipeline = Pipeline(scorer, recorder, replies, PartCounts(metrics), topics=checked.topics)
    return Worker(
        delivery_queue,
        pipeline,
        metrics=metrics,
        batch_parts=settings.worker.batch_parts,
        wait_seconds=settings.worker.wait_seconds,
    )


def _arrival_seconds(settings: Settings) -> float:
    """How much later than another worker this one may take up an artifact: it looks twice, and then has to load it."""
    return 4.0 * settings.reload_seconds + 10.0


def _publication(
    checked: Checked, artifact_store: CurrentArtifacts, outlet: LiveReplies, metrics: Metrics
) -> Announcements:
    name = checked.settings.name
    return Announcements(
        outlet,
        library=artifact_store,
        topics=checked.topics,
        birth=ServiceStatus(name=name, online=True, instance=uuid.uuid4().hex, version=program_version()),
        topic=checked.topics.service_status(checked.site, name),
        watchdog=metrics.watchdog,
    )


def _connections(
    checked: Checked,
    delivery_queue: DeliveryQueue,
    *,
    outlet: LiveReplies,
    metrics: Metrics,
    publication: Announcements,
    auditor: Auditor,
) -> Connections:
    def on_status(delivery: Delivery) -> None:
        publication.on_status(delivery)
        auditor.on_status(delivery)

    plan = plan_links(
        checked.settings.broker.link_settings(checked.settings.name),
        topics=checked.topics,
        site=checked.site,
        group=checked.settings.shared_group,
        backlog_inflight=checked.settings.broker.backlog_inflight,
        will=publication.will(),
    )
    return Connections(
        plan,
        delivery_queue=delivery_queue,
        outlet=outlet,
        metrics=metrics,
        on_status=on_status,
        on_live=publication.announce,
    )


def _sweep(stopped: threading.Event, records: Records, settings: Settings, metrics: Metrics) -> None:
    sweep_until(
        stopped,
        records,
        metrics.watchdog,
        keep_seconds=settings.records.keep_days * DAY_SECONDS,
        max_dead_letters=settings.records.max_dead_letters,
        remove_older=lambda now: remove_older(settings.artifacts, before=now - settings.older_keep_days * DAY_SECONDS),
    )


def _watch_artifacts(
    stopped: threading.Event,
    checked: Checked,
    artifact_store: CurrentArtifacts,
    publication: Announcements,
    metrics: Metrics,
) -> None:
    def on_exchanged() -> None:
        describe(artifact_store, metrics)
        publication.announce()

    watch_until(
        stopped,
        checked.settings.artifacts,
        opened=checked.opened,
        current=artifact_store,
        open_again=checked.open_again,
        on_exchanged=on_exchanged,
        interval_seconds=checked.settings.reload_seconds,
    )


def _watch_certificates(
    thread_group: ThreadGroup, stopped: threading.Event, settings: Settings, metrics: Metrics
) -> None:
    tls = settings.broker.link_settings(settings.name).tls
    if tls is not None:
        metrics.watch_certificates(tls)
        thread_group.start("certificates", lambda: warn_until(stopped, tls, log.warning))
