"""What `provision` leaves on the disk, and what running it again does to it."""

import os
import stat
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from analytics_service.settings import read_settings
from broker_config import private_files
from broker_config.authority import Authority, utc_now
from broker_config.provision import provision, renew, revoke
from broker_config.site import folder_of, read_issued, read_site
from broker_config.site_options import SiteOptions
from edge_node.settings import EdgeSettings
from patchline.replay.broker import Broker
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.topics import Station, Topics

MakeClient = Callable[..., Any]
Eventually = Callable[..., None]

TOP = "north/press-2/top"


def contents(folder: Path, *endings: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name.endswith(endings)
    }


def certificate_of(folder: Path, name: str) -> x509.Certificate:
    site = read_site(folder)
    assert site is not None
    own = "broker" if name == "broker" else "client"
    return x509.load_pem_x509_certificate((folder_of(folder, site, name) / "tls" / f"{own}.crt").read_bytes())


def test_keys_are_their_owners_alone(site: Path) -> None:
    keys = [path for path in site.rglob("*") if path.suffix == ".key" or path.name == "site.acl"]
    assert len(keys) == 1 + 1 + 1 + 5 + 2 + 1
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in keys if path.suffix == ".key"} == {0o700}


def test_others_may_go_through_a_site_to_a_folder_of_their_own_and_list_nothing(site: Path) -> None:
    assert stat.S_IMODE(site.stat().st_mode) == 0o711
    assert stat.S_IMODE((site / "authority").stat().st_mode) == 0o700
    assert stat.S_IMODE((site / "signing").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_was_given_to_the_brokers_user_stays_readable_to_it(site: Path) -> None:
    nobody = 65534
    for path in (site / "broker", *(site / "broker").rglob("*")):
        os.chown(path, nobody, nobody)
    revoke(site, TOP, now=utc_now())
    provision(site, SiteOptions(stations=("press-2/later",)), now=utc_now())
    renew(site, "broker", now=utc_now())
    assert {path.stat().st_uid for path in (site / "broker").rglob("*")} == {nobody}
    assert (site / "authority" / "issued.json").stat().st_uid == 0


def test_the_authoritys_key_is_in_no_folder_that_leaves_the_site(site: Path) -> None:
    key = (site / "authority" / "ca.key").read_bytes()
    assert [path for path, content in contents(site, "").items() if content == key] == ["authority/ca.key"]


@pytest.mark.parametrize(
    ("name", "usage", "alternative"),
    [
        ("broker", "serverAuth", "<IPAddress(value=127.0.0.1)>"),
        (TOP, "clientAuth", f"<UniformResourceIdentifier(value='urn:patchline:{TOP}')>"),
        ("hmi", "clientAuth", "<UniformResourceIdentifier(value='urn:patchline:hmi')>"),
    ],
)
def test_a_certificate_says_who_it_is_and_what_it_is_for(site: Path, name: str, usage: str, alternative: str) -> None:
    certificate = certificate_of(site, name)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert certificate.subject.rfc4514_string() == f"CN={name}"
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [each._name for each in usages] == [usage]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert str(next(iter(names))) == alternative
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert timedelta(days=397) <= lifetime <= timedelta(days=398)


def test_openssl_finds_nothing_wrong_with_them(site: Path) -> None:
    for name, purpose in (("broker/tls/broker.crt", "sslserver"), ("stations/press-2/top/tls/client.crt", "sslclient")):
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-crl_check", "-CRLfile"]
        command += [str(site / "broker/tls/ca.crl"), "-CAfile", str(site / "authority/ca.crt"), str(site / name)]
        assert "OK" in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_clients_certificate_cannot_play_the_broker(site: Path) -> None:
    command = ["openssl", "verify", "-purpose", "sslserver", "-CAfile", str(site / "authority/ca.crt")]
    command.append(str(site / "stations/press-2/top/tls/client.crt"))
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0


def test_every_node_gets_settings_its_program_takes(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edge_folder, service_folder = site / "stations/press-2/top", site / "services/analytics"
    monkeypatch.chdir(edge_folder)
    edge = EdgeSettings.load(Path("edge.toml"))
    assert (edge.station, edge.broker.host) == (TOP, "127.0.0.1")
    assert edge.broker.tls is not None
    assert edge.broker.tls.key is not None
    assert edge.broker.tls.key.is_file()
    assert edge.broker.tls.minimum_version == "1.3"
    assert edge.profile.verify_key is not None
    assert edge.profile.verify_key.is_file()
    monkeypatch.chdir(service_folder)
    service = read_settings(Path("analytics.toml"))
    assert (service.site, service.name) == ("north", "analytics")
    assert service.verify_key is not None
    assert service.verify_key.is_file()
    assert service.broker.link_settings("analytics").tls is not None


def test_a_second_run_adds_stations_and_touches_no_key_and_no_settings(site: Path) -> None:
    edited = site / "stations/press-2/top/edge.toml"
    edited.write_text(edited.read_text() + "# mine\n")
    (site / "broker/local.acl").write_text("user guest\ntopic read plant/news\n")
    before = contents(site, ".key", ".crt", ".pem", ".toml", ".conf")
    done = provision(site, SiteOptions(stations=("press-3/top", "press-2/top"), clients={"hall": "hmi"}), now=utc_now())
    after = contents(site, ".key", ".crt", ".pem", ".toml", ".conf")
    assert done.added == ("hall", "north/press-3/top")
    assert {name: after[name] for name in before} == before
    rules = (site / "broker/site.acl").read_text()
    assert "user north/press-3/top" in rules
    assert "topic read plant/news" in rules


@pytest.mark.broker
def test_a_revoked_station_is_turned_away_and_its_renewed_certificate_let_in(
    site: Path, site_broker: Broker, client: MakeClient, eventually: Eventually
) -> None:
    client(TOP).link.stop(2.0)
    assert [each.name for each in revoke(site, TOP, now=utc_now())] == [TOP]
    site_broker.restart()
    refused = client(TOP, connect=False)
    eventually(lambda: refused.losses)
    assert "the broker refuses our certificate: it has been revoked" in refused.losses[0]
    renew(site, TOP, now=utc_now())
    client(TOP)


def test_a_renewed_broker_may_have_other_names(site: Path) -> None:
    renew(site, "broker", now=utc_now(), hosts=("broker.north", "10.0.0.1"))
    names = certificate_of(site, "broker").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["broker.north"]
    assert len([each for each in read_issued(site) if each.name == "broker"]) == 2


def test_no_certificate_outlives_its_authority(site: Path) -> None:
    assert renew(site, "hmi", now=utc_now(), days=3650).ends() <= Authority.open(site / "authority").not_after


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (SiteOptions(name="south"), "site 'north', not 'south'"),
        (SiteOptions(hosts=("elsewhere",)), "renew broker"),
        (SiteOptions(stations=("south/line/cam",)), "not of site north"),
        (SiteOptions(stations=("a b/cam",)), "cannot be a level"),
        (SiteOptions(stations=("line/" + "x" * 60,)), "64"),
        (SiteOptions(stations=("_service/cam",)), "services' own"),
        (SiteOptions(clients={"broker": "hmi"}), "cannot be a client's name"),
        (SiteOptions(clients={"a/b/c": "hmi"}), "cannot be a client's name"),
        (SiteOptions(clients={"hmi": "analytics"}), "another role"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_written(
    site: Path, options: SiteOptions, words: str
) -> None:
    before = contents(site, "")
    with pytest.raises(MisconfiguredError, match=words):
        provision(site, options, now=utc_now())
    assert contents(site, "") == before


@pytest.mark.parametrize("host", ["", "broker:8883", "a b", "-x", "http://broker"])
def test_a_host_that_is_none_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(MisconfiguredError):
        provision(tmp_path / "site", SiteOptions(name="north", hosts=(host,)), now=utc_now())
    assert not (tmp_path / "site").exists()


def test_nothing_is_renewed_or_revoked_that_is_not_there(site: Path, tmp_path: Path) -> None:
    for action in (renew, revoke):
        with pytest.raises(MisconfiguredError, match="choose from broker, north/press-2/top"):
            action(site, "north/press-2/nobody", now=utc_now())
        with pytest.raises(MisconfiguredError, match="no site here"):
            action(tmp_path / "nothing", TOP, now=utc_now())


def test_a_damaged_file_of_the_site_is_named(site: Path) -> None:
    (site / "authority/ca.key").write_text("nonsense")
    with pytest.raises(MisconfiguredError, match="authority"):
        renew(site, "hmi", now=utc_now())
    (site / "site.json").write_text("{}")
    with pytest.raises(MisconfiguredError, match=r"site\.json"):
        renew(site, "hmi", now=utc_now())


def test_nothing_is_left_of_a_key_that_could_not_be_put_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "client.key" / "something").mkdir(parents=True)
    with pytest.raises(UnavailableError, match=r"client\.key cannot be written"):
        private_files.write(tmp_path / "client.key", b"secret", private=True)
    assert [path.name for path in tmp_path.iterdir()] == ["client.key"]


def test_rules_name_topics_of_the_sites_own_prefix(tmp_path: Path) -> None:
    options = SiteOptions(name="north", hosts=("b",), stations=("l/s",), prefix="acme/v2")
    provision(tmp_path / "site", options, now=utc_now())
    topic = Topics("acme/v2").of(Station.parse("north/l/s"), "frame")
    assert f"topic write {topic}\n" in (tmp_path / "site/broker/site.acl").read_text()
    assert EdgeSettings.load(tmp_path / "site/stations/l/s/edge.toml").prefix == "acme/v2"


def test_the_broker_may_move_to_another_folder_later(tmp_path: Path) -> None:
    provision(tmp_path, SiteOptions(name="north", hosts=("localhost",), stations=("press-2/top",)), now=utc_now())
    provision(tmp_path, SiteOptions(broker_folder="/etc/mosquitto/north"), now=utc_now())
    text = (tmp_path / "broker" / "mosquitto.conf").read_text()
    assert "acl_file /etc/mosquitto/north/site.acl" in text
    assert "persistence_location /etc/mosquitto/north/data/" in text
    assert str(tmp_path) not in text


@pytest.mark.broker
def test_a_station_that_was_started_before_the_broker_knew_it_works_once_the_broker_reads_its_list_again(
    site: Path, site_broker: Broker, client: MakeClient, eventually: Eventually
) -> None:
    provision(site, SiteOptions(stations=("press-2/new",)), now=utc_now())
    topic = Topics().of(Station.parse("north/press-2/new"), "frame")
    service, station = client("analytics", topic), client("north/press-2/new")
    station.publish(topic)
    eventually(lambda: station.fates)
    assert not station.fates[0].accepted
    site_broker.reload()

    def accepted() -> bool:
        station.publish(topic)
        return any(fate.accepted for fate in station.fates)

    eventually(accepted)
    eventually(lambda: service.deliveries)
