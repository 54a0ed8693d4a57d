"""What the product-quantising codecs share: how `MxBITS` is written, and bodies of packed codes."""

import re
from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.form import PictureMaps
from patchline.vision.codecs.features.sealed_codec import SealedFeatureCodec
from patchline.wire.errors import MisconfiguredError

_PARAMETER = re.compile(r"([1-9][0-9]{0,4})x([1-8])", re.ASCII)


class QuantisedCodec(SealedFeatureCodec):
    """A codec whose body is nothing but codes of 1 to 8 bits, packed."""

    counted: ClassVar[str]
    """What the number before the x counts, for error messages."""

    @classmethod
    def check(cls, parameter: str | None) -> None:
        """See `FeatureCodec.check`."""
        cls.read(parameter)

    @classmethod
    def read(cls, parameter: str | None) -> tuple[int, int]:
        """Sub-spaces, and bits of a code.

        Raises:
            MisconfiguredError: It is not written as this family writes it.
        """
        match = _PARAMETER.fullmatch(parameter or "")
        if match is None:
            raise MisconfiguredError(
                f"{parameter!r} is not {cls.counted} and bits of the codec {cls.family}",
                where="codec",
                remedy=f"write {cls.usage}",
            )
        return int(match[1]), int(match[2])

    @classmethod
    def refuse_count(cls, spaces: int, lowest: int, highest: int) -> None:
        """Make sure that feature maps can be cut into that many sub-spaces.

        Raises:
            MisconfiguredError: They cannot.
        """
        if not lowest <= spaces <= highest:
            raise MisconfiguredError(
                f"the codec {cls.family} cannot cut these feature maps into {spaces} sub-spaces",
                where="codec",
                remedy=f"choose {lowest} to {highest} {cls.counted}",
            )

    @property
    @abstractmethod
    def code_count(self) -> int:
        """How many codes a picture has."""

    @abstractmethod
    def codes_of(self, maps: PictureMaps) -> NDArray[np.uint8]:
        """The codes of the feature maps of one picture, flat."""

    @abstractmethod
    def maps_of(self, codes: NDArray[np.uint8]) -> PictureMaps:
        """The feature maps that flat codes stand for."""

    @property
    def longest_body(self) -> int:
        """The only length there is."""
        return packed_bytes(self.code_count, self.read(self._parameter)[1])

    def pack(self, maps: PictureMaps) -> bytes:
        """See `SealedFeatureCodec.pack`."""
        return pack_bits(self.codes_of(maps), self.read(self._parameter)[1])

    def unpack(self, body: bytes) -> PictureMaps:
        """See `SealedFeatureCodec.unpack`."""
        if len(body) != self.longest_body:
            raise self.unreadable(f"it has {len(body)} bytes, not {self.longest_body}")
        return self.maps_of(unpack_bits(body, self.code_count, self.read(self._parameter)[1]))


def packed_bytes(count: int, bits: int) -> int:
    """How many bytes that many codes take; they stand side by side without a gap."""
    return (count * bits + 7) // 8


def pack_bits(codes: NDArray[np.uint8], bits: int) -> bytes:
    """Codes of 1 to 8 bits as bytes, the highest bit first; what is left of the last byte is zero."""
    flat = codes.reshape(-1, 1)
    return np.packbits(np.unpackbits(flat, axis=1)[:, 8 - bits :]).tobytes()


def unpack_bits(body: bytes, count: int, bits: int) -> NDArray[np.uint8]:
    """The codes that became these bytes, of which there are exactly `packed_bytes(count, bits)`."""
    digits = np.unpackbits(np.frombuffer(body, dtype=np.uint8), count=count * bits).reshape(count, bits)
    wide = np.zeros((count, 8), dtype=np.uint8)
    wide[:, 8 - bits :] = digits
    return np.packbits(wide, axis=1)[:, 0]
