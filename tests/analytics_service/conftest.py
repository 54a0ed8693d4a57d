"""A station that has really been commissioned: a tiny backbone with random weights, drawn pictures, real artifacts."""

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from analytics_service.commission import Request, commission
from analytics_service.commissioned import Commissioned
from analytics_service.engines import EngineRoom
from analytics_service.shelf import ArtifactShelf, open_shelf
from analytics_service.tables import METADATA, open_engine
from vision.codecs.lookup import codec_of
from wire_contract.messages import DropMessage, FrameMessage, sha256_of
from wire_contract.topics import Station, Topics

BACKBONE = "mobilenet_v2"
TAPS = ("features.6", "features.13")
CHANNELS = (32, 96)
SIZE = (64, 64)
PICTURES = 16


def field(number: int, body: bytes | str | int) -> bytes:
    """One field of the protobuf wire format: a number, or bytes with their length."""
    if isinstance(body, int):
        return varint(number << 3) + varint(body)
    raw = body.encode() if isinstance(body, str) else body
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


def value(name: str, *dimensions: int | str) -> bytes:
    shape = b"".join(field(1, field(1 if isinstance(each, int) else 2, each)) for each in dimensions)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


def convolution(source: str, target: str, weights: NDArray[np.float32], stride: int) -> tuple[bytes, bytes, bytes]:
    """A convolution's nodes and its weights, as ONNX has them."""
    tensor = b"".join(field(1, each) for each in weights.shape)
    tensor += field(2, 1) + field(8, f"{target}.weight") + field(9, weights.tobytes())
    strides = field(1, "strides") + field(8, stride) + field(8, stride) + field(20, 7)
    node = field(1, source) + field(1, f"{target}.weight") + field(2, f"{target}.linear") + field(4, "Conv")
    activation = field(1, f"{target}.linear") + field(2, target) + field(4, "Relu")
    return node + field(5, strides), activation, tensor


def tiny_backbone(seed: int, ballast_bytes: int = 0) -> bytes:
    """Two random convolutions of strides 8 and 2 under the names of MobileNetV2's default taps; a long description."""
    rng = np.random.default_rng(seed)
    first = rng.normal(0, 0.1, (CHANNELS[0], 3, 8, 8)).astype(np.float32)
    second = rng.normal(0, 0.1, (CHANNELS[1], CHANNELS[0], 2, 2)).astype(np.float32)
    nodes_first = convolution("input", TAPS[0], first, 8)
    nodes_second = convolution(TAPS[0], TAPS[1], second, 2)
    graph = b"".join(field(1, node) for node in (*nodes_first[:2], *nodes_second[:2])) + field(2, "tiny")
    graph += b"".join(field(5, nodes[2]) for nodes in (nodes_first, nodes_second))
    graph += field(11, value("input", "n", 3, "h", "w"))
    graph += b"".join(field(12, value(tap, "n", c, "y", "x")) for tap, c in zip(TAPS, CHANNELS, strict=True))
    return field(1, 8) + field(6, "." * ballast_bytes) + field(7, graph) + field(8, field(2, 13))


def store_backbone(folder: Path, seed: int, ballast_bytes: int = 0) -> None:
    """Put a tiny backbone and the sidecar that vouches for it into a folder of weights."""
    folder.mkdir(parents=True, exist_ok=True)
    model = tiny_backbone(seed, ballast_bytes)
    sidecar = {"backbone": BACKBONE, "taps": TAPS, "sha256": sha256_of(model), "checkpoint_sha256": "0" * 64}
    (folder / f"{BACKBONE}.tiny.onnx").write_bytes(model)
    (folder / f"{BACKBONE}.tiny.onnx.json").write_bytes(msgspec.json.encode(sidecar))


def draw(seed: int, *, defect: bool = False) -> NDArray[np.uint8]:
    """A grey disc in changing light; the defect is a red square on it."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    y, x = 32 + rng.normal(0, 0.5, 2)
    disc = np.clip(22 - np.hypot(rows - y, columns - x), 0, 1)
    picture = np.repeat((40 + (120 + rng.normal(0, 3)) * disc)[:, :, None], 3, axis=2)
    if defect:
        picture[24:36, 28:40] = (230, 20, 20)
    return np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).round().astype(np.uint8)


@dataclass(frozen=True)
class Plant:
    """Everything a service needs, on disk, and what edges of it would send."""

    station: Station
    pictures: Path
    artifacts: Path
    weights: Path
    made: Commissioned
    topics: Topics

    def topic(self, channel: str = "frame") -> str:
        return f"{self.topics.prefix}/{self.station}/{channel}"

    def frame(
        self, sequence: int = 0, *, defect: bool = False, codec: str = "webp:80", **changes: object
    ) -> FrameMessage:
        """A frame of the station, encoded for the artifact of its codec."""
        payload = codec_of(codec).encode(draw(1000 + sequence, defect=defect))
        rung = next(rung for rung in self.made.rungs if rung.codec == codec)
        message = FrameMessage(
            inspection_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.station} {sequence} {defect} {codec}")),
            station=str(self.station),
            boot_id="boot-1",
            sequence=sequence,
            part_id=f"part-{sequence}",
            captured_at=1.0 + sequence,
            artifact=rung.artifact.fingerprint,
            codec=codec,
            payload=payload,
            payload_sha256=sha256_of(payload),
        )
        return msgspec.structs.replace(message, **changes)

    def picture(self, sequence: int = 0, *, defect: bool = False) -> NDArray[np.uint8]:
        """The picture that the frame of this number shows."""
        return draw(1000 + sequence, defect=defect)

    def drop(self, sequence: int = 0) -> DropMessage:
        """A part of the station that was never photographed."""
        return DropMessage(
            inspection_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.station} drop {sequence}")),
            station=str(self.station),
            boot_id="boot-1",
            sequence=sequence,
            part_id=f"part-{sequence}",
            captured_at=1.0 + sequence,
            reason="capture_failed",
        )


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind; PostgreSQL where the environment names one whose tables may be dropped."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/records.db"
    url = os.environ.get("PATCHLINE_POSTGRES")
    if url is None:
        pytest.skip("PATCHLINE_POSTGRES does not name a PostgreSQL database for tests, by its SQLAlchemy URL")
    engine = open_engine(url)
    METADATA.drop_all(engine)
    engine.dispose()
    return url


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of weights that holds nothing but the tiny backbone; the only one looked into."""
    folder = tmp_path_factory.mktemp("weights")
    store_backbone(folder, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATCHLINE_WEIGHTS", str(folder))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield folder


@pytest.fixture
def other_weights(tmp_path: Path) -> Path:
    """A folder with a backbone of the same name and taps, but other weights."""
    store_backbone(tmp_path / "other", seed=2)
    return tmp_path / "other"


@pytest.fixture
def store_heavy() -> Callable[..., None]:
    """Stores the tiny backbone of the weights in a file as long as wanted."""
    return lambda folder, ballast_bytes: store_backbone(folder, seed=1, ballast_bytes=ballast_bytes)


@pytest.fixture(scope="session")
def good_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain folder of pictures of good parts."""
    folder = tmp_path_factory.mktemp("good")
    for seed in range(PICTURES):
        Image.fromarray(draw(seed)).save(folder / f"{seed:03}.png")
    return folder


@pytest.fixture(scope="session")
def request_for(good_pictures: Path, weights: Path) -> Callable[..., Request]:
    """Builds a request to commission the good pictures; every field can be given."""
    assert weights.is_dir()

    def build(out: Path, **changes: object) -> Request:
        wanted: dict[str, object] = {
            "data": good_pictures,
            "station": Station("plant", "line1", "cam1"),
            "codecs": ("webp:80", "png"),
            "out": out,
            "backbone": BACKBONE,
            "taps": TAPS,
            "input_size": SIZE,
            "parameters": {"coreset_ratio": 0.2},
        }
        return Request(**(wanted | changes))  # type: ignore[arg-type]

    return build


@pytest.fixture(scope="session")
def plant(
    tmp_path_factory: pytest.TempPathFactory, request_for: Callable[..., Request], weights: Path, good_pictures: Path
) -> Plant:
    """A commissioned station."""
    artifacts = tmp_path_factory.mktemp("artifacts")
    made = commission(request_for(artifacts), on_progress=lambda *_: None)
    return Plant(Station("plant", "line1", "cam1"), good_pictures, artifacts, weights, made, Topics())


@pytest.fixture(scope="session")
def shelf(plant: Plant) -> ArtifactShelf:
    """The station's artifacts, loaded as the service loads them."""
    return open_shelf(plant.artifacts, engine_for=EngineRoom(threads=1).engine_for)
