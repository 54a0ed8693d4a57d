"""A historian: every verdict and drop of a site in one SQLite table, each part once, nothing missed while it was down.

The broker keeps the session of this client for a day, so verdicts published meanwhile are delivered at the next start;
a row is written before its message is acknowledged. Repeats have the same `inspection_id` and change nothing.

    pip install paho-mqtt
    python historian.py --site plant --database parts.db
"""

import argparse
import json
import signal
import sqlite3
import ssl
from pathlib import Path
from types import FrameType

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

DAY_SECONDS = 86_400

TABLE = """
CREATE TABLE IF NOT EXISTS parts (
    inspection_id TEXT PRIMARY KEY,
    station TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    part_id TEXT NOT NULL,
    captured_at REAL NOT NULL,
    outcome TEXT NOT NULL,
    score REAL,
    threshold REAL,
    artifact TEXT NOT NULL,
    document TEXT NOT NULL
)
"""


class Historian:
    """The table of parts.

    Args:
        path: The SQLite file; made where missing.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute(TABLE)

    def keep(self, payload: bytes) -> None:
        """Write the part of one message of the `verdict` channel; a repeat changes nothing."""
        part = json.loads(payload)
        outcome = part["outcome"] if part["kind"] == "verdict" else f"dropped: {part['reason']}"
        self._database.execute(
            "INSERT OR IGNORE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                part["inspection_id"],
                part["station"],
                part["sequence"],
                part["part_id"],
                part["captured_at"],
                outcome,
                part.get("score"),
                part.get("threshold"),
                part.get("artifact", ""),
                payload.decode(),
            ),
        )


def main() -> None:
    """Listen until SIGTERM."""
    options = _options()
    historian = Historian(options.database)
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id=options.client_id, protocol=mqtt.MQTTv5, manual_ack=True
    )
    if options.ca:
        client.tls_set(options.ca, options.certificate, options.key, tls_version=ssl.PROTOCOL_TLS_CLIENT)

    def keep(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        historian.keep(message.payload)
        client.ack(message.mid, message.qos)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        client.disconnect()

    client.on_connect = lambda *_: client.subscribe(f"{options.prefix}/{options.site}/+/+/verdict", qos=1)
    client.on_subscribe = lambda *_: print("listening", flush=True)
    client.on_message = keep
    session = Properties(PacketTypes.CONNECT)
    session.SessionExpiryInterval = DAY_SECONDS
    client.connect(options.host, options.port, clean_start=False, properties=session)
    signal.signal(signal.SIGTERM, stop)
    client.loop_forever()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--client-id", default="historian")
    parser.add_argument("--prefix", default="vad/v1")
    parser.add_argument("--site", required=True)
    parser.add_argument("--database", type=Path, default=Path("parts.db"))
    parser.add_argument("--ca", help="TLS: the authority's certificate")
    parser.add_argument("--certificate", help="TLS: this client's certificate")
    parser.add_argument("--key", help="TLS: its key")
    return parser.parse_args()


if __name__ == "__main__":
    main()
