"""A station that sends feature maps: what commissioning writes for it, and what the service refuses."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from analytics_service.inspection.inspector import inspect
from analytics_service.inspection.intake import Inspection, admit
from analytics_service.inspection.opening import Frame, open_all
from patchline.artifacts.artifact import load, save
from patchline.artifacts.assets import FOLDER, keep
from patchline.artifacts.engines import EngineCache
from patchline.artifacts.store import ArtifactStore, open_store
from patchline.commissioning.commission import Request, commission
from patchline.commissioning.commissioned import Commissioned
from patchline.mqtt.delivery import Delivery
from patchline.vision.backbones import BACKBONES
from patchline.vision.backbones.store import find
from patchline.vision.codecs.features.asset import open_asset, pack_asset
from patchline.vision.pixels.preprocessing import normalise
from patchline.wire.errors import MisconfiguredError, UnreadableError
from patchline.wire.messages import FrameMessage, pack, sha256_of
from patchline.wire.topics import Station

CODECS = ("features", "channel-sampling:0.5", "webp:80")
STATION = Station("plant", "line1", "cam1")


def no_engine(*asked: object) -> Any:
    raise AssertionError(f"the service wants to run a backbone: {asked}")


@pytest.fixture(scope="module")
def phases() -> list[str]:
    return []


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, request_for: Callable[..., Request], phases: list[str]
) -> Commissioned:
    request = request_for(tmp_path_factory.mktemp("features"), codecs=CODECS)
    return commission(request, on_progress=lambda phase, *_: phases.append(phase))


@pytest.fixture(scope="module")
def shelved(made: Commissioned) -> ArtifactStore:
    return open_store(made.out, engine_for=EngineCache(threads=1).engine_for)


@pytest.fixture
def folder(made: Commissioned, tmp_path: Path) -> Path:
    """The station's artifacts of feature codecs alone, to be tampered with."""
    copy = Path(shutil.copytree(made.out, tmp_path / "artifacts"))
    for path in (copy / str(STATION)).iterdir():
        if path.stem in {"webp-80", "profile"}:
            path.unlink()
    return copy


def codec_of_rung(made: Commissioned, place: int) -> Any:
    return open_asset(
        (made.out / FOLDER / made.commissioned_codecs[place].artifact.header.codec_asset).read_bytes()
    ).codec


def frame_of(plant: Any, made: Commissioned, place: int, *, sequence: int = 0, defect: bool = False) -> FrameMessage:
    """A frame as an edge node would send it over one of the ladder's codecs."""
    frame: FrameMessage = plant.frame(sequence, defect=defect, codec="png")
    profile_codec = made.commissioned_codecs[place]
    if profile_codec.codec == "webp:80":
        return plant.frame(sequence, defect=defect, artifact=profile_codec.artifact.fingerprint)
    pixels = plant.picture(sequence, defect=defect)
    _, engine = EngineCache(threads=1).choose(profile_codec.backbone.name, profile_codec.backbone.taps)
    payload = codec_of_rung(made, place).encode(engine.run(normalise(pixels[None])))
    return msgspec.structs.replace(
        frame,
        codec=profile_codec.codec,
        artifact=profile_codec.artifact.fingerprint,
        payload=payload,
        payload_sha256=sha256_of(payload),
    )


def admitted(plant: Any, shelved: ArtifactStore, frame: FrameMessage) -> Inspection:
    (opened,) = open_all([Delivery(topic=plant.topic(), payload=pack(frame))], plant.topics)
    assert isinstance(opened, Frame)
    return admit(opened, artifacts=shelved)


def test_a_rung_names_the_backbone_and_the_files_an_edge_needs(made: Commissioned) -> None:
    for profile_codec, promised in zip(made.commissioned_codecs[:2], made.profile.ladder[:2], strict=True):
        assert (promised.backbone, promised.backbone_sha256) == ("mobilenet_v2", profile_codec.backbone.sha256)
        assert [asset.name for asset in promised.assets] == ["codec", "backbone"]
        for asset in promised.assets:
            content = (made.out / FOLDER / asset.sha256).read_bytes()
            assert (sha256_of(content), len(content)) == (asset.sha256, asset.size)
        assert promised.assets[1].sha256 == profile_codec.backbone.sha256
    assert not made.profile.ladder[2].assets
    assert not made.profile.ladder[2].backbone


def test_the_header_names_the_fitted_codec_it_judges(made: Commissioned) -> None:
    headers = [load(profile_codec.path).header for profile_codec in made.commissioned_codecs]
    assert [header.codec_asset for header in headers] == [
        *(r.assets[0].sha256 for r in made.commissioned_codecs[:2]),
        "",
    ]


def test_the_backbone_runs_once_for_all_feature_codecs(phases: list[str]) -> None:
    assert [phase for phase in dict.fromkeys(phases) if phase.endswith("embed")] == [
        "features: embed",
        "webp:80: embed",
    ]
    assert "channel-sampling:0.5: encode" in phases


def test_the_detector_learns_from_decoded_maps(made: Commissioned) -> None:
    exact, sampled = (profile_codec.artifact.detector.tensors() for profile_codec in made.commissioned_codecs[:2])
    assert {name: array.shape for name, array in exact.items()} == made.commissioned_codecs[0].bank
    assert any(not np.array_equal(exact[name], sampled[name]) for name in exact if name in sampled)


def test_every_file_written_is_named(made: Commissioned) -> None:
    assert {path for path in made.out.rglob("*") if path.is_file()} == set(made.paths)


def test_an_edge_may_run_another_backbone_than_the_service(
    request_for: Callable[..., Request], tmp_path: Path, weights: Path
) -> None:
    assert weights
    made = commission(
        request_for(tmp_path, codecs=("webp:80", "features"), edge_backbone="patchline_s"), on_progress=lambda *_: None
    )
    pictures, features = made.commissioned_codecs
    assert (pictures.backbone.name, features.backbone.name) == ("mobilenet_v2", "patchline_s")
    assert features.backbone.taps == BACKBONES["patchline_s"].default_taps
    assert [asset.name for asset in features.assets] == ["codec"], "every node has the packaged backbone"


def test_fewer_taps_may_be_taken_at_the_edge(request_for: Callable[..., Request], tmp_path: Path) -> None:
    request = request_for(tmp_path, codecs=("features",), edge_taps=("features.6",))
    (profile_codec,) = commission(request, on_progress=lambda *_: None).commissioned_codecs
    assert profile_codec.backbone.taps == ("features.6",)


def test_files_over_the_budget_are_refused_with_their_seconds(
    request_for: Callable[..., Request], tmp_path: Path
) -> None:
    request = request_for(tmp_path, codecs=("features",), asset_budget_bytes=10_000, uplink_bytes_per_second=1000.0)
    with pytest.raises(MisconfiguredError, match=r"backbone mobilenet_v2 .* s at its uplink.*--asset-budget-bytes"):
        commission(request, on_progress=lambda *_: None)
    assert not (tmp_path / FOLDER).exists()


def test_a_feature_codec_that_does_not_exist_is_refused_before_anything_is_read(
    request_for: Callable[..., Request], tmp_path: Path
) -> None:
    with pytest.raises(MisconfiguredError, match="channel-sampling"):
        commission(request_for(tmp_path, codecs=("channel-sampling:7",)), on_progress=no_engine)


def test_the_service_judges_feature_maps_without_a_backbone(
    plant: Any, made: Commissioned, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frames = [frame_of(plant, made, place, defect=defect) for place in (0, 1) for defect in (False, True)]
    monkeypatch.setenv("PATCHLINE_WEIGHTS", str(tmp_path / "nothing"))
    shelved = open_store(folder, engine_for=no_engine)
    for artifact in shelved.artifacts:
        artifact.warm_up()
    findings = inspect([admitted(plant, shelved, frame) for frame in frames], clock=lambda: 0.0)
    good, bad, sampled_good, sampled_bad = (finding.score for finding in findings)
    assert bad > good
    assert sampled_bad > sampled_good


def test_pictures_and_feature_maps_are_judged_in_one_batch(
    plant: Any, made: Commissioned, shelved: ArtifactStore
) -> None:
    mixed = [
        admitted(plant, shelved, frame_of(plant, made, place, sequence=sequence))
        for sequence in range(3)
        for place in (2, 0, 1)
    ]
    ticks = iter(range(10_000))
    together = inspect(mixed, clock=lambda: float(next(ticks)))
    assert {tuple(finding.stages) for finding in together} == {("embed", "search", "render")}
    for inspection, finding in zip(mixed, together, strict=True):
        alone = inspect([inspection], clock=lambda: 0.0)[0]
        assert finding.score == pytest.approx(alone.score, rel=1e-4)


def test_a_payload_of_another_codec_or_of_another_fit_is_refused(
    plant: Any, made: Commissioned, shelved: ArtifactStore, request_for: Callable[..., Request], tmp_path: Path
) -> None:
    elsewhere = commission(request_for(tmp_path, codecs=CODECS[:2], seed=9), on_progress=lambda *_: None)
    profile_codec = made.commissioned_codecs[1]
    foreign = frame_of(plant, elsewhere, 1).payload
    for payload in (foreign, frame_of(plant, made, 0).payload, frame_of(plant, made, 2).payload):
        frame = msgspec.structs.replace(
            frame_of(plant, made, 1), payload=payload, payload_sha256=sha256_of(payload), codec=profile_codec.codec
        )
        with pytest.raises(UnreadableError) as caught:
            admitted(plant, shelved, frame)
        assert caught.value.code in {"codec", "size"}


def test_a_payload_under_the_name_of_another_rung_is_refused(
    plant: Any, made: Commissioned, shelved: ArtifactStore
) -> None:
    frame = msgspec.structs.replace(frame_of(plant, made, 0), codec=made.commissioned_codecs[1].codec)
    with pytest.raises(UnreadableError, match="its artifact judges 'features'") as caught:
        admitted(plant, shelved, frame)
    assert caught.value.code == "codec"


def test_a_missing_fitted_codec_is_refused_at_the_start(made: Commissioned, folder: Path) -> None:
    asset = folder / FOLDER / made.commissioned_codecs[0].artifact.header.codec_asset
    asset.unlink()
    with pytest.raises(MisconfiguredError, match=rf"features\.safetensors cannot be read.*{asset.name}.*commission"):
        open_store(folder, engine_for=no_engine)


def test_a_damaged_fitted_codec_is_refused_at_the_start(made: Commissioned, folder: Path) -> None:
    asset = folder / FOLDER / made.commissioned_codecs[0].artifact.header.codec_asset
    asset.write_bytes(asset.read_bytes()[:-1])
    with pytest.raises(MisconfiguredError, match=rf"is damaged: its sha256 is .*{asset.name}.*restore"):
        open_store(folder, engine_for=no_engine)


def test_a_fitted_codec_for_another_backbone_is_refused_with_both(made: Commissioned, folder: Path) -> None:
    profile_codec = made.commissioned_codecs[0]
    other = keep(folder, "codec", pack_asset(codec_of_rung(made, 0), profile_codec.backbone.name, "f" * 64, (64, 64)))
    header = msgspec.structs.replace(profile_codec.artifact.header, codec_asset=other.sha256)
    save(folder / str(STATION) / "features.safetensors", header, profile_codec.artifact.detector)
    with pytest.raises(
        MisconfiguredError, match=rf"on ffffffffffff at .*needs features on {profile_codec.backbone.sha256[:12]}"
    ):
        open_store(folder, engine_for=no_engine)


def test_what_is_no_fitted_codec_is_refused(made: Commissioned, folder: Path) -> None:
    profile_codec = made.commissioned_codecs[0]
    other = keep(folder, "codec", b"not a codec")
    header = msgspec.structs.replace(profile_codec.artifact.header, codec_asset=other.sha256)
    save(folder / str(STATION) / "features.safetensors", header, profile_codec.artifact.detector)
    with pytest.raises(MisconfiguredError, match=rf"cannot be used: .*{other.sha256}"):
        open_store(folder, engine_for=no_engine)


def test_an_artifact_from_before_feature_codecs_still_loads(made: Commissioned, tmp_path: Path) -> None:
    """Its header has no `codec_asset`."""
    artifact = made.commissioned_codecs[2].artifact
    path = tmp_path / "webp-80.safetensors"
    save(path, artifact.header, artifact.detector)
    content = path.read_bytes()
    field = b'\\"codec_asset\\":\\"\\",'
    assert field in content
    shorter = content.replace(field, b"")
    length = int.from_bytes(content[:8], "little") - len(field)
    path.write_bytes(length.to_bytes(8, "little") + shorter[8:])
    assert replace(load(path), detector=artifact.detector).header == artifact.header


def test_a_shelf_offers_the_backbones_file_to_the_station(made: Commissioned, shelved: ArtifactStore) -> None:
    stored = find(BACKBONES["mobilenet_v2"], made.commissioned_codecs[0].backbone.taps)
    path = shelved.asset(stored.sha256)
    assert path is not None
    assert path.read_bytes() == stored.read()
