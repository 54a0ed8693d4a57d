"""Connections that are slow, lossy, silent, reset, half-closed or damaged, and clocks that jump."""

import time
from random import Random

from patchline.replay import namespaces
from patchline.replay.chaos_proxy import ChaosProxy
from patchline.replay.system_command import run
from patchline.wire.errors import UnavailableError
from tests.rigs.torture.crowd import Crowd
from tests.rigs.torture.kills import wait_a_moment
from tests.rigs.torture.rig import Rig, faketime_library

_SILENT_SECONDS = 5.5
_CROWD = 1000


def go_silent(rig: Rig, rng: Random) -> None:
    """A black hole: nothing passes, nothing is closed, longer than the keepalive allows."""
    proxy = _proxy(rig)
    wait_a_moment(rng, 0.6)
    proxy.silent = True
    time.sleep(_SILENT_SECONDS)
    proxy.silent = False


def reset(rig: Rig, rng: Random) -> None:
    """RST on every connection, a few times."""
    proxy = _proxy(rig)
    for _ in range(3):
        wait_a_moment(rng, 0.8)
        proxy.reset()


def half_close(rig: Rig, rng: Random) -> None:
    """FIN towards the broker only."""
    proxy = _proxy(rig)
    for _ in range(2):
        wait_a_moment(rng, 0.8)
        proxy.half_close()


def delay(rig: Rig, rng: Random) -> None:
    """Every chunk takes 0.2 to 0.6 seconds longer, both ways."""
    proxy = _proxy(rig)
    proxy.delay_seconds = rng.uniform(0.2, 0.6)
    rig.until(lambda: not rig.edge.running, 6.0)
    proxy.delay_seconds = 0.0


def flip_bits(rig: Rig, rng: Random) -> None:
    """One bit in each of six pictures on their way."""
    proxy = _proxy(rig)
    wait_a_moment(rng, 0.3)
    proxy.corrupt = 6
    rig.until(lambda: proxy.corrupt == 0 or not rig.edge.running, 6.0)
    proxy.corrupt = 0


def slow_link(rig: Rig, rng: Random) -> None:
    """The wire of the station's own network is narrow all the time; its connections are also cut once."""
    wait_a_moment(rng)
    rig.broker.kill()
    rig.broker.start()


def lose_packets(share: float) -> "LosePackets":
    """A fault that drops a share of all packets."""
    return LosePackets(share)


class LosePackets:
    """Drops a share of the packets on the station's wire, both ways, while the round goes on."""

    def __init__(self, share: float) -> None:
        self._share = share

    def __call__(self, rig: Rig, rng: Random) -> None:
        """Until the station is done, or for ten seconds."""
        assert rig.network is not None
        rule = ["-m", "statistic", "--mode", "random", "--probability", str(self._share), "-j", "DROP"]
        inside = rig.network.prefix
        wait_a_moment(rng, 0.3)
        for chain in ("INPUT", "OUTPUT"):
            run(*inside, "iptables", "-A", chain, *rule)
        rig.until(lambda: not rig.edge.running, 10.0)
        for chain in ("INPUT", "OUTPUT"):
            run(*inside, "iptables", "-D", chain, *rule)


def jump_clock(rig: Rig, rng: Random) -> None:
    """The station's wall clock jumps by an hour, back by two, and to 1970 or so, while it works."""
    jumps = ["+3600", "-3600", "-1700000000", "+0"]
    rng.shuffle(jumps)
    for offset in jumps:
        wait_a_moment(rng, 0.4)
        rig.set_clock(offset)
    wait_a_moment(rng, 0.2)
    rig.set_clock("+0")


def jump_clock_and_kill(rig: Rig, rng: Random) -> None:
    """The station boots an hour, or decades, before it was killed."""
    wait_a_moment(rng)
    rig.edge.kill()
    rig.set_clock(rng.choice(["-3600", "-1700000000", "+86400"]))
    rig.boot_edge_again()


def crowd(rig: Rig, rng: Random) -> None:
    """A thousand idle devices connect beside the station."""
    with Crowd(rig.broker.port, _CROWD) as devices:
        rig.until(lambda: not rig.edge.running, 3.0)
        wait_a_moment(rng, 0.2)
        rig.troubles += devices.troubles


def storm(rig: Rig, rng: Random) -> None:
    """The broker is killed under a thousand devices, which all come back at once with the station."""
    with Crowd(rig.broker.port, _CROWD) as devices:
        wait_a_moment(rng, 0.4)
        rig.broker.kill()
        rig.broker.start()
        devices.connect()
        rig.troubles += devices.troubles


def why_no_clock() -> str:
    """Why clocks cannot be set here; empty where they can."""
    return "" if faketime_library() else "libfaketime is not installed (apt install faketime)"


def why_no_packets() -> str:
    """Why packets cannot be dropped here; empty where they can."""
    reason = namespaces.why_not()
    if reason:
        return f"no network namespaces: {reason}"
    try:
        run("iptables", "-m", "statistic", "--help")
    except UnavailableError as error:
        return str(error)
    return ""


def _proxy(rig: Rig) -> ChaosProxy:
    assert rig.proxy is not None
    return rig.proxy
