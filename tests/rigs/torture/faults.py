"""Every fault the torture knows, by the numbers of the fault list it started from; combinations stand behind."""

from patchline.replay import namespaces
from tests.fixtures import postgresql
from tests.rigs.torture import disks, keys, kills, strangers, wires
from tests.rigs.torture.fault import Fault
from tests.rigs.torture.needs import Needs
from tests.rigs.torture.places import why_no_disks, why_no_mounts

_FULL = frozenset({"interrupted", "outbox_full"})
_LARGE_BROKER = ("max_packet_size 3000",)

FAULTS: dict[str, Fault] = {
    "F01": Fault(
        name="broker killed mid-publish", how="SIGKILL of Mosquitto, restart", strike=kills.kill_broker, kills=True
    ),
    "F02": Fault(
        name="broker restarts without its sessions",
        how="SIGKILL of Mosquitto, which keeps nothing on disk: session_present=0 for all",
        strike=kills.kill_broker_and_forget,
        kills=True,
    ),
    "F03": Fault(
        name="broker away for long",
        how="SIGTERM, all parts of the round captured meanwhile, 1 to 3 s more, restart",
        strike=kills.keep_broker_away,
    ),
    "F04": Fault(
        name="service killed mid-batch", how="SIGKILL of the service, restart", strike=kills.kill_service, kills=True
    ),
    "F05": Fault(
        name="one of two workers killed, twice a round",
        how="shared subscription, one PostgreSQL; SIGKILL of a drawn worker, restart",
        strike=kills.kill_one_worker,
        needs=Needs(workers=2, postgres=True),
        why_not=postgresql.why_not,
        kills=True,
    ),
    "F06": Fault(
        name="station killed mid-write", how="SIGKILL of the edge node, reboot", strike=kills.kill_station, kills=True
    ),
    "F07": Fault(
        name="power cut at the station",
        how="SIGKILL, and its ext4 goes back to what was flushed (image of a loop device copied while mounted)",
        strike=disks.cut_power_of_station,
        needs=Needs(edge_place="ext4"),
        why_not=why_no_disks,
        kills=True,
    ),
    "F08": Fault(
        name="station's disk full",
        how="tmpfs of 12 MiB filled to the last byte, then cleared",
        strike=disks.fill_station,
        needs=Needs(edge_place="tmpfs"),
        why_not=why_no_mounts,
        drops=_FULL,
    ),
    "F08k": Fault(
        name="station's disk full, station killed",
        how="the same, SIGKILL and reboot while it is full",
        strike=disks.fill_station_and_kill,
        needs=Needs(edge_place="tmpfs"),
        why_not=why_no_mounts,
        drops=_FULL,
        kills=True,
    ),
    "F09": Fault(
        name="service's disk full",
        how="tmpfs with its records filled, then cleared",
        strike=disks.fill_service,
        needs=Needs(records_place="tmpfs"),
        why_not=why_no_mounts,
    ),
    "F09k": Fault(
        name="service's disk full, service killed",
        how="the same, SIGKILL of the service while it is full",
        strike=disks.fill_service_and_kill,
        needs=Needs(records_place="tmpfs"),
        why_not=why_no_mounts,
        kills=True,
    ),
    "F10": Fault(
        name="station's disk fails",
        how="ext4 on a loop device aborted: every write fails; then repaired (fsck), reboot",
        strike=disks.break_disk_of_station,
        needs=Needs(edge_place="ext4"),
        why_not=why_no_disks,
        drops=_FULL | {"capture_failed", "encode_failed"},
    ),
    "F11": Fault(
        name="station's clock jumps",
        how="libfaketime: +1 h, -1 h, to the 1970s and back, while it works",
        strike=wires.jump_clock,
        needs=Needs(fake_clock=True),
        why_not=wires.why_no_clock,
    ),
    "F11k": Fault(
        name="station boots in another time",
        how="SIGKILL, reboot with a clock an hour or decades back, or a day ahead",
        strike=wires.jump_clock_and_kill,
        needs=Needs(fake_clock=True),
        why_not=wires.why_no_clock,
        kills=True,
    ),
    "F12": Fault(
        name="every message ten times", how="recorded and published again, by both channels", strike=strangers.copies
    ),
    "F13": Fault(
        name="late and out of order",
        how="recorded, shuffled, published a second later as backlog",
        strike=strangers.late_and_shuffled,
    ),
    "F14": Fault(
        name="damaged envelopes",
        how="recorded messages truncated, extended, nested 100,000 deep, with huge lengths",
        strike=strangers.damaged,
        strangers=True, dead_letters=True,
    ),
    "F15": Fault(
        name="bits flipped in pictures on their way",
        how="chaos proxy between station and broker",
        strike=wires.flip_bits,
        dead_letters=True,
        needs=Needs(proxied=True),
    ),
    "F15s": Fault(
        name="copies with a flipped bit",
        how="recorded messages again, one bit of the picture flipped; a judged part is answered from the records",
        strike=strangers.flipped,
        strangers=True,
    ),
    "F16": Fault(
        name="decompression bomb", how="a WebP of 40 bytes that claims 268 Mpx", strike=strangers.bomb,
        strangers=True, dead_letters=True
    ),
    "F17": Fault(
        name="oversized message",
        how="17 MB of a PUBLISH that claims 268 MB, to a broker with a limit",
        strike=strangers.oversize,
    ),
    "F18": Fault(
        name="unknown message kind",
        how="recorded messages of a kind from the future",
        strike=strangers.of_the_future,
        strangers=True, dead_letters=True,
    ),
    "F19": Fault(
        name="unknown artifact", how="recorded messages that name no artifact", strike=strangers.of_nobody,
        strangers=True, dead_letters=True,
    ),
    "F19p": Fault(
        name="profile changes under way",
        how="other codec first, four times a round, then another station's profile",
        strike=strangers.another_profile,
    ),
    "F20": Fault(
        name="station's certificate expires",
        how="valid for 2 s; connection broken, station restarted, certificate renewed",
        strike=keys.expire,
        needs=Needs(site=True),
    ),
    "F21": Fault(
        name="certificates renewed live",
        how="broker's and station's exchanged, SIGHUP, then broker killed and restarted",
        strike=keys.exchange,
        needs=Needs(site=True),
    ),
    "F22": Fault(
        name="rights taken away",
        how="the right to publish removed from the access list, SIGHUP; given back",
        strike=keys.take_rights,
        needs=Needs(site=True),
    ),
    "F23": Fault(
        name="slow service", how="SIGSTOP nine tenths of the time", strike=kills.slow_service
    ),
    "F23s": Fault(
        name="service stands still", how="SIGSTOP for 1 to 5.5 s", strike=kills.stall_service
    ),
    "F24": Fault(
        name="broker half-open", how="SIGSTOP of Mosquitto beyond the keepalive", strike=kills.stall_broker
    ),
    "F24b": Fault(
        name="black hole", how="chaos proxy passes nothing and closes nothing beyond the keepalive",
        strike=wires.go_silent, needs=Needs(proxied=True),
    ),
    "F24c": Fault(
        name="station stands still", how="SIGSTOP of the edge node beyond its gates' deadlines",
        strike=kills.stall_station,
    ),
    "F25": Fault(
        name="thin line", how="network namespace, tbf at 40 kB/s; broker killed once",
        strike=wires.slow_link, needs=Needs(narrow=True),
        why_not=namespaces.why_not,
    ),
    "F25d": Fault(
        name="long line", how="chaos proxy delays each chunk by 0.2 to 0.6 s", strike=wires.delay,
        needs=Needs(proxied=True),
    ),
    "F26": Fault(
        name="5 % of packets lost", how="network namespace, iptables statistic, both ways",
        strike=wires.lose_packets(0.05), needs=Needs(narrow=True), why_not=wires.why_no_packets,
    ),
    "F26h": Fault(
        name="30 % of packets lost", how="the same for ten seconds", strike=wires.lose_packets(0.3),
        needs=Needs(narrow=True), why_not=wires.why_no_packets,
    ),
    "F27": Fault(
        name="a thousand idle devices", how="raw MQTT connections beside the station (a tenth of the 10,000 wanted)",
        strike=wires.crowd,
    ),
    "F28": Fault(
        name="reconnect storm", how="broker killed under a thousand devices that return at once", strike=wires.storm,
    ),
    "F29": Fault(
        name="client id taken over", how="another device with the station's client id, three times",
        strike=strangers.take_over,
    ),
    "F30": Fault(
        name="poison at the head of the queue",
        how="every fourth picture is over the broker's max_packet_size",
        strike=strangers.narrow_broker,
        needs=Needs(broker_lines=_LARGE_BROKER, poison=4),
        drops=frozenset({"too_large"}),
    ),
    "P01": Fault(
        name="connections reset", how="chaos proxy: RST on both sides, three times", strike=wires.reset,
        needs=Needs(proxied=True),
    ),
    "P02": Fault(
        name="connections half-closed", how="chaos proxy: FIN towards the broker only", strike=wires.half_close,
        needs=Needs(proxied=True),
    ),
    "K46": Fault(
        name="service and broker killed together", how="in a drawn order, back in a drawn order",
        strike=kills.kill_service_and_broker, kills=True,
    ),
    "K16": Fault(
        name="station and broker killed together", how="the station boots first",
        strike=kills.kill_station_and_broker, kills=True,
    ),
    "K66": Fault(
        name="station killed four times", how="also while it boots", strike=kills.kill_station_again_and_again,
        kills=True,
    ),
    "K146": Fault(
        name="station, service and broker killed together", how="back in a drawn order", strike=kills.kill_everything,
        kills=True,
    ),
}  # fmt: skip
"""Number -> fault. F01 to F30 are complete; a letter behind is a variant, P is for the proxy, K for combinations."""
