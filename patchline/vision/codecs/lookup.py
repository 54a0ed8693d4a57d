"""From a codec's full name, `family` or `family:parameter`, to its class.

There are two kinds. An image codec is complete with its name: `codec_of` gives it. A feature codec is fitted first,
or read from its asset (`patchline.vision.codecs.features.asset`): `feature_codec_class` gives the class that does it.
Families that are not in the registry are looked for among the entry points `patchline.codecs` and
`patchline.feature_codecs` of other distributions.
"""

from patchline.runtime.entry_points import class_in, names_in
from patchline.vision.codecs import CODECS, FEATURE_CODECS
from patchline.vision.codecs.features.protocol import FeatureCodec
from patchline.vision.codecs.image.protocol import ImageCodec
from patchline.wire.errors import MisconfiguredError

IMAGE_GROUP, FEATURE_GROUP = "patchline.codecs", "patchline.feature_codecs"


def is_feature_codec(name: str) -> bool:
    """Whether the name's family carries feature maps; False for image codecs and for unknown names."""
    return _feature_class(_parts(name)[0]) is not None


def codec_of(name: str) -> ImageCodec:
    """The image codec of a full name.

    Args:
        name: `family` or `family:parameter`, exactly as the codec's own `name` says it.

    Raises:
        MisconfiguredError: No codec has this family, it carries feature maps, or it does not take this parameter.
    """
    family, parameter = _parts(name)
    kind = _image_class(family)
    if kind is not None:
        return kind.parse(parameter)
    if _feature_class(family) is not None:
        raise MisconfiguredError(
            f"{name!r} carries feature maps, not pictures",
            where="codec",
            remedy=f"use one of: {_image_usages()}; or open the asset it was fitted to",
        )
    raise _unknown(name)


def feature_codec_class(name: str) -> tuple[type[FeatureCodec], str | None]:
    """The class that fits and restores the feature codec of a full name, and the text behind the name's colon.

    Raises:
        MisconfiguredError: No codec has this family, it carries pictures, or it does not take this parameter.
    """
    family, parameter = _parts(name)
    kind = _feature_class(family)
    if kind is not None:
        kind.check(parameter)
        return kind, parameter
    if _image_class(family) is not None:
        raise MisconfiguredError(
            f"{name!r} carries pictures, not feature maps", where="codec", remedy=f"use one of: {_feature_usages()}"
        )
    raise _unknown(name)


def _image_class(family: str) -> type[ImageCodec] | None:
    kind: type[ImageCodec] | None = CODECS.get(family) or class_in(IMAGE_GROUP, family)
    return kind


def _feature_class(family: str) -> type[FeatureCodec] | None:
    if family in CODECS:  # the usual case costs no search through distributions
        return None
    kind: type[FeatureCodec] | None = FEATURE_CODECS.get(family) or class_in(FEATURE_GROUP, family)
    return kind


def _parts(name: str) -> tuple[str, str | None]:
    family, colon, parameter = name.partition(":")
    return family, parameter if colon else None


def _unknown(name: str) -> MisconfiguredError:
    known = f"{_image_usages()}; for feature maps: {_feature_usages()}"
    return MisconfiguredError(f"no codec is called {name!r}", where="codec", remedy=f"use one of: {known}")


def _image_usages() -> str:
    return ", ".join([*(kind.usage for kind in CODECS.values()), *names_in(IMAGE_GROUP)])


def _feature_usages() -> str:
    return ", ".join([*(kind.usage for kind in FEATURE_CODECS.values()), *names_in(FEATURE_GROUP)])
