"""patchline's own small backbone, packaged with it; the `distillation` room says how it was made.

It was trained on drawn and generated pictures to give MobileNetV2's distances, so its weights are patchline's own.
"""

from vision.backbones.spec import BackboneSpec, ModelFile, Tap

PATCHLINE_S = BackboneSpec(
    name="patchline_s",
    taps={"stride8": Tap(16, 8), "stride16": Tap(40, 16)},
    default_taps=("stride8", "stride16"),
    licence="Apache-2.0",
    files=(
        ModelFile(
            name="patchline_s.onnx",
            sha256="072631fcb018a14871872a7a662c329715e691aaaa6fdf513b8807c905bb042b",
            taps=("stride8", "stride16"),
        ),
    ),
    packaged=True,
)
