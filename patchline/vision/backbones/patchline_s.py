"""patchline's own small backbone, packaged with it; the `distillation` room says how it was made.

It was trained on drawn and generated pictures to give MobileNetV2's distances, so its weights are patchline's own.
"""

from patchline.vision.backbones.spec import BackboneSpec, ModelFile, Tap

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
