"""A network of its own for a station: a wire to this machine that the kernel keeps thin, and another to watch it by."""

import contextlib
import os
import re
import shutil
from types import TracebackType
from typing import Self

from patchline.replay.system_command import run
from patchline.wire.errors import UnavailableError

WAY = "a token bucket filter (tbf) on the wire out of a network namespace of each station"

_NAME = re.compile(r"patchline-(\d+)-\d+", re.ASCII)
_NETWORK = (198 << 24) | (18 << 16)
"""198.18.0.0/15, which RFC 2544 keeps for measurements: nobody's own network is there."""
_SUBNETS = 1 << 14
_SUBNET_ADDRESSES = 8
"""Two wires with four addresses each."""
_STATIONS_A_RUN = 64
_BITS_A_BYTE = 8
_BURST_SECONDS = 0.01
_FEWEST_BURST_BYTES = 1600
"""A little more than one Ethernet frame, or nothing would ever pass. So much of a message passes at once."""
_QUEUE_SECONDS = 1.0
_FEWEST_QUEUE_BYTES = 65_536


class Namespace:
    """One station's network; made by `with`, and gone after it.

    Args:
        place: Which station of the run, from 0.
        uplink_bytes_per_second: What leaves it at most: whole Ethernet frames, so less than that of MQTT.

    Attributes:
        name: As `ip netns` knows it.
        outside: This machine's address on the thin wire: where a broker must listen for the station.
        inside: The station's address there.
        watched: The station's address on a wire of any speed. Whoever looks at the station's metrics must look here:
            an answer of 16 kB on the thin wire would delay the parts that the look is about.
    """

    def __init__(self, place: int, uplink_bytes_per_second: float) -> None:
        process = os.getpid()
        self.name = f"patchline-{process}-{place}"
        self._rate = uplink_bytes_per_second
        self._thin = (f"pl{process}o{place}", f"pl{process}i{place}")
        self._wide = (f"pw{process}o{place}", f"pw{process}i{place}")
        subnet = _NETWORK + _SUBNET_ADDRESSES * ((process * _STATIONS_A_RUN + place) % _SUBNETS)
        self.outside, self.inside = _written(subnet + 1), _written(subnet + 2)
        self._watcher, self.watched = _written(subnet + 5), _written(subnet + 6)

    @property
    def prefix(self) -> list[str]:
        """What to put before a command that shall run inside."""
        return ["ip", "netns", "exec", self.name]

    def __enter__(self) -> Self:
        burst = max(_FEWEST_BURST_BYTES, int(_BURST_SECONDS * self._rate))
        limit = max(_FEWEST_QUEUE_BYTES, int(_QUEUE_SECONDS * self._rate))
        rate = f"{int(self._rate * _BITS_A_BYTE)}bit"
        try:
            run("ip", "netns", "add", self.name)
            run("ip", "-n", self.name, "link", "set", "lo", "up")
            self._wire(self._thin, self.outside, self.inside)
            self._wire(self._wide, self._watcher, self.watched)
            run("tc", "-n", self.name, "qdisc", "add", "dev", self._thin[1], "root", "tbf",
                "rate", rate, "burst", str(burst), "limit", str(limit))  # fmt: skip
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _wire(self, ends: tuple[str, str], outside: str, inside: str) -> None:
        outer, inner = ends
        run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", self.name)
        run("ip", "addr", "add", f"{outside}/30", "dev", outer)
        run("ip", "link", "set", outer, "up")
        run("ip", "-n", self.name, "addr", "add", f"{inside}/30", "dev", inner)
        run("ip", "-n", self.name, "link", "set", inner, "up")

    def _remove(self) -> None:
        # The outer ends go first: a namespace with a process left in it lives on, but its wires must not.
        wires = [("ip", "link", "del", outer) for outer, _ in (self._thin, self._wide)]
        for command in (*wires, ("ip", "netns", "del", self.name)):
            with contextlib.suppress(UnavailableError):
                run(*command)


def why_not() -> str:
    """Why this machine cannot have such networks; empty where it can. Tries it, and leaves nothing behind."""
    for program in ("ip", "tc"):
        if shutil.which(program) is None:
            return f"the program {program} is not installed"
    sweep()
    try:
        with Namespace(_STATIONS_A_RUN - 1, 1e6):
            return ""
    except UnavailableError as error:
        return str(error)


def sweep() -> None:
    """Remove the networks of runs that were killed before they could do it themselves."""
    with contextlib.suppress(UnavailableError):
        for line in run("ip", "netns", "list").splitlines():
            found = _NAME.match(line)
            if found is not None and not os.path.exists(f"/proc/{found[1]}"):  # noqa: PTH110 - a process, not a file
                with contextlib.suppress(UnavailableError):
                    run("ip", "netns", "del", found[0])


def _written(address: int) -> str:
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))
