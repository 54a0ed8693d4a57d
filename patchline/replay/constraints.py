"""Thin lines and slow computers for simulated stations, by the kernel where it is allowed, else by themselves."""

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from patchline.replay import cpu_share, namespaces
from patchline.replay.cpu_share import CpuShare
from patchline.replay.namespaces import Namespace
from patchline.wire.errors import MisconfiguredError

By = Literal["auto", "kernel", "program"]
"""Who holds a station back: the kernel, the station's own program, or the kernel where it may."""

BUCKET_WAY = "a token bucket in front of the sockets of each station"
DUTY_CYCLE_WAY = "a duty cycle: each station rests after each picture as long as its steps took, times {rest:g}"


def _nothing(process: int) -> None:
    del process


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How one station is run.

    Attributes:
        prefix: Goes before its command.
        broker_host: Where it finds the broker.
        metrics_host: Where it serves its metrics.
        broker: What its settings' `broker` table says beside that.
        slowdown: What its settings say.
        on_started: Told the id of its process.
    """

    prefix: tuple[str, ...] = ()
    broker_host: str = "127.0.0.1"
    metrics_host: str = "127.0.0.1"
    broker: Mapping[str, Any] = field(default_factory=dict)
    slowdown: float = 1.0
    on_started: Callable[[int], None] = _nothing


class Constraints:
    """What holds the stations of a run back; in force inside `with`, and leaves nothing on this machine after it.

    Args:
        stations: How many there are.
        uplink_bytes_per_second: Of each; None leaves the lines as they are.
        slowdown: How many times slower than one core of this machine each is.
        by: Who holds them back.
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
        listens_anywhere: bool = True,
    ) -> None:
        self._uplink, self._slowdown = uplink_bytes_per_second, slowdown
        self._stack = ExitStack()
        self._namespaces: list[Namespace] = []
        self._shares: list[CpuShare] = []
        if uplink_bytes_per_second is not None and _kernel(
            by, "--uplink", lambda: namespaces.why_not() if listens_anywhere else "this broker listens on loopback only"
        ):
            self._namespaces = [Namespace(place, uplink_bytes_per_second) for place in range(stations)]
        if slowdown > 1.0 and _kernel(by, "--edge-slowdown", cpu_share.why_not):
            self._shares = [CpuShare(f"{os.getpid()}-{place}", slowdown) for place in range(stations)]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for network in self._namespaces:
                stack.enter_context(network)
            for share in self._shares:
                stack.enter_context(share)
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
        in_program = self._uplink is not None and network is None
        return Terms(
            prefix=tuple(network.prefix) if network else (),
            broker_host=network.outside if network else Terms.broker_host,
            metrics_host=network.watched if network else Terms.metrics_host,
            broker={"uplink_bytes_per_second": self._uplink} if in_program else {},
            slowdown=1.0 if share else self._slowdown,
            on_started=share.take if share else _nothing,
        )

    def described(self) -> dict[str, Any]:
        """How it is done, for the report; nothing where nothing is held back."""
        told: dict[str, Any] = {}
        if self._uplink is not None:
            told["uplink_bytes_per_second"] = self._uplink
            told["uplink_shaped_by"] = namespaces.WAY if self._namespaces else BUCKET_WAY
        if self._slowdown > 1.0:
            told["edge_slowdown"] = self._slowdown
            told["edge_throttled_by"] = (
                self._shares[0].way if self._shares else DUTY_CYCLE_WAY.format(rest=self._slowdown - 1.0)
            )
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
            remedy="run as root with iproute2 and control groups, or let the stations do it: --constrained-by program",
        )
    return not reason
