"""Published figures, typed in once: Kim et al., "FAPM", 2022, tables 1 and 2, all of WideResNet-50 at 224x224.

Speeds are of a Titan RTX. Other backbones and another machine stand behind ours: a neighbourhood, not a target.
"""

from typing import Any

from patchline.bench.detectors.ablation import PAPER as TABLE_2

CATEGORIES = (
    *("carpet", "grid", "leather", "tile", "wood", "bottle", "cable", "capsule"),
    *("hazelnut", "metal_nut", "pill", "screw", "toothbrush", "transistor", "zipper"),
)
IMAGE_AUROC: dict[str, tuple[float, ...]] = {
    "patchcore": (0.987, 0.982, 1.0, 0.987, 0.992, 1.0, 0.995, 0.981, 1.0, 1.0, 0.966, 0.981, 1.0, 1.0, 0.988),
    "fapm": (0.993, 0.98, 1.0, 0.994, 0.993, 1.0, 0.995, 0.986, 1.0, 1.0, 0.96, 0.952, 1.0, 1.0, 0.995),
}
PIXEL_AUROC: dict[str, tuple[float, ...]] = {
    "padim": (0.991, 0.973, 0.992, 0.941, 0.949, 0.983, 0.967, 0.985, 0.982, 0.972, 0.957, 0.985, 0.988, 0.975, 0.985),
    "patchcore": (
        0.989,
        0.987,
        0.993,
        0.956,
        0.95,
        0.986,
        0.984,
        0.988,
        0.987,
        0.984,
        0.971,
        0.994,
        0.987,
        0.963,
        0.988,
    ),
    "fapm": (0.989, 0.978, 0.99, 0.952, 0.94, 0.982, 0.985, 0.99, 0.986, 0.982, 0.98, 0.99, 0.987, 0.982, 0.986),
}
"""Method -> table 1 in the order of its rows; of PaDiM it has no image AUROC by category."""

PAPERS: dict[str, tuple[float, float, float]] = {
    "padim": (0.979, 0.975, 4.4),
    "patchcore": (0.991, 0.981, 5.9),
    "patchcore-10%": TABLE_2["A"],
    "fapm": (0.990, 0.980, 44.1),
    **{f"fapm-{letter}": figures for letter, figures in TABLE_2.items()},
}
"""Method -> image AUROC, pixel AUROC (means over the 15 categories of MVTec AD), and pictures a second."""


def published(method: str, category: str) -> dict[str, Any]:
    """What the paper says of a method: its means over MVTec AD, and its figures of the category where it has them."""
    if method not in PAPERS:
        return {}
    image, pixel, speed = PAPERS[method]
    told: dict[str, Any] = {
        "of": "mean over MVTec AD, WideResNet-50, Titan RTX",
        "image_auroc": image,
        "pixel_auroc": pixel,
        "images_per_second": speed,
    }
    if category not in CATEGORIES:
        return told
    at = CATEGORIES.index(category)
    tables = {"image_auroc": IMAGE_AUROC, "pixel_auroc": PIXEL_AUROC}
    return told | {"category": {name: table[method][at] for name, table in tables.items() if method in table}}
