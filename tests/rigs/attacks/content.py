"""Attacks with content: what is sent by somebody who may send, but should not be believed."""

import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from patchline.mqtt.send_window import TooLargeError
from patchline.mqtt.settings import LinkSettings, Protocol
from patchline.runtime import signing
from patchline.runtime.signing import SigningKey
from patchline.wire.messages import (
    CONTENT_TYPE_PROFILE,
    EdgeStatus,
    FrameMessage,
    Profile,
    Verdict,
    from_json,
    pack,
    sealed,
    sha256_of,
    unpack,
)
from patchline.wire.topics import Station
from tests.rigs.attacks.attack import Attack, AttackSucceededError, Refused
from tests.rigs.attacks.site import SIDE, TOP, SiteUnderAttack
from tests.rigs.attacks.watcher import Watcher

_OVER_THE_LIMIT = 17 * 1024 * 1024
_BOMB_SIDE = 16_383


def _recorded(site: SiteUnderAttack, station: Station) -> bytes:
    topic = site.topics.of(station, "frame")
    site.until(lambda: site.recorder.on(topic))
    return site.recorder.on(topic)[-1]


def _verdicts(site: SiteUnderAttack, station: Station, inspection_id: str) -> list[bytes]:
    return [each for each in site.watcher.on(site.topics.of(station, "verdict")) if inspection_id.encode() in each]


def _records(site: SiteUnderAttack, inspection_id: str) -> int:
    database = site.serve_folder / "records.db"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as records:
        found = records.execute("select count(*) from outcomes where inspection_id = ?", (inspection_id,))
        return int(found.fetchone()[0])


def _replay(site: SiteUnderAttack) -> Refused:
    """The recorded frame of a part that was judged, word for word, with the station's own key."""
    payload = _recorded(site, TOP)
    frame: FrameMessage = unpack(payload, FrameMessage)
    site.until(lambda: _verdicts(site, TOP, frame.inspection_id))
    before = len(_verdicts(site, TOP, frame.inspection_id))
    attacker = site.watch(str(TOP))
    for _ in range(3):
        attacker.say(site.topics.of(TOP, "frame"), payload)
    site.until(lambda: len(_verdicts(site, TOP, frame.inspection_id)) >= before + 3)
    told = _verdicts(site, TOP, frame.inspection_id)
    kept = _records(site, frame.inspection_id)
    if len(set(told)) != 1 or kept != 1:
        raise AttackSucceededError(f"{len(set(told))} verdicts, {kept} records")
    return Refused("service, records", f"{len(told)} answers, byte for byte one verdict; 1 record")


def _answered(site: SiteUnderAttack, station: Station, payload: bytes) -> Verdict:
    """Send a message with the attacker's own key, and wait for what the service says to these very bytes."""
    attacker = site.watch(str(SIDE))
    topic, digest = site.topics.of(station, "verdict"), sha256_of(payload).encode()
    attacker.say(site.topics.of(station, "frame"), payload)
    site.until(lambda: any(digest in each for each in site.watcher.on(topic)))
    verdict: Verdict = from_json(next(each for each in site.watcher.on(topic) if digest in each), Verdict)
    attacker.link.stop(1.0)
    if verdict.outcome != "unreadable":
        raise AttackSucceededError(f"it was judged {verdict.outcome}")
    return verdict


def _unreadable(site: SiteUnderAttack, payload: bytes) -> Refused:
    return Refused("service, intake", f"verdict unreadable: {_answered(site, SIDE, payload).reason}")


def _as_another_station(site: SiteUnderAttack) -> Refused:
    return _unreadable(site, _recorded(site, TOP))


def _own_frame(site: SiteUnderAttack, payload: bytes, **changes: object) -> bytes:
    """A frame as the attacker's station would send it, around any payload."""
    frame: FrameMessage = unpack(_recorded(site, TOP), FrameMessage)
    artifact_store = site.serve_folder / "artifacts" / str(SIDE) / "profile.msgpack"
    profile: Profile = unpack(artifact_store.read_bytes(), Profile)
    forged = {
        "inspection_id": f"{len(payload):08d}-0000-4000-8000-{sha256_of(payload)[:12]}",
        "station": str(SIDE),
        "artifact": profile.ladder[0].artifact,
        "payload": payload,
        "payload_sha256": sha256_of(payload),
    }
    return pack(msgspec.structs.replace(frame, **forged | changes))


def _picture_bomb(site: SiteUnderAttack) -> Refused:
    """A WebP of 30 bytes whose header promises 268 million pixels."""
    header = struct.pack(
        "<4sI4s4sI3s3sHH", b"RIFF", 22, b"WEBP", b"VP8 ", 10, b"\x10\0\0", b"\x9d\x01\x2a", _BOMB_SIDE, _BOMB_SIDE
    )
    return _without_memory(site, lambda: _unreadable(site, _own_frame(site, header)))


def _png_bomb(site: SiteUnderAttack) -> Refused:
    """A PNG in place of the WebP that the artifact was commissioned for."""
    signature = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return _without_memory(site, lambda: _unreadable(site, _own_frame(site, signature + bytes(64), codec="png")))


def _nesting(site: SiteUnderAttack) -> Refused:
    return _without_memory(site, lambda: _unreadable(site, b"\x82\xa1x" + b"\x91" * 100_000 + b"\xc0\xa4kind\xa5frame"))


def _claimed_sizes(site: SiteUnderAttack) -> Refused:
    """A map of four thousand million entries, and nothing behind it."""
    return _without_memory(site, lambda: _unreadable(site, b"\xdf\xff\xff\xff\xff\xa4kind\xa5frame"))


def _without_memory(site: SiteUnderAttack, attack: Callable[[], Refused]) -> Refused:
    before = site.service_peak_kilobytes()
    refused = attack()
    grown = (site.service_peak_kilobytes() - before) / 1024
    if grown > 64:
        raise AttackSucceededError(f"the service took {grown:.0f} MiB more")
    return Refused(refused.by, f"{refused.evidence}; service's peak memory grew {grown:.1f} MiB")


def _oversize(site: SiteUnderAttack, protocol: Protocol) -> Refused:
    """A packet over the broker's limit, by a client that does not look at limits."""
    settings = LinkSettings(
        port=site.port,
        client_id=f"{SIDE}-big-{protocol}",
        tls=site.tls_of(str(SIDE)),
        protocol=protocol,
        max_packet_bytes=_OVER_THE_LIMIT + 1024,
    )
    attacker = Watcher(settings)
    try:
        attacker.say(site.topics.of(SIDE, "frame"), bytes(_OVER_THE_LIMIT))
    except TooLargeError as error:
        attacker.link.stop(1.0)
        return Refused("our client, told by the broker's CONNACK", str(error).partition(" (")[0])
    site.until(lambda: attacker.losses)
    attacker.link.stop(1.0)
    _line_goes_on(site)
    told = next((line for line in reversed(site.log_of("broker").splitlines()) if "oversize" in line), "")
    return Refused("broker", f"{told.partition(': ')[2] or attacker.losses[0]}; the line goes on")


def _line_goes_on(site: SiteUnderAttack) -> None:
    topic = site.topics.of(TOP, "verdict")
    before = len(site.watcher.on(topic))
    site.until(lambda: len(site.watcher.on(topic)) > before)


def _forged_profile(site: SiteUnderAttack, forge: Callable[[Profile, SiteUnderAttack], Profile]) -> Refused:
    """With a service's stolen key, which may write profiles: the access list does not help any more."""
    status, topic = site.topics.of(TOP, "status"), site.topics.of(TOP, "profile")
    stored: Profile = unpack((site.serve_folder / "artifacts" / str(TOP) / "profile.msgpack").read_bytes(), Profile)
    profile_codec = msgspec.structs.replace(stored.ladder[0], codec="webp:1")
    forged = forge(sealed(msgspec.structs.replace(stored, ladder=(profile_codec,), signature=b"")), site)
    before = site.log_of("edge").count("not signed")
    attacker = site.watch("analytics")
    attacker.link.publish(topic, pack(forged), retain=True, content_type=CONTENT_TYPE_PROFILE)
    site.until(lambda: site.log_of("edge").count("not signed") > before)
    _line_goes_on(site)
    frame: FrameMessage = unpack(_recorded(site, TOP), FrameMessage)
    last: EdgeStatus = from_json(site.watcher.on(status)[-1], EdgeStatus)
    if frame.codec != stored.ladder[0].codec or last.profile != stored.fingerprint:
        raise AttackSucceededError(f"the station encodes with {frame.codec}")
    attacker.link.publish(topic, pack(stored), retain=True, content_type=CONTENT_TYPE_PROFILE)
    line = next(line for line in reversed(site.log_of("edge").splitlines()) if "not signed" in line)
    return Refused(
        "edge, signature", f"log: {line.rpartition('WARNING')[2].strip()[:150]}; it goes on with {frame.codec}"
    )


def _unsigned(profile: Profile, site: SiteUnderAttack) -> Profile:
    del site
    return profile


def _signed_by_a_stranger(profile: Profile, site: SiteUnderAttack) -> Profile:
    path = site.folder / "attacker" / "stranger.key"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(signing.generate()[0])
    return msgspec.structs.replace(profile, signature=SigningKey(path).sign("profile", profile.fingerprint))


def _artifact_of_another_signature(profile: Profile, site: SiteUnderAttack) -> Profile:
    """The owner's true signature over an artifact, put where one over a profile belongs."""
    artifact_store = site.serve_folder / "artifacts"
    signature = signing.from_file(artifact_store / "signatures" / f"{profile.ladder[0].artifact}{signing.SUFFIX}")
    return msgspec.structs.replace(profile, signature=signature)


def _forged_artifact(site: SiteUnderAttack, *, signed: bool) -> Refused:
    """A memory bank exchanged on the service's disk: it would call every part good."""
    with tempfile.TemporaryDirectory(dir=site.folder) as folder:
        copy = Path(folder) / "service"
        shutil.copytree(site.serve_folder, copy)
        path = next((copy / "artifacts" / str(TOP)).glob("*.safetensors"))
        content = path.read_bytes()
        content = content[:-1] + bytes([content[-1] ^ 1])
        path.write_bytes(content)
        if signed:
            stranger = site.folder / "attacker" / "stranger.key"
            stranger.parent.mkdir(exist_ok=True)
            stranger.write_bytes(signing.generate()[0])
            name = f"{sha256_of(content)}{signing.SUFFIX}"
            signature = SigningKey(stranger).sign("artifact", sha256_of(content))
            (copy / "artifacts" / "signatures" / name).write_bytes(signing.to_file(signature))
        done = site.command("serve", "--config", "analytics.toml", "--check", where=copy)
    if done.returncode == 0:
        raise AttackSucceededError("the service would judge with it")
    return Refused("service, signature", f"exit {done.returncode}: {done.stderr.strip().splitlines()[-1][:150]}")


def _takeover(site: SiteUnderAttack, name: str, program: str) -> Refused:
    """A second connection with a known client id: MQTT lets it throw out the first one, and asks no access list."""
    before = site.log_of(program).count("connected:")
    attacker = site.watch(str(SIDE), site.topics.of(TOP, "verdict"), twin_of=name)
    _line_goes_on(site)
    attacker.link.stop(1.0)
    if attacker.heard:
        raise AttackSucceededError("it hears the station's verdicts")
    if site.log_of(program).count("connected:") > before:
        raise AttackSucceededError(f"thrown out: {site.log_of(program).splitlines()[-1]}")
    return Refused(
        f"{program}, secret client id", "the twin is let in, and nobody is thrown out: the ids end in a digest of a key"
    )


ATTACKS = (
    Attack("have a part judged twice", "a recorded frame, 3 times more, the station's own certificate", _replay),
    Attack("slip in another station's frame", "a recorded frame on the attacker's own topic", _as_another_station),
    Attack("picture bomb", "30 bytes of WebP that promise 16383 x 16383 pixels", _picture_bomb),
    Attack("picture bomb in a foreign format", "60000 x 60000 PNG for a station that sends WebP", _png_bomb),
    Attack("nesting bomb", "msgpack, an unknown field 100,000 levels deep", _nesting),
    Attack("size bomb", "msgpack map that claims 4,294,967,295 entries", _claimed_sizes),
    Attack("oversize packet, MQTT 5", "17 MiB", lambda site: _oversize(site, "5")),
    Attack("oversize packet, MQTT 3.1.1", "17 MiB; no limit is told there", lambda site: _oversize(site, "3.1.1")),
    Attack(
        "make a station encode otherwise",
        "unsigned profile, a service's stolen certificate",
        lambda site: _forged_profile(site, _unsigned),
    ),
    Attack(
        "the same, signed by a stranger",
        "another Ed25519 key",
        lambda site: _forged_profile(site, _signed_by_a_stranger),
    ),
    Attack(
        "the same, with a borrowed signature",
        "the owner's over an artifact",
        lambda site: _forged_profile(site, _artifact_of_another_signature),
    ),
    Attack(
        "exchange a memory bank",
        "one bit of an artifact changed on the disk",
        lambda site: _forged_artifact(site, signed=False),
    ),
    Attack("exchange it and sign it", "with a stranger's key", lambda site: _forged_artifact(site, signed=True)),
    Attack("throw a station out", "its name as client id", lambda site: _takeover(site, str(TOP), "edge")),
    Attack(
        "throw the service out",
        "patchline-analytics as client id",
        lambda site: _takeover(site, "patchline-analytics", "serve"),
    ),
)
