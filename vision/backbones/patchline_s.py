"""patchline's own small backbone, packaged with it; the `distillation` room says how it was made.

It was trained on drawn and generated pictures to give MobileNetV2's distances, so its weights are patchline's own.
"""

from vision.backbones.spec import BackboneSpec, ModelFile, Tap

PATCHLINE_S = BackboneSpec(
    name="patchline_s",
    taps={"stride8": Tap(24, 8), "stride16": Tap(40, 16)},
    default_taps=("stride8", "stride16"),
    licence="Apache-2.0",
    files=(
        ModelFile(
            name="patchline_s.onnx",
            sha256="e1b7901a10fe109a88fe8a936f79b33e789a4115cc3de34952d516bf07b1159b",
            taps=("stride8", "stride16"),
        ),
    ),
    packaged=True,
)
