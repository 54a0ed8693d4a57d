"""Thin uplinks and slow computers for simulated stations: by the kernel where it is allowed, else by this program."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from patchline.replay import cpu_share, namespaces
from patchline.replay.chaos_proxy import ChaosProxy
from patchline.replay.cpu_share import CpuShare
from patchline.replay.duty_cycle import DutyCycle
from patchline.replay.namespaces import Namespace
from patchline.replay.token_bucket import TokenBucket
from patchline.wire.errors import MisconfiguredError

By = Literal["auto", "kernel", "program"]
"""What limits a station: the kernel, this program, or the kernel where it may."""

BUCKET_WAY = "a token bucket in a proxy between each station and the broker"


def _nothing(process: int) -> None:
    del process


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How one station is run.

    Attributes:
        prefix: Goes before its command.
        broker_host: Where it finds the broker.
        broker_port: The port there; None for the broker's own.
        metrics_host: Where it serves its metrics.
        on_started: Called with the id of its process.
    """

    prefix: tuple[str, ...] = ()
    broker_host: str = "127.0.0.1"
    broker_port: int | None = None
    metrics_host: str = "127.0.0.1"
    on_started: Callable[[int], None] = _nothing


class Constraints:
    """The limits of the stations of a run. They hold inside `with`, and nothing of them remains after it.

    Args:
        stations: How many there are.
        uplink_bytes_per_second: Of each; None leaves the lines as they are.
        slowdown: How many times slower than one core of this machine each is.
        by: What limits them.
        broker_port: Where the broker listens on loopback.
        listens_anywhere: Whether the broker can listen where a network namespace reaches it.

    Raises:
        MisconfiguredError: It shall be the kernel, and this machine does not allow that.
    """

    def __init__(
        self,
        stations: int,
        *,
        uplink_bytes_per_second: float | None = None,
        slowdown: float = 1.0,
        by: By = "auto",
        broker_port: int = 1883,
        listens_anywhere: bool = True,
    ) -> None:
        self._uplink, self._slowdown = uplink_bytes_per_second, slowdown
        self._stack = ExitStack()
        self._namespaces: list[Namespace] = []
        self._proxies: list[ChaosProxy] = []
        self._shares: list[CpuShare] | list[DutyCycle] = []
        if uplink_bytes_per_second is not None:
            if _kernel(
                by,
                "--uplink",
                lambda: namespaces.why_not() if listens_anywhere else "this broker listens on loopback only",
            ):
                self._namespaces = [Namespace(place, uplink_bytes_per_second) for place in range(stations)]
            else:
                buckets = [TokenBucket(uplink_bytes_per_second) for _ in range(stations)]
                self._proxies = [ChaosProxy(broker_port, uplink=bucket) for bucket in buckets]
        if slowdown > 1.0:
            if _kernel(by, "--edge-slowdown", cpu_share.why_not):
                self._shares = [CpuShare(f"{os.getpid()}-{place}", slowdown) for place in range(stations)]
            else:
                self._shares = [DutyCycle(slowdown) for _ in range(stations)]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for each in (*self._namespaces, *self._proxies, *self._shares):
                stack.enter_context(each)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def addresses(self) -> list[str]:
        """Where the broker must listen beside loopback."""
        return [each.outside for each in self._namespaces]

    def terms_of(self, place: int) -> Terms:
        """How the station of this place, from 0, is run."""
        network = self._namespaces[place] if self._namespaces else None
        share = self._shares[place] if self._shares else None
        return Terms(
            prefix=tuple(network.prefix) if network else (),
            broker_host=network.outside if network else Terms.broker_host,
            broker_port=self._proxies[place].port if self._proxies else None,
            metrics_host=network.watched if network else Terms.metrics_host,
            on_started=share.take if share else _nothing,
        )

    def described(self) -> dict[str, Any]:
        """How it is done, for the report; empty where nothing is limited."""
        told: dict[str, Any] = {}
        if self._uplink is not None:
            told["uplink_bytes_per_second"] = self._uplink
            told["uplink_shaped_by"] = namespaces.WAY if self._namespaces else BUCKET_WAY
        if self._slowdown > 1.0:
            told["edge_slowdown"] = self._slowdown
            told["edge_throttled_by"] = self._shares[0].way
        return told


def _kernel(by: By, option: str, why_not: Callable[[], str]) -> bool:
    """Whether the kernel shall do it."""
    if by == "program":
        return False
    reason = why_not()
    if reason and by == "kernel":
        raise MisconfiguredError(
            f"the kernel may not do this here: {reason}",
            where=option,
            remedy="run as root with iproute2 and control groups, or let this program do it: --constrained-by program",
        )
    return not reason
