"""HTTP endpoints for metrics and health probes: `/metrics`, `/healthz` and `/readyz`.

`/healthz` says whether a restart would help: 200, or 503 with the reasons, one a line. `/readyz` says whether the
program can do its work now, in the same way.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

from patchline.wire.errors import MisconfiguredError

_SLOWEST_REQUEST_SECONDS = 10
_HEADERS = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]


def nothing_wrong() -> Sequence[str]:
    """No reason against it."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Health:
    """What speaks against a program, one sentence each; asked at every request, so it must return at once.

    Attributes:
        alive: Why only a restart could help.
        ready: Why it cannot do its work now.
    """

    alive: Callable[[], Sequence[str]] = nothing_wrong
    ready: Callable[[], Sequence[str]] = nothing_wrong


def serve(registry: CollectorRegistry, port: int, host: str, *, health: Health) -> Callable[[], None]:
    """Answer from threads of its own; returns what stops it.

    Raises:
        MisconfiguredError: The port or the address cannot be used.
    """
    try:
        server = make_server(host, port, _door(registry, health), _Server, _Handler)
    except OSError as error:
        raise MisconfiguredError(
            f"metrics cannot be served on {host}:{port}: {error.strerror}",
            where="the port of the metrics",
            remedy="choose a free port, or 0 for none",
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="monitoring", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = _SLOWEST_REQUEST_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's own name
        """A scrape every few seconds is no news."""


def _door(registry: CollectorRegistry, health: Health) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    metrics = make_wsgi_app(registry)
    told = {"/healthz": health.alive, "/readyz": health.ready}

    def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = str(environment.get("PATH_INFO", ""))
        if path == "/metrics":
            scraped: Iterable[bytes] = metrics(environment, start)
            return scraped
        if path not in told:
            start("404 Not Found", list(_HEADERS))
            return [b"there are /metrics, /healthz and /readyz\n"]
        against = told[path]()
        # A list of its own for every answer: the server writes a length into it.
        start("503 Service Unavailable" if against else "200 OK", list(_HEADERS))
        return ["".join(f"{reason}\n" for reason in against or ["ok"]).encode()]

    return answer
