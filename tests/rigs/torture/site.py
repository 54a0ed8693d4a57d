"""A provisioned site for the faults of keys and certificates."""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from broker_config import private_files
from broker_config.authority import Authority, utc_now
from broker_config.provision import provision, renew
from broker_config.site import BROKER, Site, authority_folder, folder_of
from broker_config.site_options import SiteOptions
from patchline.mqtt.settings import TlsSettings
from patchline.replay.broker import Broker
from tests.rigs.torture.ground import OTHER, STATION

_OLD = timedelta(days=2)


@dataclass(frozen=True)
class TortureSite:
    """The keys of a site, and its broker's folder.

    Attributes:
        keys: What `provision` wrote.
        site: As it was provisioned.
    """

    keys: Path
    site: Site

    def tls_of(self, name: str) -> dict[str, Path | str]:
        """The `tls` table of somebody's settings."""
        tls = folder_of(self.keys, self.site, name) / "tls"
        return {
            "ca": tls / "ca.crt",
            "certificate": tls / "client.crt",
            "key": tls / "client.key",
            "minimum_version": "1.3",
        }

    def settings_of(self, name: str) -> TlsSettings:
        """The same, for a link of our own."""
        tls = folder_of(self.keys, self.site, name) / "tls"
        return TlsSettings(
            ca=tls / "ca.crt", certificate=tls / "client.crt", key=tls / "client.key", minimum_version="1.3"
        )

    def certificate_until(self, name: str, seconds: float) -> None:
        """Give somebody a certificate that holds for so many more seconds."""
        issued = Authority.open(authority_folder(self.keys)).issue(
            name, "client", hosts=(), not_before=utc_now() - _OLD, not_after=utc_now() + timedelta(seconds=seconds)
        )
        tls = folder_of(self.keys, self.site, name) / "tls"
        private_files.write(tls / "client.key", issued.key, private=True)
        private_files.write(tls / "client.crt", issued.certificate)

    def renew(self, name: str) -> None:
        """Give somebody a new certificate, as `patchline provision renew` does."""
        renew(self.keys, name, now=utc_now())

    @property
    def access_list(self) -> Path:
        """The broker's."""
        return folder_of(self.keys, self.site, BROKER) / "site.acl"


def make(folder: Path, broker: Broker) -> TortureSite:
    """Provision a site for the torture's stations, and let the broker guard it."""
    keys = folder / "site"
    options = SiteOptions(
        name=STATION.site,
        hosts=("127.0.0.1",),
        stations=(str(STATION), str(OTHER)),
        port=broker.port,
        listen="127.0.0.1",
    )
    made = provision(keys, options, now=utc_now())
    configuration = keys / "broker" / "mosquitto.conf"
    if os.geteuid() == 0:  # else Mosquitto would become a user who cannot see this folder
        configuration.write_text(configuration.read_text(encoding="utf-8") + "\nuser root\n", encoding="utf-8")
    broker.configuration = configuration
    return TortureSite(keys, made.site)
