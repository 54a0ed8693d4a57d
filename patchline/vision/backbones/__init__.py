"""Backbones: pretrained networks that give pictures their feature maps, as rows of what is known about each."""

from patchline.vision.backbones.mobilenet_v2 import MOBILENET_V2
from patchline.vision.backbones.patchline_s import PATCHLINE_S
from patchline.vision.backbones.resnet import RESNET18, RESNET50_V2_TRUNK, WIDE_RESNET50_2
from patchline.vision.backbones.spec import BackboneSpec

BACKBONES: dict[str, BackboneSpec] = {
    "patchline_s": PATCHLINE_S,
    "mobilenet_v2": MOBILENET_V2,
    "resnet18": RESNET18,
    "resnet50_v2_trunk": RESNET50_V2_TRUNK,
    "wide_resnet50_2": WIDE_RESNET50_2,
}
