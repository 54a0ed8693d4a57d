"""The settings files that `patchline provision` writes for the broker, services and stations of a site."""

import json
from importlib.resources import files
from pathlib import PurePosixPath

from broker_config.access_list import access_list
from broker_config.site import Site
from patchline.wire.topics import DEFAULT_PREFIX, Topics

SIGNED_BY = "verify.pem"

_BROKER = """\
[broker]
host = {host}
port = {port}

# The broker must show a certificate of this site's authority, and sees ours: it is who we are there.
[broker.tls]
ca = "tls/ca.crt"
certificate = "tls/client.crt"
key = "tls/client.key"
minimum_version = "1.3"
"""

_EDGE = """\
# Station {station}. Take this folder to the edge node as it is and start it there: paths count from here.
#   patchline edge --config edge.toml --check && patchline edge --config edge.toml
station = {station}
{prefix}
# Drawn parts, so that the line can be tried at once. Put your camera here: kind = "camera", device = "0".
[source]
kind = "synthetic"
product = "washer"

[trigger]
takt_seconds = 1.0

{broker}
# Only a profile that the owner of the site's signing key has signed is taken (pip install 'patchline[site]').
[profile]
directory = "profile"
verify_key = "{verify_key}"

[outbox]
path = "outbox.sqlite"
"""

_ANALYTICS = """\
# Analytics service {name} of site {site}. Take this folder to its machine as it is: paths count from here.
#   patchline serve --config analytics.toml --check && patchline serve --config analytics.toml
name = {name}
site = {site}
{prefix}
# What `patchline commission --out artifacts --signing-key signing.key` wrote.
artifacts = "artifacts"
# Only artifacts and profiles that the owner of the site's signing key has signed are loaded.
verify_key = "{verify_key}"

{broker}"""

LOCAL_RULES = """\
# Rules of your own for the broker, taken over into site.acl by the next `patchline provision`. Such as a topic on which
# a station hears of its parts:
#   user site/line/station
#   topic read plant/line/trigger
"""


def broker_settings(site: Site) -> str:
    """`mosquitto.conf`, from `production.conf`, where every line has its reason."""
    template = files("broker_config").joinpath("production.conf").read_text(encoding="utf-8")
    listener = f"{site.port} {site.listen}".rstrip()
    folder, data = PurePosixPath(site.broker_folder), PurePosixPath(site.data_folder)
    return template.replace("{listener}", listener).replace("{folder}", str(folder)).replace("{data}", str(data))


def broker_rules(site: Site, local: str) -> str:
    """`site.acl`."""
    meant = "\n".join(line for line in local.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return access_list(site.name, site.stations, site.clients, topics=Topics(site.prefix), local=local if meant else "")


def edge_settings(site: Site, station: str) -> str:
    """`edge.toml` of a station."""
    return _EDGE.format(station=_text(station), verify_key=SIGNED_BY, **_shared(site))


def analytics_settings(site: Site, name: str) -> str:
    """`analytics.toml` of a service."""
    return _ANALYTICS.format(name=_text(name), site=_text(site.name), verify_key=SIGNED_BY, **_shared(site))


def _shared(site: Site) -> dict[str, str]:
    prefix = "" if site.prefix == DEFAULT_PREFIX else f"prefix = {_text(site.prefix)}\n"
    return {"broker": _BROKER.format(host=_text(site.hosts[0]), port=site.port), "prefix": prefix}


def _text(text: str) -> str:
    """A string as TOML writes it; names here are ASCII, where TOML and JSON agree."""
    return json.dumps(text)
