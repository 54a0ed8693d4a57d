"""The rows of table 2 of the FAPM paper: which of its three ideas are used, as parameters of `Fapm`."""

from patchline.vision.detectors.protocol import Parameter

ABLATION: dict[str, dict[str, Parameter]] = {
    "A": {"patch_wise": False, "layer_wise": False, "adaptive": "off"},
    "B": {"patch_wise": True, "layer_wise": False, "adaptive": "off"},
    "C": {"patch_wise": False, "layer_wise": True, "adaptive": "off"},
    "D": {"patch_wise": True, "layer_wise": True, "adaptive": "off"},
    "E": {"patch_wise": True, "layer_wise": True, "adaptive": "absolute"},
}
"""A is PatchCore-10 % (but for its re-weighting, which is FAPM's), E the whole method."""

PAPER: dict[str, tuple[float, float, float]] = {
    "A": (0.989, 0.981, 23.4),
    "B": (0.985, 0.975, 34.1),
    "C": (0.983, 0.971, 35.7),
    "D": (0.984, 0.978, 46.0),
    "E": (0.990, 0.980, 44.1),
}
"""The paper's image AUROC, pixel AUROC, and pictures a second on a Titan RTX; means over MVTec AD, WideResNet-50."""
