"""From a picture of any size to what a backbone reads; the same calls at the edge, in the service and in commission."""

import numpy as np
from PIL import Image

from patchline.vision.pixels.arrays import Floats, Pixels, Size

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_SCALE = np.array([1 / (255 * std) for std in IMAGENET_STD], dtype=np.float32)
_SHIFT = np.array([-mean / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)], dtype=np.float32)


def resize(pixels: Pixels, size: Size) -> Pixels:
    """The picture at another size, by Pillow's bilinear filter, which averages over what it shrinks (antialiasing).

    Args:
        pixels: `(H, W, 3)` uint8, RGB.
        size: Height and width wanted; the aspect is not kept and nothing is cropped.

    Returns:
        `(*size, 3)` uint8; the very same array where it has that size already.
    """
    if pixels.shape[:2] == size:
        return pixels
    height, width = size
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def normalise(batch: Pixels) -> Floats:
    """Pictures as the ImageNet backbones were trained to see them: `(x / 255 - mean) / std`, channels first.

    Args:
        batch: `(B, H, W, 3)` uint8, RGB.

    Returns:
        `(B, 3, H, W)` float32.
    """
    count, height, width, channels = batch.shape
    planes = np.empty((count, channels, height, width), dtype=np.float32)
    for channel in range(channels):
        np.multiply(batch[..., channel], _SCALE[channel], out=planes[:, channel])
        planes[:, channel] += _SHIFT[channel]
    return planes
