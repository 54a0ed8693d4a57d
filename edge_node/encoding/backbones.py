"""Backbones at the edge: the files that are here already, the ones the service sent, and the engines that run them."""

import threading
from collections import OrderedDict
from collections.abc import Callable

from patchline.vision.backbones.engine import Engine
from patchline.vision.backbones.lookup import backbone_of, every_backbone
from patchline.vision.backbones.spec import BackboneSpec
from patchline.vision.backbones.store import StoredBackbone, find, find_by_sha256
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import AssetReference, ProfileCodec

BACKBONE = "backbone"
"""The name under which a codec refers to its backbone's file."""

_UNKNOWN_BACKBONE = "this version of patchline knows no such backbone"


def is_at_hand(asset: AssetReference) -> bool:
    """Whether an asset need not be fetched: it is a backbone, and one of this node's own folders of weights has it."""
    return asset.name == BACKBONE and any(find_by_sha256(spec, asset.sha256) is not None for spec in every_backbone())


_MOST_ENGINES = 2
"""Of the profile in use and of the one before, so that the way back is quick; each engine is a network in memory."""


class EdgeBackbones:
    """Engines by what they run; those used last are kept. All methods may be called from any thread.

    Args:
        threads: CPU threads one run may use.
        fetched: Gives an asset the service has sent, by its sha256; raises `UnavailableError` where there is none.
        most_engines: How many engines are kept beside those that encoders still hold.
    """

    def __init__(self, *, threads: int, fetched: Callable[[str], bytes], most_engines: int = _MOST_ENGINES) -> None:
        self._threads, self._fetched, self._most_engines = threads, fetched, most_engines
        self._loading = threading.Lock()
        self._engines: OrderedDict[tuple[str, tuple[str, ...]], Engine] = OrderedDict()

    def engine_of(self, profile_codec: ProfileCodec, taps: tuple[str, ...]) -> Engine:
        """The engine of a codec's backbone.

        Raises:
            MisconfiguredError: Its file is not here, or does not have such taps; names what is here instead.
        """
        key = (profile_codec.backbone_sha256, taps)
        with self._loading:
            engine = self._engines.get(key) or self._load(profile_codec, taps)
            self._engines[key] = engine
            self._engines.move_to_end(key)
            while len(self._engines) > self._most_engines:
                self._engines.popitem(last=False)
        return engine

    def _load(self, profile_codec: ProfileCodec, taps: tuple[str, ...]) -> Engine:
        from patchline.vision.backbones.onnx_engine import OnnxEngine  # noqa: PLC0415 - stations that send pictures need no runtime

        stored = _stored(profile_codec.backbone, profile_codec.backbone_sha256)
        if stored is not None:
            return OnnxEngine(stored.read(), taps, threads=self._threads, where=str(stored.path))
        try:
            model = self._fetched(profile_codec.backbone_sha256)
        except UnavailableError as error:
            raise _other_weights(profile_codec) from error
        return OnnxEngine(model, taps, threads=self._threads, where=f"asset {profile_codec.backbone_sha256[:12]}")


def _stored(backbone: str, sha256: str) -> StoredBackbone | None:
    spec = _known(backbone)
    return None if spec is None else find_by_sha256(spec, sha256)


def _known(backbone: str) -> BackboneSpec | None:
    return next((spec for spec in every_backbone() if spec.name == backbone), None)


def _other_weights(profile_codec: ProfileCodec) -> MisconfiguredError:
    needed = f"{profile_codec.backbone} ({profile_codec.backbone_sha256[:12]})"
    wanted = f"the profile's codec {profile_codec.codec} needs backbone {needed}"
    try:
        spec = backbone_of(profile_codec.backbone)
    except MisconfiguredError as error:
        return MisconfiguredError(f"{wanted}; {_UNKNOWN_BACKBONE}", remedy=error.remedy)
    try:
        found = find(spec)
    except MisconfiguredError as error:
        return MisconfiguredError(f"{wanted}, which was not found", where=error.where, remedy=error.remedy)
    return MisconfiguredError(
        f"{wanted}, but the {spec.name} here is {found.sha256[:12]}",
        where=str(found.path),
        remedy="commission the station with these weights, or put the others into a folder of PATCHLINE_WEIGHTS",
    )
