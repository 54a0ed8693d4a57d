"""The backbones in use: each file is read once, and every artifact with the same weights and taps shares its engine."""

import importlib
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec

from patchline.artifacts.artifact import BackboneKey
from patchline.vision.backbones import BACKBONES
from patchline.vision.backbones.engine import Engine
from patchline.vision.backbones.lookup import backbone_of
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.vision.backbones.spec import BackboneSpec
from patchline.vision.backbones.store import StoredBackbone, find, find_by_sha256
from patchline.wire.errors import MisconfiguredError, missing_extra
from patchline.wire.messages import sha256_of

UNPACKAGED_DEFAULT = "mobilenet_v2"
"""The backbone used by default in a copy of patchline that ships without weights."""


def default_backbone() -> str:
    """The backbone to use when none is named: the packaged one where it is here."""
    packaged = (name for name, spec in BACKBONES.items() if spec.packaged)
    return next((name for name in packaged if _is_here(BACKBONES[name])), UNPACKAGED_DEFAULT)


def edge_backbone(key: BackboneKey) -> tuple[BackboneKey, bytes | None]:
    """The file of a backbone that an edge node may have to fetch, cut at the key's taps, and the key of that file.

    There is no file for the packaged one, which every node has.

    Raises:
        MisconfiguredError: It is gone, or was changed since it was found.
    """
    spec = backbone_of(key.name)
    if spec.packaged and any(file.sha256 == key.sha256 for file in spec.files):
        return key, None
    stored = find_by_sha256(spec, key.sha256)
    if stored is None:
        raise MisconfiguredError(
            f"the file of backbone {key.name} ({key.sha256[:12]}) is gone", where="backbone", remedy="start again"
        )
    model = stored.read_cut(key.taps)
    return msgspec.structs.replace(key, sha256=sha256_of(model)), model


class EngineCache:
    """Engines by what they run; an engine that no artifact uses any more is freed.

    Args:
        threads: CPU threads one run may use.
        device: `cpu` runs backbones in ONNX Runtime; any other, such as `cuda`, in torch on that device. Feature maps
            are the same to four digits, so artifacts and their thresholds serve both.
    """

    def __init__(self, *, threads: int, device: str = "cpu") -> None:
        self._threads, self._device = threads, device
        self._engines: WeakValueDictionary[tuple[str, tuple[str, ...]], Engine] = WeakValueDictionary()

    def choose(self, backbone: str, taps: tuple[str, ...]) -> tuple[BackboneKey, Engine]:
        """The engine to commission with.

        Args:
            backbone: A name of the registry, with `:int8` behind it for the quantised form.
            taps: Its default ones where none are named.

        Raises:
            MisconfiguredError: There is no such backbone or tap, or its weights were not found.
        """
        spec = backbone_of(backbone)
        ordered = spec.ordered(taps)
        stored = find(spec, ordered)
        return BackboneKey(spec.name, stored.sha256, ordered), self._engine(stored, ordered)

    def engine_for(self, key: BackboneKey, artifact: Path) -> Engine:
        """The engine an artifact was commissioned with.

        Raises:
            MisconfiguredError: The weights are not here, or only others of the same name are; names both.
        """
        spec = backbone_of(key.name, where=str(artifact))
        engine = self._engines.get((key.sha256, key.taps))
        if engine is not None:
            return engine
        stored = find_by_sha256(spec, key.sha256)
        if stored is None:
            raise _other_weights(spec, key, artifact)
        return self._engine(stored, spec.ordered(key.taps))

    def _engine(self, stored: StoredBackbone, taps: tuple[str, ...]) -> Engine:
        engine = self._engines.get((stored.sha256, taps)) or self._made(stored, taps)
        self._engines[stored.sha256, taps] = engine
        return engine

    def _made(self, stored: StoredBackbone, taps: tuple[str, ...]) -> Engine:
        if self._device == "cpu":
            return OnnxEngine(stored.read_cut(taps), taps, threads=self._threads, where=str(stored.path))
        try:
            torch_engine = importlib.import_module("patchline.vision.backbones.torch_engine")
        except ModuleNotFoundError as error:
            raise missing_extra("torch", "torch") from error
        made: Engine = torch_engine.TorchEngine.of_model(stored.read(), taps, device=self._device)
        return made


def _is_here(spec: BackboneSpec) -> bool:
    try:
        find(spec)
    except MisconfiguredError:
        return False
    return True


def _other_weights(spec: BackboneSpec, key: BackboneKey, artifact: Path) -> MisconfiguredError:
    try:
        found = find(spec, key.taps)
    except MisconfiguredError as error:
        return MisconfiguredError(
            f"the artifact needs backbone {key.name} ({key.sha256[:12]}), which was not found",
            where=str(artifact),
            remedy=error.remedy,
        )
    return MisconfiguredError(
        f"the artifact was made with backbone {key.name} ({key.sha256[:12]}), "
        f"but the {spec.name} at {found.path} is {found.sha256[:12]}",
        where=str(artifact),
        remedy="commission the station again with these weights, or put the old ones back; an artifact in older/ that "
        "no part waits for can be removed",
    )
