"""Takes pictures within a time limit, and only while their parts can still stand before the camera."""

import queue
import threading
import time
from collections.abc import Callable

from edge_node.capture.dropped import Dropped
from edge_node.capture.sources.protocol import Pixels, Shot
from edge_node.outbox.rows import Row
from patchline.wire.errors import UnavailableError, UnreadableError

_POLL_SECONDS = 0.05
_STOP_SECONDS = 0.5
"""How long a picture that is being taken may still need when the station stops."""


class _Job:
    """One exposure on its way."""

    def __init__(self, shot: Shot, started: float) -> None:
        self.shot, self.started = shot, started
        self.done = threading.Event()
        self.pixels: Pixels | None = None
        self.error: BaseException | None = None


class Exposures:
    """Exposes on a daemon thread, so that neither the capture loop nor a stop waits for a camera that hangs.

    Args:
        limit_seconds: Longest time one exposure may take.
        max_age_seconds: How old a trigger may be when its picture is taken; infinite for pictures that wait.
        live: Whether a picture shows what stands there at the moment of exposure; then its age counts at the end, too.
        stop: Ends waiting.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        limit_seconds: float,
        max_age_seconds: float,
        live: bool,
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit_seconds, self._max_age_seconds, self._live = limit_seconds, max_age_seconds, live
        self._stop, self._clock = stop, clock
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._hung: _Job | None = None

    def take(self, row: Row, shot: Shot) -> Pixels:
        """The picture of a part.

        Raises:
            Dropped: The trigger is too old, the picture is damaged, or the camera is away or does not answer.
        """
        self.check_age(row)
        problem = self.problem()
        if problem:
            raise Dropped("capture_failed", problem)
        job = self._start(shot)
        self._await(job, self._limit_seconds + shot.wait_seconds)
        if isinstance(job.error, UnreadableError | UnavailableError | OSError):
            raise Dropped("capture_failed", str(job.error)) from job.error
        if job.error is not None:
            raise job.error
        assert job.pixels is not None
        if self._live:
            self.check_age(row)
        return job.pixels

    def check_age(self, row: Row) -> None:
        """Make sure that a part can still stand there; raises `Dropped` when its trigger is too old."""
        age = self._clock() - row.captured_monotonic
        if age > self._max_age_seconds:
            raise Dropped("superseded", f"the trigger is {age:.2f} s old, the limit is {self._max_age_seconds:g} s")

    def problem(self) -> str:
        """Says that the camera does not answer; empty when it does."""
        hung = self._hung
        if hung is None or hung.done.is_set():
            return ""
        return f"the source has not answered for {self._clock() - hung.started:.1f} s"

    def _start(self, shot: Shot) -> _Job:
        self._hung = None
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="exposure", daemon=True)
            self._thread.start()
        job = _Job(shot, self._clock())
        self._jobs.put(job)
        return job

    def _await(self, job: _Job, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not job.done.wait(max(0.0, min(_POLL_SECONDS, until - time.monotonic()))):
            if self._stop.is_set():
                until = min(until, time.monotonic() + _STOP_SECONDS)
                if job.done.wait(max(0.0, until - time.monotonic())):
                    return
                self._hung = job
                raise Dropped("interrupted", "the station stopped while the picture was being taken")
            if time.monotonic() >= until:
                self._hung = job
                raise Dropped("capture_failed", f"no picture within {seconds:g} s")

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job.pixels = job.shot.open()
            except BaseException as error:  # noqa: BLE001  the capture loop raises it again
                job.error = error
            job.done.set()
