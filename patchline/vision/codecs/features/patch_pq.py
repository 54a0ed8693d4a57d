"""The codecs `pq:MxBITS` and `opq:MxBITS`: every patch by itself, each tap on its own grid.

The channels of all taps together are cut into M sub-spaces, every tap getting its share of them by its channels, and
each patch of each tap is one code in each of the tap's sub-spaces: MobileNetV2's features.6 (32 channels, 28x28) and
features.13 (96, 14x14) at `16x8` are 28 * 28 * 4 + 14 * 14 * 12 codes, 5488 bytes. One codebook serves all places, so
it learns from every patch of every training picture. OPQ turns the channels first.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.form import PictureMaps, TensorForms
from patchline.vision.codecs.features.protocol import Shapes
from patchline.vision.codecs.features.quantised import QuantisedCodec
from patchline.vision.codecs.features.sealed_codec import Lesson
from patchline.vision.codecs.features.subspaces import SubspaceQuantiser, columns_of, learn_codebooks, learn_rotation
from patchline.vision.pixels.arrays import FeatureMaps, Floats

MAX_TRAINING_PATCHES = 1 << 14
"""Patches of a tap that codebooks are learnt from; more change nothing that matters and cost time."""


class PatchPqCodec(QuantisedCodec):
    """Product quantisation of patches along the channels as they are."""

    family: ClassVar[str] = "pq"
    usage: ClassVar[str] = "pq:MxBITS (M sub-spaces over the channels of all taps, BITS 1 to 8)"
    examples: ClassVar[tuple[str, ...]] = ("pq:7x8", "pq:7x3", "pq:9x3")
    refused: ClassVar[tuple[str | None, ...]] = (None, "", "8", "8x", "8x9", "8 x 8")
    counted: ClassVar[str] = "sub-spaces a patch"
    rotates: ClassVar[bool] = False

    def __init__(self, parameter: str | None, shapes: Shapes, tensors: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(parameter, shapes, tensors)
        self._quantisers = {tap: SubspaceQuantiser(tensors[_books(tap)], shape[0]) for tap, shape in shapes.items()}

    @classmethod
    def learn(cls, lesson: Lesson) -> dict[str, NDArray[Any]]:
        """Codebooks, and for OPQ a rotation, for each tap."""
        _, bits = cls.read(lesson.parameter)
        spaces = cls.spaces_of(lesson.parameter, lesson.shapes)
        done, total = 0, sum(spaces.values())
        learnt: dict[str, NDArray[Any]] = {}
        for tap, patches in _training_patches(lesson.maps, lesson.seed).items():
            turned = patches
            if cls.rotates:
                rotation = learn_rotation(patches, spaces[tap])
                learnt[_rotation(tap)] = rotation
                turned = patches @ rotation
            learnt[_books(tap)] = learn_codebooks(turned, spaces[tap], bits, seed=lesson.seed)
            done += spaces[tap]
            if lesson.on_progress is not None:
                lesson.on_progress(done, total)
        return learnt

    @classmethod
    def forms(cls, parameter: str | None, shapes: Shapes) -> TensorForms:
        """Codebooks for each tap, and for OPQ its rotation."""
        _, bits = cls.read(parameter)
        forms: TensorForms = {}
        for tap, spaces in cls.spaces_of(parameter, shapes).items():
            channels = shapes[tap][0]
            forms[_books(tap)] = ((spaces, 1 << bits, columns_of(channels, spaces).shape[1]), "float16")
            if cls.rotates:
                forms[_rotation(tap)] = ((channels, channels), "float32")
        return forms

    @classmethod
    def spaces_of(cls, parameter: str | None, shapes: Shapes) -> dict[str, int]:
        """How many sub-spaces each tap has: at least one, otherwise in proportion to its channels.

        Raises:
            MisconfiguredError: There are fewer than taps, or more than channels.
        """
        spaces, _ = cls.read(parameter)
        channels = {tap: shape[0] for tap, shape in shapes.items()}
        cls.refuse_count(spaces, len(shapes), sum(channels.values()))
        given = dict.fromkeys(shapes, 1)
        for _ in range(spaces - len(shapes)):
            # The widest sub-space anywhere is cut next; the first of several.
            given[max(given, key=lambda tap: channels[tap] / given[tap])] += 1
        return given

    @property
    def code_count(self) -> int:
        """One a sub-space and patch."""
        spaces = self.spaces_of(self._parameter, self._shapes)
        return sum(spaces[tap] * height * width for tap, (_, height, width) in self._shapes.items())

    def codes_of(self, maps: PictureMaps) -> NDArray[np.uint8]:
        """See `QuantisedCodec.codes_of`."""
        return np.concatenate([self._quantisers[tap].codes(self._patches(tap, maps[tap])).ravel() for tap in maps])

    def maps_of(self, codes: NDArray[np.uint8]) -> PictureMaps:
        """See `QuantisedCodec.maps_of`."""
        maps: PictureMaps = {}
        place = 0
        for tap, spaces in self.spaces_of(self._parameter, self._shapes).items():
            _, height, width = self._shapes[tap]
            end = place + spaces * height * width
            patches = self._quantisers[tap].vectors(codes[place:end].reshape(spaces, -1))
            if self.rotates:
                patches = patches @ self._tensors[_rotation(tap)].T
            maps[tap] = np.ascontiguousarray(patches.T).reshape(self._shapes[tap])
            place = end
        return maps

    def _patches(self, tap: str, array: Floats) -> Floats:
        """`(patches, channels)`, turned for OPQ."""
        patches = array.reshape(len(array), -1).T
        if not self.rotates:
            return patches
        turned: Floats = patches @ self._tensors[_rotation(tap)]
        return turned


class PatchOpqCodec(PatchPqCodec):
    """Product quantisation of patches along channels turned so that the sub-spaces lose least (OPQ)."""

    family: ClassVar[str] = "opq"
    usage: ClassVar[str] = "opq:MxBITS (M sub-spaces over the channels of all taps, BITS 1 to 8)"
    examples: ClassVar[tuple[str, ...]] = ("opq:7x5", "opq:7x3", "opq:9x3")
    refused: ClassVar[tuple[str | None, ...]] = (None, "", "8", "8x", "8x9", "8x8\n")
    rotates: ClassVar[bool] = True


def _training_patches(maps: FeatureMaps, seed: int) -> dict[str, Floats]:
    """`(patches, channels)` of every tap, drawn from all pictures and places alike."""
    rng = np.random.default_rng(seed)
    drawn: dict[str, Floats] = {}
    for tap, array in maps.items():
        patches = array.transpose(0, 2, 3, 1).reshape(-1, array.shape[1])
        if len(patches) > MAX_TRAINING_PATCHES:
            patches = patches[np.sort(rng.choice(len(patches), MAX_TRAINING_PATCHES, replace=False))]
        drawn[tap] = patches
    return drawn


def _books(tap: str) -> str:
    return f"codebooks of {tap}"


def _rotation(tap: str) -> str:
    return f"rotation of {tap}"
