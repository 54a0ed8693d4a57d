"""From a codec's full name, `family` or `family:parameter`, to what stands behind it.

There are two kinds. An image codec is complete with its name: `codec_of` gives it. A feature codec is fitted first,
or read from its asset (`patchline.vision.codecs.features.asset`): `feature_codec_class` gives the class that does it.
"""

from patchline.vision.codecs import CODECS, FEATURE_CODECS
from patchline.vision.codecs.features.protocol import FeatureCodec
from patchline.vision.codecs.image.protocol import ImageCodec
from patchline.wire.errors import MisconfiguredError


def is_feature_codec(name: str) -> bool:
    """Whether the name's family carries feature maps; False for image codecs and for names of nobody."""
    return name.partition(":")[0] in FEATURE_CODECS


def codec_of(name: str) -> ImageCodec:
    """The image codec of a full name.

    Args:
        name: `family` or `family:parameter`, exactly as the codec's own `name` says it.

    Raises:
        MisconfiguredError: No codec has this family, it carries feature maps, or it does not take this parameter.
    """
    family, parameter = _parts(name)
    if family in FEATURE_CODECS:
        raise MisconfiguredError(
            f"{name!r} carries feature maps, not pictures",
            where="codec",
            remedy=f"use one of: {_usages_of_images()}; or open the asset it was fitted to",
        )
    if family not in CODECS:
        raise _unknown(name)
    return CODECS[family].parse(parameter)


def feature_codec_class(name: str) -> tuple[type[FeatureCodec], str | None]:
    """The class that fits and restores the feature codec of a full name, and the text behind the name's colon.

    Raises:
        MisconfiguredError: No codec has this family, it carries pictures, or it does not take this parameter.
    """
    family, parameter = _parts(name)
    if family in CODECS:
        raise MisconfiguredError(
            f"{name!r} carries pictures, not feature maps",
            where="codec",
            remedy=f"use one of: {_usages_of_features()}",
        )
    if family not in FEATURE_CODECS:
        raise _unknown(name)
    kind = FEATURE_CODECS[family]
    kind.check(parameter)
    return kind, parameter


def _parts(name: str) -> tuple[str, str | None]:
    family, colon, parameter = name.partition(":")
    return family, parameter if colon else None


def _unknown(name: str) -> MisconfiguredError:
    known = f"{_usages_of_images()}; for feature maps: {_usages_of_features()}"
    return MisconfiguredError(f"no codec is called {name!r}", where="codec", remedy=f"use one of: {known}")


def _usages_of_images() -> str:
    return ", ".join(kind.usage for kind in CODECS.values())


def _usages_of_features() -> str:
    return ", ".join(kind.usage for kind in FEATURE_CODECS.values())
