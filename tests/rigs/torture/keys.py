"""Certificates that expire or are exchanged, and rights that are taken away, on a provisioned site."""

import time
from random import Random

from patchline.replay.broker import Broker
from patchline.wire.errors import EXIT_MISCONFIGURED
from tests.rigs.torture.ground import STATION
from tests.rigs.torture.kills import wait_a_moment
from tests.rigs.torture.rig import Rig

_VALID_SECONDS = 2.0


def expire(rig: Rig, rng: Random) -> None:
    """The station's certificate expires while it works; a broken connection finds out, then a new one is given.

    A station that is started with an expired certificate refuses to, by name; its outbox waits.
    """
    assert rig.site is not None
    rig.edge.kill()
    rig.site.certificate_until(str(STATION), _VALID_SECONDS)
    rig.boot_edge_again()
    began = time.monotonic()
    rig.until_exposed(4)
    time.sleep(max(0.0, _VALID_SECONDS + 0.5 - (time.monotonic() - began)))
    rig.broker.kill()
    rig.broker.start()
    wait_a_moment(rng, 0.8)
    rig.edge.kill()
    rig.boot_edge_again()
    if not rig.until(lambda: not rig.edge.running) or rig.edge.exit_code != EXIT_MISCONFIGURED:
        rig.troubles.append(f"an expired certificate was not refused at the start: {rig.edge.last_words()}")
    rig.site.renew(str(STATION))
    rig.boot_edge_again()


def exchange(rig: Rig, rng: Random) -> None:
    """The broker's certificate and the station's are renewed while both work; SIGHUP lets the broker read its own."""
    assert rig.site is not None
    for name in ("broker", str(STATION)):
        wait_a_moment(rng, 0.4)
        rig.site.renew(name)
    rig.broker.reload()
    wait_a_moment(rng, 0.3)
    rig.broker.kill()
    rig.broker.start()


def take_rights(rig: Rig, rng: Random) -> None:
    """The station may not publish any more: MQTT 5 refuses each with 0x87; then it may again."""
    assert rig.site is not None
    rights = rig.site.access_list.read_bytes()
    wait_a_moment(rng, 0.4)
    kept = [line for line in rights.decode().splitlines() if "/frame" not in line and "/backlog" not in line]
    rig.site.access_list.write_text("\n".join(kept) + "\n", encoding="utf-8")
    _reload(rig.broker)
    time.sleep(rng.uniform(0.5, 2.0))
    rig.site.access_list.write_bytes(rights)
    _reload(rig.broker)


def _reload(broker: Broker) -> None:
    broker.reload()
    time.sleep(0.2)
