"""The edge node at work: `run` reads from top to bottom."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from edge_node.assembly import Node, Stops, assemble, verify_key_of
from edge_node.capture_assembly import build_source
from edge_node.connections import link_settings
from edge_node.control.active_encoder import ActiveEncoder
from edge_node.delivery.inbox import LANES
from edge_node.gate.gates import GATES
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.database import look_at
from edge_node.outbox.rows import Row
from edge_node.settings import EdgeSettings
from patchline.mqtt.certificate_expiry import warn, warn_until
from patchline.mqtt.tls import context_of
from patchline.runtime.endpoints import Health, serve
from patchline.runtime.loops import Failures
from patchline.runtime.thread_group import ThreadGroup, stopped_by_signals
from patchline.wire.errors import EXIT_UNAVAILABLE, UnavailableError

_log = logging.getLogger(__name__)

_MAY_END = frozenset({"capture", "triggers"})
"""A source may have an end; the verdicts on its parts are still waited for."""
_POLL_SECONDS = 0.1
_FAREWELL_SECONDS = 2.0
_PATIENCE_SECONDS = 2.0
_STAYS = "; the station stays until it is stopped (see finish_when_drained, or watch of a folder)"


def check(settings: EdgeSettings) -> None:
    """Make sure a station could start, without going online or touching what a running one holds.

    Raises:
        MisconfiguredError: A setting, or a file it names, is wrong.
        UnavailableError: The camera gives no picture.
    """
    build_source(settings, EdgeMetrics(), threading.Event()).check()
    verify_key_of(settings)
    GATES[settings.gate.kind].check(settings.gate)
    look_at(settings.outbox.path, settings.station)
    link = link_settings(settings, max_inflight=settings.broker.max_inflight)
    if link.tls is not None:
        context_of(link.tls)
        warn(link.tls, _log.warning)


def run(settings: EdgeSettings, stops: Stops | None = None) -> int:
    """Run a station until it is stopped by a signal, or has finished where it is set to.

    Args:
        settings: The station's settings.
        stops: Set `capture` to end it from another thread.

    Returns:
        The exit code: 0, or `EXIT_UNAVAILABLE` when verdicts or a first profile stayed away too long.

    Raises:
        MisconfiguredError: A setting, or a file it names, is wrong.
        UnavailableError: The outbox's disk is full or failing.
    """
    stops = stops or Stops(threading.Event(), threading.Event())
    node = assemble(settings, stops)
    thread_group = ThreadGroup(on_failure=partial(_stop_all, node, stops))
    try:
        with thread_group.watching(), _monitored(node, settings, thread_group), stopped_by_signals(stops.capture):
            try:
                code = _work(node, settings, stops, thread_group)
            finally:
                _stop_all(node, stops)
                thread_group.join()
                node.gate_controller.finish()
    finally:
        node.capture.source.stop()
        for link in (*node.plant_links, node.link):
            link.stop(_FAREWELL_SECONDS)
        node.outbox.close()
        _log.info("station %s stopped", settings.station)
    thread_group.raise_failure()
    return code


def _work(node: Node, settings: EdgeSettings, stops: Stops, thread_group: ThreadGroup) -> int:
    node.profile_updates.boot()
    unfinished = _recover(node)
    node.link.start()
    for lane in LANES:
        thread_group.start(f"inbox of {lane}", partial(node.inbox.run, stops.rest, lane))
    for link in node.plant_links:
        link.start()
    tls = link_settings(settings, max_inflight=settings.broker.max_inflight).tls
    if tls is not None:
        warn(tls, _log.warning)
        node.metrics.watch_certificates(tls)
        thread_group.start("certificates", partial(warn_until, stops.rest, tls, _log.warning))
    thread_group.start(
        "status publisher", partial(node.status_publisher.run, node.link, stops.rest, node.metrics.watchdog)
    )
    thread_group.start("gate", partial(node.gate_controller.run, stops.rest))
    thread_group.start("publisher", partial(node.publisher.run, stops.rest))
    if node.capture.messages is not None:
        thread_group.start("arrival clock", partial(node.capture.arrival_clock.run, stops.rest))
    node.capture.source.start()
    capture = thread_group.start("capture", partial(node.capture.loop.run, unfinished))
    thread_group.start("triggers", node.capture.triggers.run)
    _log.info("station %s runs, boot %s", settings.station, node.boot_id)
    code = _supervise(node, settings, stops, capture)
    stops.capture.set()
    capture.join()
    _drain(node, settings.drain_seconds)
    return code


def _recover(node: Node) -> list[Row]:
    """What earlier boots left is the backlog; the rows of numbers that never got a picture."""
    node.gate_controller.settle_closed()
    rows = node.outbox.pending()
    if node.capture.messages is not None:
        node.capture.messages.remember(rows)
    for row in rows:
        node.gate_controller.settle(row, node.clock_id)
        if row.kind != "reserved":
            node.publisher.kept(row, historical=True)
    if rows:
        _log.info("outbox holds %d inspections of earlier boots", len(rows))
    return [row for row in rows if row.kind == "reserved"]


def _supervise(node: Node, settings: EdgeSettings, stops: Stops, capture: threading.Thread) -> int:
    """Wait until the station is stopped or finished; the exit code."""
    profile = _ProfileWait(settings.station, node.active_encoder, settings.profile.wait_seconds)
    ended: float | None = None
    outbox = Failures("the look at the outbox")
    while not stops.capture.wait(_POLL_SECONDS):
        if profile.is_over():
            return EXIT_UNAVAILABLE
        if capture.is_alive():
            continue
        now = time.monotonic()
        if ended is None:
            ended = now
            _log.info("the source has ended, no more parts come%s", "" if settings.finish_when_drained else _STAYS)
        if not settings.finish_when_drained:
            continue
        waiting = _open(node, outbox)
        if not waiting:
            _log.info("source ended, every inspection is closed")
            return 0
        if now - ended > settings.finish_seconds:
            _log.error("%d inspections still wait for their verdict or their gate", waiting)
            return EXIT_UNAVAILABLE
    return 0


class _ProfileWait:
    """Waits for a station's first profile: logs once that it waits, and ends where a limit is set."""

    def __init__(self, station: str, active_encoder: ActiveEncoder, limit_seconds: float | None) -> None:
        self._station, self._active_encoder, self._limit_seconds = station, active_encoder, limit_seconds
        self._started = time.monotonic()
        self._told = False

    def is_over(self) -> bool:
        """Whether the limit has passed without a profile."""
        waited = time.monotonic() - self._started
        if self._active_encoder.encoder is not None:
            return False
        if not self._told and waited > _PATIENCE_SECONDS:
            self._told = True
            _log.warning(
                "no profile yet, neither cached nor published: waiting for the service; is it up,"
                " and was %s commissioned by just this name?",
                self._station,
            )
        if self._limit_seconds is None or waited <= self._limit_seconds:
            return False
        _log.error("no profile came within %.1f s", self._limit_seconds)
        return True


def _open(node: Node, outbox: Failures) -> int:
    """How many parts are open; at least one while the outbox cannot be read."""
    try:
        rows = node.outbox.state.rows
    except UnavailableError as error:
        outbox.failed(error)
        rows = 1
    else:
        outbox.succeeded()
    return max(rows, node.gate_controller.watching)


def _drain(node: Node, seconds: float) -> None:
    """Let verdicts on their way arrive; what stays open is in the outbox for the next boot."""
    deadline, outbox = time.monotonic() + seconds, Failures("the look at the outbox")
    while _open(node, outbox) and node.link.wait_connected(0) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _stop_all(node: Node, stops: Stops) -> None:
    stops.capture.set()
    stops.rest.set()
    node.gate_controller.wake()
    node.publisher.wake()


def health_of(node: Node, thread_group: ThreadGroup) -> Health:
    """What speaks against a station, and against its being ready for parts."""

    def alive() -> list[str]:
        return [*thread_group.ended(may_end=_MAY_END), *node.metrics.watchdog.stuck()]

    def ready() -> list[str]:
        against = {
            "not connected to the broker": not node.link.wait_connected(0),
            "not connected for triggers or gate commands": not all(link.wait_connected(0) for link in node.plant_links),
            "no profile yet, neither cached nor published": node.active_encoder.encoder is None,
            "paused by a command": node.active_encoder.paused,
            "the outbox takes no pictures": node.metrics.capture_is_blocked,
            "the outbox file was deleted or replaced": not node.outbox.is_in_place,
        }
        camera = (node.capture.source.problem(), node.capture.exposures.problem())
        return [*alive(), *(reason for reason, holds in against.items() if holds), *filter(None, camera)]

    return Health(alive=alive, ready=ready)


@contextmanager
def _monitored(node: Node, settings: EdgeSettings, thread_group: ThreadGroup) -> Iterator[None]:
    if not settings.metrics.port:
        yield
        return
    stop = serve(
        node.metrics.registry, settings.metrics.port, settings.metrics.host, health=health_of(node, thread_group)
    )
    try:
        yield
    finally:
        stop()
