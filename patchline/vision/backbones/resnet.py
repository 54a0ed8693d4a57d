"""Residual networks (He et al., CVPR 2016 and ECCV 2016; Zagoruyko and Komodakis, BMVC 2016), trained on ImageNet."""

from patchline.vision.backbones.spec import BackboneSpec, Checkpoint, ModelFile, Tap

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
"""GluonCV's pre-activation ResNet-50, stages 1 to 3: the channels and strides of WideResNet-50-2, not its weights."""

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
