"""Backbones by name: which taps each network has, and which files of weights are known.

To add a published network, add its row here; `torch_models` has those that can be exported from a checkpoint.
"""

from patchline.vision.backbones.spec import BackboneSpec, Checkpoint, ModelFile, Tap

PATCHLINE_S = BackboneSpec(
    name="patchline_s",
    taps={"stride8": Tap(16, 8), "stride16": Tap(40, 16)},
    default_taps=("stride8", "stride16"),
    licence="Apache-2.0",
    files=(
        ModelFile(
            name="patchline_s.onnx",
            sha256="23f0691c7e11c240ba182bdc6e7c0ba3521d72b2a5b4efb07c88d61a00fb2b0e",
            taps=("stride8", "stride16"),
        ),
    ),
    packaged=True,
)
"""patchline's own small backbone, packaged with it; `distillation` says how it was made.

It was trained on drawn and generated pictures to give MobileNetV2's distances, so its weights are patchline's own.
"""

MOBILENET_V2 = BackboneSpec(
    name="mobilenet_v2",
    taps={
        "features.0": Tap(32, 2),
        "features.1": Tap(16, 2),
        "features.2": Tap(24, 4),
        "features.3": Tap(24, 4),
        "features.4": Tap(32, 8),
        "features.5": Tap(32, 8),
        "features.6": Tap(32, 8),
        "features.7": Tap(64, 16),
        "features.8": Tap(64, 16),
        "features.9": Tap(64, 16),
        "features.10": Tap(64, 16),
        "features.11": Tap(96, 16),
        "features.12": Tap(96, 16),
        "features.13": Tap(96, 16),
        "features.14": Tap(160, 32),
        "features.15": Tap(160, 32),
        "features.16": Tap(160, 32),
        "features.17": Tap(320, 32),
        "features.18": Tap(1280, 32),
    },
    default_taps=("features.3", "features.6", "features.13"),
    licence="BSD-3-Clause",
    files=(
        ModelFile(
            name="mobilenet_v2.onnx",
            sha256="73fe6a41e0e99382461a1bea37f717cd0ed4525475122deff121ba1240499a3c",
            taps=("features.1", "features.3", "features.6", "features.13", "features.17"),
        ),
    ),
    checkpoint=Checkpoint(
        url="https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
        url_sha256_prefix="b0353104",
        files={"mobilenet_v2.safetensors": "96683d4907ec79f0a0b0ea97fc2f812917493e46de0018e299309da6e4a3e3b7"},
    ),
    architecture="mobilenet_v2",
)
"""MobileNetV2 (Sandler et al., CVPR 2018), torchvision's IMAGENET1K_V1 weights."""

RESNET18 = BackboneSpec(
    name="resnet18",
    taps={"layer1": Tap(64, 4), "layer2": Tap(128, 8), "layer3": Tap(256, 16)},
    default_taps=("layer2", "layer3"),
    licence="BSD-3-Clause",
    files=(
        ModelFile(
            name="resnet18_trunk.onnx",
            sha256="858159ed884129ffb0fd729502ba122570f067b8d4899b36abd615d5ee28a878",
            taps=("layer1", "layer2", "layer3"),
        ),
    ),
    checkpoint=Checkpoint(
        url="https://download.pytorch.org/models/resnet18-f37072fd.pth",
        url_sha256_prefix="f37072fd",
        files={"resnet18_trunk.safetensors": "65a97fbb439edf424571e98b0a48730ec4996c3f2197e66f24290ad4e6a06bcb"},
    ),
    architecture="resnet18",
)
"""Residual network (He et al., CVPR 2016), trained on ImageNet."""

RESNET50_V2_TRUNK = BackboneSpec(
    name="resnet50_v2_trunk",
    taps={"layer1": Tap(256, 4), "layer2": Tap(512, 8), "layer3": Tap(1024, 16)},
    default_taps=("layer2", "layer3"),
    licence="Apache-2.0",
    files=(
        ModelFile(
            name="resnet50_v2_trunk.onnx",
            sha256="d17be51f1de98fa493098d363aa9d5229b516f1cb93440e4c73d6da3affe3880",
            taps=("layer1", "layer2", "layer3"),
        ),
    ),
)
"""GluonCV's pre-activation ResNet-50 (He et al., ECCV 2016), stages 1 to 3.

It has the channels and strides of WideResNet-50-2, not its weights.
"""

WIDE_RESNET50_2 = BackboneSpec(
    name="wide_resnet50_2",
    taps={"layer1": Tap(256, 4), "layer2": Tap(512, 8), "layer3": Tap(1024, 16)},
    default_taps=("layer2", "layer3"),
    licence="BSD-3-Clause",
    checkpoint=Checkpoint(
        url="https://download.pytorch.org/models/wide_resnet50_2-95faca4d.pth",
        url_sha256_prefix="95faca4d",
    ),
    architecture="wide_resnet50_2",
)
"""Wide residual network (Zagoruyko and Komodakis, BMVC 2016), trained on ImageNet."""

BACKBONES: dict[str, BackboneSpec] = {
    "patchline_s": PATCHLINE_S,
    "mobilenet_v2": MOBILENET_V2,
    "resnet18": RESNET18,
    "resnet50_v2_trunk": RESNET50_V2_TRUNK,
    "wide_resnet50_2": WIDE_RESNET50_2,
}
