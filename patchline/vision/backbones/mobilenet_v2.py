"""MobileNetV2 (Sandler et al., CVPR 2018), torchvision's IMAGENET1K_V1 weights."""

from patchline.vision.backbones.spec import BackboneSpec, Checkpoint, ModelFile, Tap

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
