"""`python -m tests.rigs.fleet`: a thousand stations, one part a minute each, on one broker and one service.

The truth is what the stations produced; every part must stand in the service's records once and have come back to its
station as one verdict. Memory of service and broker is sampled each second and must be flat after the first third.
"""

import logging
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
from rich.console import Console

from patchline.bench.service_process import service_of
from patchline.bench.stamp import stamp
from patchline.commissioning.commission import Request, commission
from patchline.pictures.files import open_picture
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.category import write_category
from patchline.replay.broker import Broker, broker_version
from patchline.replay.program_records import recorded_verdicts
from patchline.replay.shared_bank import share
from patchline.vision.codecs.lookup import codec_of
from patchline.vision.pixels.preprocessing import resize
from patchline.wire.topics import Station
from tests.rigs.fleet.devices import DevicePlan, Told
from tests.rigs.fleet.memory import Memory, Sampler

CODEC = "webp:80"
_PATIENCE_SECONDS = 60.0
_GOOD_PICTURES = 16


def command(
    *,
    stations: Annotated[int, typer.Option(min=1, help="How many.")] = 1000,
    processes: Annotated[int, typer.Option(min=1, help="That play them.")] = 16,
    artifacts: Annotated[int, typer.Option(min=1, help="Different ones, each shared by as many stations.")] = 10,
    parts: Annotated[int, typer.Option(min=1, help="Of each station.")] = 4,
    takt: Annotated[float, typer.Option(min=0.1, help="Seconds from one part of a station to its next.")] = 60.0,
    input_size: Annotated[int, typer.Option(min=32, help="Height and width of the pictures.")] = 128,
    seed: Annotated[int, typer.Option(help="Of pictures and moments.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file.")] = None,
) -> None:
    """Play the fleet, and read books and memory."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="patchline-fleet-") as name:
        folder = Path(name)
        frames = _commission(folder, stations, artifacts, (input_size, input_size), seed)
        console.print(f"{artifacts} artifacts for {len(frames)} stations are ready", highlight=False)
        figures = _play(folder, frames, processes=processes, parts=parts, takt_seconds=takt, seed=seed)
    console.print_json(data=figures)
    if json is not None:
        facts = {
            **asdict(stamp(seed=seed, broker=broker_version("mosquitto"))),
            "processes": processes,
            "artifacts": artifacts,
        }
        shape = {"stations": stations, "parts": parts, "takt_seconds": takt, "input_size": input_size, "codec": CODEC}
        json.write_bytes(msgspec.json.format(msgspec.json.encode({**facts, **shape, **figures})) + b"\n")
    raise typer.Exit(0 if figures["lost"] == figures["duplicated"] == 0 and figures["flat"] else 1)


def _commission(folder: Path, stations: int, artifacts: int, size: tuple[int, int], seed: int) -> dict[str, str]:
    """Station -> the folder of its frames; artifacts and profiles are in `artifacts/`."""
    frames: dict[str, str] = {}
    products = list(PRODUCTS)
    for number in range(artifacts):
        product = products[number % len(products)]
        drawn, encoded = folder / f"drawn-{number}", folder / f"frames-{number}"
        write_category(
            PRODUCTS[product],
            drawn,
            train=_GOOD_PICTURES,
            test_good=4,
            test_per_defect=1,
            size=size,
            seed=seed * 100 + number,
        )
        own = [
            str(Station("fleet", f"line-{number}", f"station-{place}")) for place in range(number, stations, artifacts)
        ]
        request = Request(
            data=drawn,
            station=Station.parse(own[0]),
            codecs=(CODEC,),
            out=folder / "artifacts",
            input_size=size,
            parameters={"coreset_ratio": 0.05},
        )
        share(commission(request, on_progress=lambda *_: None).profile, own, folder / "artifacts")
        encoded.mkdir()
        for place, path in enumerate(sorted((drawn / "test").rglob("*.png"))):
            (encoded / f"{place:03d}").write_bytes(codec_of(CODEC).encode(resize(open_picture(path), size)))
        frames.update(dict.fromkeys(own, str(encoded)))
    return frames


def _play(
    folder: Path, frames: dict[str, str], *, processes: int, parts: int, takt_seconds: float, seed: int
) -> dict[str, Any]:
    url = f"sqlite:///{folder / 'records.db'}"
    with (
        Broker(folder / "broker", kind="mosquitto") as broker,
        service_of(folder, _settings(folder, broker.port, url)) as service,
    ):
        playing = []
        try:
            names = list(frames)
            for number in range(processes):
                orders = DevicePlan(
                    port=broker.port,
                    frames={station: frames[station] for station in names[number::processes]},
                    parts=parts,
                    takt_seconds=takt_seconds,
                    patience_seconds=_PATIENCE_SECONDS,
                    seed=seed,
                    report=str(folder / f"told-{number}.json"),
                )
                path = folder / f"orders-{number}.json"
                path.write_bytes(msgspec.json.encode(orders))
                playing.append(subprocess.Popen([sys.executable, "-m", "tests.rigs.fleet.devices", str(path)]))
            sampler = Sampler({"service": service.process_id, "broker": broker.process_id})
            began = time.monotonic()
            while any(process.poll() is None for process in playing):
                service.check()
                sampler.sample()
                time.sleep(1.0)
            seconds = time.monotonic() - began
        finally:
            for process in playing:
                process.kill()
                process.wait()
    told = [
        msgspec.json.decode((folder / f"told-{number}.json").read_bytes(), type=Told) for number in range(processes)
    ]
    return {**_books(told, url), **_memory(sampler.memories()), "seconds": seconds}


def _settings(folder: Path, port: int, url: str) -> dict[str, Any]:
    return {
        "artifacts": folder / "artifacts",
        "site": "fleet",
        "broker": {"port": port},
        "worker": {"maps": "none", "queue_messages": 2048},
        "records": {"url": url},
        "reload_seconds": 60.0,
    }


def _books(told: list[Told], url: str) -> dict[str, Any]:
    produced = {name: station for each in told for name, station in each.produced.items()}
    verdicts = {name: digests for each in told for name, digests in each.verdicts.items()}
    recorded = {sighting.receipt.inspection_id: sighting.digest for sighting in recorded_verdicts(url, list(produced))}
    otherwise = [name for name, digests in verdicts.items() if digests != [recorded.get(name)]]
    latencies = [seconds for each in told for seconds in each.latencies]
    return {
        "produced": len(produced),
        "judged": len(recorded),
        "lost": len(set(produced) - set(recorded)),
        "unanswered": len(set(produced) - set(verdicts)),
        "duplicated": len(otherwise),
        "resends": sum(each.resends for each in told),
        "latency_seconds": {str(q): float(np.percentile(latencies, q)) for q in (50, 95, 99)} if latencies else {},
    }


def _memory(memories: dict[str, Memory]) -> dict[str, Any]:
    return {
        "memory": {name: msgspec.to_builtins(memory) for name, memory in memories.items()},
        "flat": all(memory.flat for memory in memories.values()),
    }


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    typer.run(command)
