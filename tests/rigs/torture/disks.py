"""Disks that are full, fail, or lose their power."""

import time
from random import Random

from patchline.wire.errors import EXIT_UNAVAILABLE
from tests.rigs.torture.kills import wait_a_moment
from tests.rigs.torture.places import RealDisk
from tests.rigs.torture.rig import Rig


def fill_station(rig: Rig, rng: Random) -> None:
    """Not a byte is left where the station keeps its outbox; then room returns."""
    wait_a_moment(rng, 0.6)
    rig.edge_place.fill()
    time.sleep(rng.uniform(0.5, 2.0))
    rig.edge_place.clear()
    _boot_if_ended(rig)


def fill_station_and_kill(rig: Rig, rng: Random) -> None:
    """The same, with SIGKILL while it is full, and a boot on the full disk."""
    wait_a_moment(rng, 0.6)
    rig.edge_place.fill()
    wait_a_moment(rng, 0.6)
    rig.edge.kill()
    rig.boot_edge_again()
    time.sleep(rng.uniform(0.5, 2.0))
    rig.edge_place.clear()
    _boot_if_ended(rig)


def fill_service(rig: Rig, rng: Random) -> None:
    """No room where the service keeps its records; then it returns."""
    wait_a_moment(rng, 0.6)
    rig.records_place.fill()
    time.sleep(rng.uniform(0.5, 2.0))
    rig.records_place.clear()


def fill_service_and_kill(rig: Rig, rng: Random) -> None:
    """The same, with SIGKILL of the service while it is full."""
    wait_a_moment(rng, 0.6)
    rig.records_place.fill()
    wait_a_moment(rng, 0.6)
    rig.services[0].kill()
    rig.records_place.clear()
    rig.services[0].start()


def cut_power_of_station(rig: Rig, rng: Random) -> None:
    """The process and everything it had not flushed are gone; the disk comes back as it was flushed."""
    disk = _disk(rig)
    wait_a_moment(rng)
    rig.edge.kill()
    disk.cut_power()
    rig.boot_edge_again()


def break_disk_of_station(rig: Rig, rng: Random) -> None:
    """Every write fails from now on; the disk is mended, and the station booted again."""
    disk = _disk(rig)
    wait_a_moment(rng, 0.8)
    disk.break_down()
    time.sleep(rng.uniform(0.5, 1.5))
    rig.edge.kill()
    disk.repair()
    rig.boot_edge_again()


def _disk(rig: Rig) -> RealDisk:
    assert isinstance(rig.edge_place, RealDisk)
    return rig.edge_place


def _boot_if_ended(rig: Rig) -> None:
    """A station whose disk failed it may end by itself and say so; its supervisor starts it again."""
    if rig.until(lambda: rig.edge.exit_code == EXIT_UNAVAILABLE, 0.5):
        rig.boot_edge_again()
