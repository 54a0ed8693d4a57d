"""amqtt as a program, for machines without Mosquitto (MQTT 3.1.1): `python -m patchline.replay.embedded_broker`."""

import argparse
import asyncio
import logging
import signal
from typing import Any

from patchline.wire.errors import missing_extra

_KEEPALIVE_GRACE_SECONDS = 10


def configuration(port: int) -> dict[str, Any]:
    """The settings of amqtt: loopback only, anyone on this machine, and no plugin beyond that."""
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "timeout_disconnect_delay": _KEEPALIVE_GRACE_SECONDS,
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }


async def serve(port: int) -> None:
    """Run the broker until SIGTERM or SIGINT.

    Raises:
        MisconfiguredError: amqtt is not installed.
    """
    try:
        from amqtt.broker import Broker  # noqa: PLC0415 - an extra; only this program needs it
    except ImportError as error:
        raise missing_extra("amqtt", "analytics") from error
    broker = Broker(configuration(port))
    await broker.start()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await broker.shutdown()


def main() -> None:
    """Read the port and serve; amqtt's tracebacks about clients that vanish stay off the terminal."""
    parser = argparse.ArgumentParser(description="An MQTT 3.1.1 broker on loopback, for a demo without Mosquitto.")
    parser.add_argument("--port", type=int, required=True)
    logging.disable(logging.CRITICAL)
    asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
