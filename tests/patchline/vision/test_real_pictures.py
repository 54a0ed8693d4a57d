"""The whole path on real pictures, as the service takes it: resized, encoded, decoded, embedded, searched, drawn."""

from pathlib import Path

import numpy as np
import pytest

from patchline.pictures.files import Sample, open_mask, open_picture, read_category
from patchline.vision.backbones import BACKBONES, store
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.vision.codecs.lookup import codec_of
from patchline.vision.detectors import DETECTORS
from patchline.vision.detectors.protocol import Rendering
from patchline.vision.pixels.preprocessing import normalise, resize
from patchline.vision.scoring.evaluation import aupro, image_auroc, pixel_auroc, pixel_f1

pytestmark = [pytest.mark.data, pytest.mark.weights, pytest.mark.slow]

SIZE = (224, 224)


def test_patchcore_on_mobilenet_finds_the_bottles_defects_in_decoded_pictures(
    real_data: Path, real_weights: Path
) -> None:
    category = read_category(real_data / "mvtec_ad" / "bottle")
    spec, codec = BACKBONES["mobilenet_v2"], codec_of("webp:80")
    if not (real_weights / spec.files[0].name).is_file():
        pytest.skip(f"{spec.files[0].name} is not in PATCHLINE_WEIGHTS")
    engine = OnnxEngine(store.find(spec).read(), spec.default_taps, threads=2)

    def maps_of(sample: Sample) -> dict[str, np.ndarray]:
        decoded = codec.decode(codec.encode(resize(open_picture(sample.path), SIZE)), SIZE)
        return engine.run(normalise(decoded[None]))

    detector = DETECTORS["patchcore"].fit([maps_of(sample) for sample in category.train], seed=0)

    def inspected(sample: Sample) -> Rendering:
        return detector.render(detector.search(detector.embed(maps_of(sample))), SIZE)

    renderings = [inspected(sample) for sample in category.test]
    anomalous = [sample.label != "good" for sample in category.test]
    masks = [mask for sample in category.test if (mask := open_mask(sample, SIZE)) is not None]
    assert len(masks) == len(category.test)
    maps = [rendering.maps[0] for rendering in renderings]
    assert (image_auroc(anomalous, [float(rendering.scores[0]) for rendering in renderings]) or 0) >= 0.995
    assert (pixel_f1(masks, maps) or 0) >= 0.66
    assert (pixel_auroc(masks, maps) or 0) >= 0.975
    assert (aupro(masks, maps) or 0) >= 0.9
