"""Attacks on the access list: with valid certificates, at what is somebody else's."""

import socket
import ssl
import uuid

from patchline.mqtt.settings import Protocol
from patchline.wire.channels import CHANNELS, ChannelName
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import Command, EdgeStatus, ServiceStatus, from_json, to_json
from tests.rigs.attacks.attack import Attack, AttackSucceededError, Refused
from tests.rigs.attacks.site import SIDE, TOP, SiteUnderAttack
from tests.rigs.attacks.watcher import Watcher

_DENIED = "Not authorized"
_FORGED_WILL = b'{"forged": "will"}'


def denied(site: SiteUnderAttack, attacker: Watcher, topics: list[str], payload: bytes = b"") -> Refused:
    """Say it on each topic, and hold what was answered against what a witness heard.

    Raises:
        AttackSucceededError: The witness heard it.
    """
    # What another attack was allowed to say on the same topic is no evidence, so each attempt has a mark of its own.
    payload = payload or f'{{"forged": "{uuid.uuid4()}"}}'.encode()
    for topic in topics:
        said = len(attacker.fates)
        attacker.say(topic, payload)
        site.until(lambda said=said: len(attacker.fates) > said)  # type: ignore[misc]  # mypy and lambda defaults
    _wait_for_canary(site)
    heard = [topic for topic in topics if payload in site.watcher.on(topic) + site.recorder.on(topic)]
    if heard:
        raise AttackSucceededError(f"heard on {heard}")
    answers = sorted({fate.reason for fate in attacker.fates})
    return Refused(
        "broker, access list", f"{len(topics)} topics, each answered {', '.join(answers)}; witness heard none"
    )


def _wait_for_canary(site: SiteUnderAttack) -> None:
    """Messages of one client arrive in order: once the witness hears this one, it would have heard the others."""
    topic = site.topics.of(SIDE, "status")
    status = to_json(EdgeStatus(station=str(SIDE), online=True, boot_id=str(len(site.watcher.on(topic)))))
    canary = site.watch(str(SIDE))
    canary.say(topic, status)
    site.until(lambda: status in site.watcher.on(topic))
    canary.link.stop(1.0)


def _write_elsewhere(site: SiteUnderAttack, protocol: Protocol) -> Refused:
    attacker = site.watch(str(SIDE), protocol=protocol)
    refused = denied(site, attacker, [site.topics.of(TOP, channel) for channel in CHANNELS])
    if protocol == "5" and {fate.reason for fate in attacker.fates} != {_DENIED}:
        raise AttackSucceededError(f"answered {attacker.fates}")
    return refused


def _write_downlinks(site: SiteUnderAttack) -> Refused:
    attacker = site.watch(str(SIDE))
    channels: tuple[ChannelName, ...] = ("verdict", "map", "profile", "asset", "command", "unreadable")
    return denied(site, attacker, [site.topics.of(SIDE, channel) for channel in channels])


def _claim_a_name(site: SiteUnderAttack) -> Refused:
    attacker = site.watch(str(SIDE), claims="analytics")
    return denied(site, attacker, [site.topics.of(TOP, "verdict"), site.topics.of(TOP, "profile")])


def read_elsewhere(site: SiteUnderAttack, protocol: Protocol, *, name: str = str(SIDE)) -> Refused:
    """Listen to everything while a witness hears verdicts of another station pass.

    Raises:
        AttackSucceededError: We hear something of another station, too.
    """
    filters = ("#", "vad/v1/+/+/+/frame", site.topics.of(TOP, "verdict"), "$SYS/#", "$share/analytics/vad/v1/#")
    attacker = site.watch(name, *filters, protocol=protocol)
    before = len(site.watcher.on(site.topics.of(TOP, "verdict")))
    site.until(lambda: len(site.watcher.on(site.topics.of(TOP, "verdict"))) > before + 1)
    own = f"vad/v1/{SIDE}/"
    foreign = {each.topic for each in attacker.heard if not each.topic.startswith((own, "vad/v1/plant/_service/"))}
    if foreign:
        raise AttackSucceededError(f"heard {sorted(foreign)}")
    passed = len(site.watcher.on(site.topics.of(TOP, "verdict"))) - before
    return Refused("broker, access list", f"{passed} verdicts of the other station passed, the eavesdropper heard none")


def _command(site: SiteUnderAttack, name: str) -> Refused:
    attacker = site.watch(name)
    command = to_json(Command(command_id=f"forged-by-{name}", name="pause"))
    refused = denied(site, attacker, [site.topics.of(TOP, "command")], command)
    last: EdgeStatus = from_json(site.watcher.on(site.topics.of(TOP, "status"))[-1], EdgeStatus)
    if last.paused:
        raise AttackSucceededError("the station stands still")
    return Refused(refused.by, f"{refused.evidence}; the station's status: paused false")


def _service_death(site: SiteUnderAttack) -> Refused:
    attacker = site.watch(str(SIDE))
    death = to_json(ServiceStatus(name="analytics", online=False, instance="forged"))
    return denied(site, attacker, [site.topics.service_status("plant", "analytics")], death)


def _will(site: SiteUnderAttack) -> Refused:
    """A client of our own making that leaves a will and then hangs up without a goodbye."""
    topic, tls = site.topics.of(TOP, "status"), site.tls_of(str(SIDE))
    context = ssl.create_default_context(cafile=tls.ca)
    assert tls.certificate is not None
    context.load_cert_chain(tls.certificate, tls.key)
    fields = b"".join(len(text).to_bytes(2, "big") + text for text in (b"will", topic.encode(), _FORGED_WILL))
    body = b"\x00\x04MQTT\x04\x06\x00\x3c" + fields
    with (
        socket.create_connection(("127.0.0.1", site.port), timeout=10.0) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as opened,
    ):
        opened.sendall(b"\x10" + bytes([len(body)]) + body)
        answer = opened.recv(4)
        opened.shutdown(socket.SHUT_RDWR)
    _wait_for_canary(site)
    _wait_for_canary(site)
    if _FORGED_WILL in site.watcher.on(topic):
        raise AttackSucceededError("the will was published")
    let_in = answer[:1] == b"\x20" and answer[3:] == b"\x00"
    return Refused("broker, access list", f"{'let in, ' if let_in else ''}the witness heard no will after the hang-up")


def _broker_figures(site: SiteUnderAttack) -> Refused:
    try:
        attacker = site.watch("exporter", "vad/v1/#")
    except UnavailableError as error:
        return Refused("broker", str(error))
    before = len(site.watcher.on(site.topics.of(TOP, "verdict")))
    site.until(lambda: len(site.watcher.on(site.topics.of(TOP, "verdict"))) > before + 1)
    if attacker.heard:
        raise AttackSucceededError(f"heard {attacker.heard[0].topic}")
    return Refused("broker, access list", "verdicts passed, it heard none")


ATTACKS = (
    Attack(
        "write as another station",
        "a station's certificate, its neighbour's 9 channels",
        lambda s: _write_elsewhere(s, "5"),
    ),
    Attack("the same over MQTT 3.1.1", "the broker says success and drops", lambda s: _write_elsewhere(s, "3.1.1")),
    Attack(
        "judge one's own parts", "a station writes verdict, profile, command ... of its own branch", _write_downlinks
    ),
    Attack("claim another name", "a station's certificate, user name `analytics` in CONNECT", _claim_a_name),
    Attack(
        "read another station",
        "a station subscribes to #, frames, verdicts, $share and $SYS",
        lambda s: read_elsewhere(s, "5"),
    ),
    Attack("the same over MQTT 3.1.1", "the broker grants and delivers nothing", lambda s: read_elsewhere(s, "3.1.1")),
    Attack("stop the line: command from a screen", "the hmi's certificate", lambda s: _command(s, "hmi")),
    Attack("stop the line: command from a station", "a neighbour's certificate", lambda s: _command(s, str(SIDE))),
    Attack("declare the service dead", "a station writes the service's status", _service_death),
    Attack("leave a will on a foreign topic", "a station's last will on its neighbour's status", _will),
    Attack("look around as the exporter", "its certificate, subscribed to vad/v1/#", _broker_figures),
)
