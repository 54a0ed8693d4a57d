"""The doors of a feature codec: what maps, shapes and tensors must look like before anything is done with them."""

from collections.abc import Mapping
from math import isfinite
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.protocol import Shapes
from patchline.vision.pixels.arrays import FeatureMaps, Floats
from patchline.wire.errors import MisconfiguredError

PictureMaps: TypeAlias = dict[str, Floats]
"""Tap name -> `(C, h, w)`: the feature maps of one picture, without the axis of the batch."""

TensorForms: TypeAlias = dict[str, tuple[tuple[int, ...], str]]
"""Tensor name -> shape and numpy dtype."""

MAX_VALUES = 1 << 24
"""The most values the feature maps of one picture may have, 64 MiB as float32."""

_AXES = 4
_DIMENSIONS = 3


def shapes_of(maps: FeatureMaps, codec: str) -> Shapes:
    """The form of a batch of feature maps.

    Raises:
        MisconfiguredError: They are not `(N, C, h, w)` float32 a tap with one N, empty, or not finite.
    """
    counts = {array.shape[0] for array in maps.values() if array.ndim == _AXES}
    good = all(array.ndim == _AXES and array.size and array.dtype == np.float32 for array in maps.values())
    if not maps or not good or len(counts) != 1:
        forms = ", ".join(f"{tap} {array.shape} {array.dtype}" for tap, array in maps.items())
        raise MisconfiguredError(
            f"feature maps of the form {forms or 'nothing'} are none to learn from",
            where=f"codec {codec}",
            remedy="give maps of shape (pictures, channels, height, width) and type float32, at least one picture",
        )
    for tap, array in maps.items():
        _refuse_infinite(array, tap, codec)
    shapes = {tap: array.shape[1:] for tap, array in maps.items()}
    check_shapes(shapes, codec)
    return shapes


def check_shapes(shapes: Shapes, codec: str) -> None:
    """Make sure that shapes are the form of feature maps one can expect.

    Raises:
        MisconfiguredError: There is no tap, a side is not a positive number, or they are over `MAX_VALUES`.
    """
    for shape in shapes.values():
        if len(shape) != _DIMENSIONS or any(side < 1 for side in shape):
            raise _wrong_shapes(codec, f"{shape} is no shape of a feature map")
    if not 0 < values_of(shapes) <= MAX_VALUES:
        raise _wrong_shapes(codec, f"{values_of(shapes)} values in {len(shapes)} taps are none or too many")


def values_of(shapes: Shapes) -> int:
    """How many values the feature maps of one picture have."""
    return sum(channels * height * width for channels, height, width in shapes.values())


def maps_of(values: NDArray[Any], shapes: Shapes) -> PictureMaps:
    """Maps of these shapes from all their values, tap after tap."""
    parts = np.split(values, np.cumsum([channels * height * width for channels, height, width in shapes.values()])[:-1])
    return {tap: part.reshape(shape) for (tap, shape), part in zip(shapes.items(), parts, strict=True)}


def checked_maps(maps: FeatureMaps, shapes: Shapes, codec: str) -> PictureMaps:
    """The feature maps of one picture, in the codec's order of the taps, once they are known to be of its form.

    Raises:
        MisconfiguredError: They are not.
    """
    found = {tap: (array.shape, array.dtype) for tap, array in maps.items()}
    if found != {tap: ((1, *shape), np.dtype(np.float32)) for tap, shape in shapes.items()}:
        forms = ", ".join(f"{tap} {shape} {kind}" for tap, (shape, kind) in found.items())
        wanted = ", ".join(f"{tap} {(1, *shape)} float32" for tap, shape in shapes.items())
        raise MisconfiguredError(
            f"feature maps of the form {forms or 'nothing'} cannot be encoded",
            where=f"codec {codec}",
            remedy=f"give {wanted}: the backbone, taps and input size the codec was fitted to",
        )
    for tap in shapes:
        _refuse_infinite(maps[tap], tap, codec)
    return {tap: maps[tap][0] for tap in shapes}


def check_tensors(tensors: Mapping[str, NDArray[Any]], forms: TensorForms, codec: str) -> None:
    """Make sure that a codec's tensors are those it needs, and finite.

    Raises:
        MisconfiguredError: One is missing, unknown, or of the wrong shape, kind or content.
    """
    for key in sorted({*tensors, *forms}):
        form = (tensors[key].shape, tensors[key].dtype.name) if key in tensors else "missing"
        if form != forms.get(key, "missing"):
            raise wrong_tensor(codec, f"tensor {key} is {form}, not {forms.get(key, 'known')}")
        if not np.isfinite(tensors[key]).all():
            raise wrong_tensor(codec, f"tensor {key} is not finite")


def wrong_tensor(codec: str, what: str) -> MisconfiguredError:
    """The error for what was learnt and cannot be used."""
    return MisconfiguredError(what, where=f"codec {codec}", remedy="commission the station again")


def _wrong_shapes(codec: str, what: str) -> MisconfiguredError:
    return MisconfiguredError(what, where=f"codec {codec}", remedy="choose other taps, or a smaller input size")


def _refuse_infinite(array: Floats, tap: str, codec: str) -> None:
    flat = array.ravel()
    # One product reads the maps fastest; it is finite only where all of them are, or else the maps are looked at.
    if not isfinite(np.dot(flat, flat)) and not np.isfinite(array).all():
        raise MisconfiguredError(
            f"the feature maps of {tap} are not finite",
            where=f"codec {codec}",
            remedy="check the backbone's weights and the pictures given to it",
        )
