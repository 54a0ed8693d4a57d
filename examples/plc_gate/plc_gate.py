"""A reject gate driven by verdicts, as a PLC gateway would do it: a stock MQTT library and nothing of patchline.

For every part it tells the station that the part is there (the station's `[trigger] topic`), waits for the verdict of
that part until the deadline, and moves the gate once: accept, or reject, which is also what it does when no verdict
came in time. It prints one line of JSON a part.

With `--commands TOPIC` the station decides instead (its `[gate] kind = "mqtt"`, `topic = TOPIC`), and this program only
obeys: once per `command_id`, since commands may be repeated, and never after `act_before`, when the part has gone by.

    pip install paho-mqtt
    python plc_gate.py --station plant/line1/cam1 --trigger plant/line1/cam1/part --parts 10
"""

import argparse
import json
import queue
import ssl
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt

PASSING = {"normal"}
"""Outcomes that let a part pass; everything else rejects it."""


class Gate:
    """Decides each part once, from the first verdict that is in time, else by the default."""

    def __init__(self) -> None:
        self.verdicts: queue.Queue[dict[str, Any]] = queue.Queue(maxsize=1000)
        self._seen: dict[str, None] = {}

    def hear(self, payload: bytes) -> None:
        """Take a message of the `verdict` channel: verdicts come at least once, so a repeat is dropped by its id."""
        verdict = json.loads(payload)
        if verdict["kind"] != "verdict" or verdict.get("historical") or verdict["inspection_id"] in self._seen:
            return
        self._seen[verdict["inspection_id"]] = None
        if len(self._seen) > 10_000:
            del self._seen[next(iter(self._seen))]
        self.verdicts.put_nowait(verdict)

    def decide(self, part_id: str, deadline: float) -> dict[str, Any]:
        """Wait for the part's verdict until a moment of the monotonic clock, and say what the gate does."""
        while (left := deadline - time.monotonic()) > 0:
            try:
                verdict = self.verdicts.get(timeout=left)
            except queue.Empty:
                break
            if verdict["part_id"] == part_id:
                action = "accept" if verdict["outcome"] in PASSING else "reject"
                return {"part_id": part_id, "action": action, "grounds": "verdict", "outcome": verdict["outcome"]}
        return {"part_id": part_id, "action": "reject", "grounds": "deadline", "outcome": ""}


class CommandGate:
    """Carries out the station's gate commands: each once, and none whose part has gone by."""

    def __init__(self) -> None:
        self._obeyed: dict[str, None] = {}

    def obey(self, payload: bytes, now: float) -> dict[str, Any] | None:
        """What the gate does; None for a repetition.

        Args:
            payload: A gate command.
            now: Unix time. The clocks of this program and of the station must agree; where they do not, count
                `valid_ms` from the arrival of the message.
        """
        command = json.loads(payload)
        if command["command_id"] in self._obeyed:
            return None
        self._obeyed[command["command_id"]] = None
        if len(self._obeyed) > 10_000:
            del self._obeyed[next(iter(self._obeyed))]
        late = now > command["act_before"]
        return {
            "part_id": command["part_id"],
            "action": "refused" if late else command["action"],
            "grounds": "late" if late else command["grounds"],
            "outcome": command["outcome"],
        }


def obey_commands(options: argparse.Namespace) -> None:
    """Do what the station says, until `--parts` commands have come."""
    gate, commands = CommandGate(), queue.Queue[tuple[bytes, float]](maxsize=1000)
    client = _client(options, options.commands, lambda payload: commands.put_nowait((payload, time.time())))
    try:
        for _ in range(options.parts):
            done = None
            while done is None:
                done = gate.obey(*commands.get())
            print(json.dumps(done), flush=True)
    finally:
        client.disconnect()
        client.loop_stop()


def main() -> None:
    """Run the line: one part after another."""
    options = _options()
    if options.commands:
        obey_commands(options)
        return
    gate = Gate()
    client = _client(options, f"{options.prefix}/{options.station}/verdict", gate.hear)
    try:
        for number in range(options.parts):
            started = time.monotonic()
            part_id = f"{options.batch}-{number:06d}"
            client.publish(options.trigger, json.dumps({"part_id": part_id}), qos=1)
            print(json.dumps(gate.decide(part_id, started + options.deadline)), flush=True)
            time.sleep(max(0.0, started + options.takt - time.monotonic()))
    finally:
        client.disconnect()
        client.loop_stop()


def _client(options: argparse.Namespace, topic: str, hear: Callable[[bytes], object]) -> mqtt.Client:
    """A connected client that hears one topic."""
    ready = queue.Queue[None]()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=options.client_id, protocol=mqtt.MQTTv5)
    if options.ca:
        client.tls_set(options.ca, options.certificate, options.key, tls_version=ssl.PROTOCOL_TLS_CLIENT)
    # Subscribing anew at every connection: the broker may have forgotten the session.
    client.on_connect = lambda *_: client.subscribe(topic, qos=1)
    client.on_subscribe = lambda *_: ready.put(None)
    client.on_message = lambda _client, _data, message: hear(message.payload)
    client.connect(options.host, options.port)
    client.loop_start()
    ready.get(timeout=30)
    return client


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--client-id", default="plc-gate")
    parser.add_argument("--prefix", default="vad/v1")
    parser.add_argument("--station", required=True, help="site/line/station")
    parser.add_argument("--trigger", help="the topic of the station's [trigger] table")
    parser.add_argument(
        "--commands", help="obey the station's commands on this topic instead of deciding from verdicts"
    )
    parser.add_argument("--batch", default="part", help="part ids are BATCH-NUMBER; they must not repeat")
    parser.add_argument("--parts", type=int, default=10)
    parser.add_argument("--takt", type=float, default=1.0, help="seconds from part to part")
    parser.add_argument("--deadline", type=float, default=0.8, help="seconds until the gate must move")
    parser.add_argument("--ca", help="TLS: the authority's certificate")
    parser.add_argument("--certificate", help="TLS: this client's certificate")
    parser.add_argument("--key", help="TLS: its key")
    options = parser.parse_args()
    if not options.trigger and not options.commands:
        parser.error("give --trigger or --commands")
    return options


if __name__ == "__main__":
    main()
