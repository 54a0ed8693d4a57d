"""SIGKILL and SIGSTOP, at drawn moments: of the broker, the service, the station, and of several at once."""

import signal
import time
from random import Random

from tests.rigs.torture.rig import Rig

_LONGEST_PART_OF_A_ROUND_SECONDS = 1.2
_DOWN_SECONDS = (0.0, 0.6)
_STALL_SECONDS = 5.5
"""Longer than twice the keepalive of the torture: noticed, not waited out."""


def wait_a_moment(rng: Random, longest: float = _LONGEST_PART_OF_A_ROUND_SECONDS) -> None:
    """Let the line work for a drawn time."""
    time.sleep(rng.uniform(0.0, longest))


def kill_broker(rig: Rig, rng: Random) -> None:
    """Mid-publish, and start it again."""
    wait_a_moment(rng)
    rig.broker.kill()
    time.sleep(rng.uniform(*_DOWN_SECONDS))
    rig.broker.start()


def kill_broker_and_forget(rig: Rig, rng: Random) -> None:
    """Every session, subscription and retained message is gone with its disk."""
    wait_a_moment(rng)
    rig.broker.kill()
    for path in (rig.folder / "broker" / "data").glob("*"):
        path.unlink()
    rig.broker.start()


def keep_broker_away(rig: Rig, rng: Random) -> None:
    """Stopped in order, and away until every part of the round has been captured."""
    wait_a_moment(rng, 0.4)
    rig.broker.stop()
    rig.until(lambda: len(rig.exposed()) >= len(rig.ledger), 10.0)
    time.sleep(rng.uniform(1.0, 3.0))
    rig.broker.start()


def kill_service(rig: Rig, rng: Random) -> None:
    """Mid-batch, and start it again."""
    wait_a_moment(rng)
    rig.services[0].kill()
    time.sleep(rng.uniform(*_DOWN_SECONDS))
    rig.services[0].start()


def kill_one_worker(rig: Rig, rng: Random) -> None:
    """One of those that share the parts, again and again while the others go on."""
    for _ in range(2):
        wait_a_moment(rng, 0.6)
        victim = rng.choice(rig.services)
        victim.kill()
        time.sleep(rng.uniform(*_DOWN_SECONDS))
        victim.start()


def kill_station(rig: Rig, rng: Random) -> None:
    """Mid-write, and boot it again on the parts it had not numbered."""
    wait_a_moment(rng)
    rig.edge.kill()
    rig.boot_edge_again()


def kill_station_and_broker(rig: Rig, rng: Random) -> None:
    """Both at once; the station boots before the broker is back."""
    wait_a_moment(rng)
    rig.edge.kill()
    rig.broker.kill()
    rig.boot_edge_again()
    time.sleep(rng.uniform(*_DOWN_SECONDS))
    rig.broker.start()


def kill_service_and_broker(rig: Rig, rng: Random) -> None:
    """Both at once, in a drawn order, and back in a drawn order."""
    wait_a_moment(rng)
    downs, ups = [rig.broker.kill, rig.services[0].kill], [rig.broker.start, rig.services[0].start]
    for moves in (downs, ups):
        rng.shuffle(moves)
        for move in moves:
            move()
        time.sleep(rng.uniform(*_DOWN_SECONDS))


def kill_everything(rig: Rig, rng: Random) -> None:
    """A power cut of the whole hall, as far as processes can tell."""
    wait_a_moment(rng)
    for program in (rig.edge, rig.services[0], rig.broker):
        program.kill()
    starts = [rig.broker.start, rig.services[0].start, rig.boot_edge_again]
    rng.shuffle(starts)
    for start in starts:
        start()


def kill_station_again_and_again(rig: Rig, rng: Random) -> None:
    """Also while it boots."""
    for _ in range(4):
        wait_a_moment(rng)
        rig.edge.kill()
        rig.boot_edge_again()


def stall_broker(rig: Rig, rng: Random) -> None:
    """Half-open: the connections stand, nobody answers, longer than the keepalive allows."""
    wait_a_moment(rng, 0.4)
    rig.broker.suspend()
    time.sleep(_STALL_SECONDS)
    rig.broker.resume()


def stall_service(rig: Rig, rng: Random) -> None:
    """It stands still while its connection does, and goes on."""
    wait_a_moment(rng, 0.4)
    rig.services[0].signal(signal.SIGSTOP)
    time.sleep(rng.uniform(1.0, _STALL_SECONDS))
    rig.services[0].signal(signal.SIGCONT)


def slow_service(rig: Rig, rng: Random) -> None:
    """A tenth of its speed for as long as parts are captured: it works a tenth of each moment."""
    period = rng.uniform(0.1, 0.4)
    while rig.edge.running and len(rig.exposed()) < len(rig.ledger):
        rig.services[0].signal(signal.SIGSTOP)
        time.sleep(0.9 * period)
        rig.services[0].signal(signal.SIGCONT)
        time.sleep(0.1 * period)


def stall_station(rig: Rig, rng: Random) -> None:
    """The station stands still beyond its gates' deadlines, and goes on."""
    wait_a_moment(rng, 0.4)
    rig.edge.signal(signal.SIGSTOP)
    time.sleep(rng.uniform(1.0, 3.0))
    rig.edge.signal(signal.SIGCONT)
