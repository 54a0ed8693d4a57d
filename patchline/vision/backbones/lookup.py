"""Backbones by the name a person gives: one of the registry, or its int8 form, `mobilenet_v2:int8`.

The int8 form is a backbone of its own: it has its own file, digest and feature maps, so that nothing commissioned with
the one is ever judged with the other, and none is used but by its full name.
"""

from dataclasses import replace

from patchline.vision.backbones import BACKBONES
from patchline.vision.backbones.spec import INT8, BackboneSpec
from patchline.wire.errors import MisconfiguredError


def backbone_of(name: str, *, where: str = "backbone") -> BackboneSpec:
    """What is known of a backbone.

    Args:
        name: As in `BACKBONES`, with `:int8` behind it for the quantised one.
        where: What to call the place of the name in the error.

    Raises:
        MisconfiguredError: There is no such backbone.
    """
    plain = name.removesuffix(INT8)
    if plain not in BACKBONES:
        raise MisconfiguredError(
            f"no backbone is called {name!r}",
            where=where,
            remedy=f"use one of: {', '.join(BACKBONES)}; {INT8} behind a name means its quantised form",
        )
    return int8_of(BACKBONES[plain]) if name.endswith(INT8) else BACKBONES[plain]


def int8_of(spec: BackboneSpec) -> BackboneSpec:
    """The quantised form of a backbone: the same taps, and no file but those that `weights quantise` makes."""
    return replace(spec, name=spec.name + INT8, files=(), checkpoint=None, architecture="", packaged=False)


def every_backbone() -> tuple[BackboneSpec, ...]:
    """Those of the registry, then their quantised forms."""
    return (*BACKBONES.values(), *map(int8_of, BACKBONES.values()))
