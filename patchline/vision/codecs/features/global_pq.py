"""The codec `pq-global:SUBSPACESxBITS`: one product quantiser for all values of a picture's feature maps.

The compression paper's form (section 3.3, eq. 1): the maps of all taps are flattened into one vector, which is cut into
sub-spaces; the paper has 976 of 98 values. It learns from as many vectors as there are training pictures, so that a
code stands for a whole region as one of the normal pictures has it: small, but it cannot say what it has never seen.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.form import PictureMaps, TensorForms, maps_of, values_of
from patchline.vision.codecs.features.protocol import Shapes
from patchline.vision.codecs.features.quantised import QuantisedCodec
from patchline.vision.codecs.features.sealed_codec import Lesson
from patchline.vision.codecs.features.subspaces import SubspaceQuantiser, columns_of, learn_codebooks
from patchline.vision.pixels.arrays import Floats

_BOOKS = "codebooks"


class GlobalPqCodec(QuantisedCodec):
    """Product quantisation of a whole picture; the codebooks are as large as `2^BITS` pictures in half precision.

    Every code of every sub-space is read once a picture, so that the edge's time is that of reading the codebooks. With
    MobileNetV2's features.6 + 13 (5.6 ms) `976x5` takes 0.6 ms, `976x7` 1.1 ms, and `976x8`, whose 45 MB no cache
    holds, 8 ms and more.
    """

    family: ClassVar[str] = "pq-global"
    usage: ClassVar[str] = "pq-global:SUBSPACESxBITS (BITS 1 to 8)"
    examples: ClassVar[tuple[str, ...]] = ("pq-global:61x5", "pq-global:61x3", "pq-global:640x3")
    refused: ClassVar[tuple[str | None, ...]] = (
        None,
        "",
        "61",
        "61x9",
        "0x5",
        "61x0",
        "61x05",
        "061x5",
        "x5",
        "61X5",
        "100000x5",
    )
    counted: ClassVar[str] = "sub-spaces a picture"

    def __init__(self, parameter: str | None, shapes: Shapes, tensors: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(parameter, shapes, tensors)
        self._quantiser = SubspaceQuantiser(tensors[_BOOKS], values_of(shapes))

    @classmethod
    def learn(cls, lesson: Lesson) -> dict[str, NDArray[Any]]:
        """Codebooks, from one vector a training picture."""
        spaces, bits = cls.read(lesson.parameter)
        cls.refuse_count(spaces, 1, values_of(lesson.shapes))
        flat = [array.reshape(len(array), -1) for array in lesson.maps.values()]
        vectors = np.concatenate(flat, axis=1)
        return {_BOOKS: learn_codebooks(vectors, spaces, bits, seed=lesson.seed, on_progress=lesson.on_progress)}

    @classmethod
    def forms(cls, parameter: str | None, shapes: Shapes) -> TensorForms:
        """One codebook a sub-space."""
        spaces, bits = cls.read(parameter)
        cls.refuse_count(spaces, 1, values_of(shapes))
        width = columns_of(values_of(shapes), spaces).shape[1]
        return {_BOOKS: ((spaces, 1 << bits, width), "float16")}

    @property
    def code_count(self) -> int:
        """One a sub-space."""
        return self.read(self._parameter)[0]

    def codes_of(self, maps: PictureMaps) -> NDArray[np.uint8]:
        """See `QuantisedCodec.codes_of`."""
        vector: Floats = np.concatenate([array.reshape(1, -1) for array in maps.values()], axis=1)
        return self._quantiser.codes(vector)

    def maps_of(self, codes: NDArray[np.uint8]) -> PictureMaps:
        """See `QuantisedCodec.maps_of`."""
        vector = self._quantiser.vectors(codes.reshape(-1, 1))[0]
        return {tap: part.copy() for tap, part in maps_of(vector, self._shapes).items()}
